"""What a worker and its child process say to each other, over a pair of sockets."""

from __future__ import annotations

import asyncio
import pickle
import socket
import struct
import traceback
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from ..domain.errors import words_of
from ..domain.job import Claimed
from ..domain.parking import Park

if TYPE_CHECKING:
    from ..llm.settings import ModelSettings
    from ..settings import Settings

LENGTH = struct.Struct("!Q")


class Kind(Enum):
    JOB = "job"
    """To the child: an `Order`."""
    ANSWER = "answer"
    REFUSAL = "refusal"
    """To the child: what came of a request."""
    WRITE = "write"
    READ = "read"
    COMMAND = "command"
    """From the child: requests, which the worker serves."""
    CANCEL = "cancel"
    """From the child: it does not wait for that request any more."""
    STAND_STILL = "stand still"
    GO_ON = "go on"
    """From the child: whether the clock of the job's time limit runs."""
    DONE = "done"
    FAILED = "failed"
    """From the child: what came of the job."""


@dataclass(frozen=True, slots=True)
class Order:
    """A job for a child process. The task is the attribute ``name`` of ``module``."""

    job: Claimed
    module: str
    name: str
    settings: Settings
    model: ModelSettings | None


@dataclass(frozen=True, slots=True)
class Message:
    """``number`` tells requests apart; the content is pickled by itself, so that a bad one spoils nothing else."""

    kind: Kind
    number: int
    content: bytes


class Line:
    """One end. `receive` raises `EOFError` when the other one is gone."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, end: socket.socket) -> Line:
        return cls(*await asyncio.open_connection(sock=end))

    async def send(self, kind: Kind, number: int, content: bytes) -> None:
        data = pickle.dumps((kind.value, number, content))
        self._writer.write(LENGTH.pack(len(data)) + data)
        await self._writer.drain()

    async def receive(self) -> Message:
        try:
            (length,) = LENGTH.unpack(await self._reader.readexactly(LENGTH.size))
            kind, number, content = pickle.loads(await self._reader.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            raise EOFError from None
        return Message(Kind(kind), number, content)

    def close(self) -> None:
        self._writer.close()


def pack_error(error: BaseException) -> bytes:
    """An exception with its traceback; one that cannot be pickled keeps its name and its words."""
    try:
        whole = pickle.dumps(error)
        pickle.loads(whole)
    except Exception:
        whole = b""
    return pickle.dumps((whole, type(error).__name__, words_of(error), "".join(traceback.format_exception(error))))


def unpack_error(content: bytes) -> BaseException:
    whole, name, words, trace = pickle.loads(content)
    try:
        error: Any = pickle.loads(whole)
    except Exception:
        error = None
    found: BaseException = error if isinstance(error, Exception | Park) else type(name, (Exception,), {})(words)
    found.add_note(f"\nIn the other process:\n{trace}")
    return found
