"""Programs: started in a session of their own, and ended with all that they started."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .domain.errors import CommandFailed, CommandTimeout, ConfigurationError, InvalidArguments
from .process_group import describe_end, end_group, send
from .threads import on_plain_loop, to_its_end, whole

MOST_OUTPUT = 16 * 1024 * 1024
"""Bytes that a program may write to its standard output, and as many to its standard error."""
LAST_LINES = 5

Argument = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What a program said. ``returncode`` is its exit code, or minus the number of the signal that ended it."""

    returncode: int
    stdout: str
    stderr: str


async def run_command(
    arguments: Sequence[Argument],
    *,
    timeout: float | None,
    input: str | bytes | None,
    env: Mapping[str, str] | None,
    cwd: Argument | None,
    check: bool,
) -> CommandResult:
    """See `backburner.Run.command`."""
    return await on_plain_loop(_run(arguments, timeout, input, env, cwd, check))


async def _run(
    arguments: Sequence[Argument],
    timeout: float | None,
    input: str | bytes | None,
    env: Mapping[str, str] | None,
    cwd: Argument | None,
    check: bool,
) -> CommandResult:
    program = await whole(_start(arguments, input, env, cwd), Program.end)
    name = os.path.basename(os.fspath(arguments[0]))
    try:
        async with asyncio.timeout(timeout):
            await asyncio.shield(program.over)
    except TimeoutError:
        await to_its_end(program.end())
        raise CommandTimeout(
            f"{name} took longer than {timeout:g} s and was killed{program.complaint()}", None, program.text(2)
        ) from None
    except BaseException:
        await to_its_end(program.end())
        raise
    send(program.pid, signal.SIGKILL)  # whatever it left behind
    if program.overflow is not None:
        raise CommandFailed(
            f"{name} wrote more than {MOST_OUTPUT >> 20} MiB to its standard {program.overflow} and was killed: have "
            "it write to a file"
        )
    returncode = program.returncode
    if check and returncode != 0:
        raise CommandFailed(f"{name} {describe_end(returncode)}{program.complaint()}", returncode, program.text(2))
    return CommandResult(returncode, program.text(1), program.text(2))


async def _start(
    arguments: Sequence[Argument], input: str | bytes | None, env: Mapping[str, str] | None, cwd: Argument | None
) -> Program:
    if isinstance(arguments, str | bytes) or not arguments:
        raise InvalidArguments('a command is a list of the program and its arguments, as in ["git", "status"]')
    for each in arguments:
        if not isinstance(each, str | bytes | os.PathLike):
            raise InvalidArguments(f"a command has {each!r} among its arguments: write it as text, as in str(5)")
    parts = [os.fspath(each) for each in arguments]
    loop = asyncio.get_running_loop()
    try:
        _, program = await loop.subprocess_exec(
            Program,
            *parts,
            stdin=asyncio.subprocess.DEVNULL if input is None else asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=env,
            cwd=cwd,
            start_new_session=True,
        )
    except ValueError as error:  # a NUL among the arguments
        raise InvalidArguments(f"{parts[0]!r} cannot be started: {error}") from None
    except OSError as error:
        if cwd is not None and error.filename == os.fspath(cwd):
            raise ConfigurationError(f"cwd={error.filename!r} cannot be entered: {error.strerror}") from None
        if isinstance(error, FileNotFoundError):
            raise ConfigurationError(
                f"there is no program {parts[0]!r}: install it where the worker runs, or give its full path"
            ) from None
        raise ConfigurationError(f"{parts[0]!r} cannot be started: {error.strerror}") from None
    if input is not None:
        program.feed(input.encode() if isinstance(input, str) else input)
    return program


class Program(asyncio.SubprocessProtocol):
    """A running program, and what it has said so far."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.over: asyncio.Future[None] = loop.create_future()
        """It has ended and nobody holds its outputs any more; or it has said too much."""
        self.overflow: str | None = None
        self._ended: asyncio.Future[None] = loop.create_future()
        self._outputs = {1: bytearray(), 2: bytearray()}
        self._transport: asyncio.SubprocessTransport

    def feed(self, data: bytes) -> None:
        pipe: Any = self._transport.get_pipe_transport(0)
        pipe.write(data)
        pipe.write_eof()

    async def end(self) -> None:
        await end_group(self.pid, self._ended)
        self._transport.close()

    @property
    def pid(self) -> int:
        return self._transport.get_pid()

    @property
    def returncode(self) -> int:
        returncode = self._transport.get_returncode()
        assert returncode is not None
        return returncode

    def text(self, stream: int) -> str:
        return self._outputs[stream].decode(errors="replace")

    def complaint(self) -> str:
        lines = self.text(2).strip().splitlines()[-LAST_LINES:]
        return ": " + "\n".join(lines) if lines else ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.SubprocessTransport)
        self._transport = transport

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        output = self._outputs[fd]
        output += data
        if len(output) > MOST_OUTPUT and self.overflow is None:
            self.overflow = "output" if fd == 1 else "error"
            send(self.pid, signal.SIGKILL)
            self._transport.close()

    def process_exited(self) -> None:
        self._ended.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport.close()
        if not self.over.done():
            self.over.set_result(None)
