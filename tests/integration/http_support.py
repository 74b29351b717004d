"""A real server on a loopback port, a client that reads event streams as the standard says, and a worker's hand."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx
import uvicorn
from fastapi import FastAPI

from backburner import Backburner, JobError, Run, Settings
from backburner.domain.ids import new_id
from backburner.domain.job import KeptStep
from backburner.domain.operations import (
    AppendText,
    Claim,
    Completed,
    Execution,
    Failed,
    Interrupted,
    KeepStep,
    Outcome,
    RegisterWorker,
    Released,
    SetProgress,
    Settle,
)
from backburner.http.problems import install_problem_handlers
from backburner.http.router import make_router

PATIENCE = 20.0


def make_bb(folder: Path, **settings: Any) -> Backburner:
    """A Backburner on a file in ``folder`` with two public tasks; nobody works on them unless asked to."""
    url = f"sqlite:///{folder}/jobs.db"
    bb = Backburner(settings=Settings(**{"database_url": url, "embedded_worker": False, **settings}))

    @bb.task(public=True, retries=1)
    async def write(run: Run, text: str, times: int = 1) -> dict[str, Any]:
        await run.progress(50, "half")
        for _ in range(times):
            await run.text(text)
        return {"characters": len(text) * times}

    @bb.task(public=True, retries=0)
    async def fail(run: Run, reason: str) -> None:
        raise ValueError(reason)

    @bb.task
    async def secret(run: Run) -> None:
        """Not public."""

    return bb


class Hand:
    """Does to a job what a worker would do, one write at a time."""

    def __init__(self, bb: Backburner) -> None:
        self._store = bb.store
        self._worker = new_id()
        self._tasks = tuple(bb.tasks)
        self._store.write_sync(RegisterWorker(self._worker, 3600.0, self._tasks))
        self._execution: Execution | None = None

    def take(self) -> str:
        """Claim the first job in the line."""
        (job,) = self._store.write_sync(Claim(self._worker, dict.fromkeys(self._tasks), 1)).jobs
        self._execution = Execution(job.id, job.attempt)
        return job.id

    @property
    def execution(self) -> Execution:
        assert self._execution is not None
        return self._execution

    def say(self, delta: str, channel: str = "main") -> None:
        self._store.write_sync(AppendText(self.execution, channel, delta))

    def progress(self, percent: float, message: str = "") -> None:
        self._store.write_sync(SetProgress(self.execution, percent, message))

    def keep(self, name: str, *channels: str) -> None:
        self._store.write_sync(KeepStep(self.execution, KeptStep(name, 0, "key", "null"), channels))

    def complete(self, result: str = "null") -> None:
        self._settle(Completed(result))

    def fail(self) -> None:
        self._settle(Failed(JobError("failed", "It failed", "as it was told to"), None))

    def release(self) -> None:
        self._settle(Released())

    def obey_cancel(self) -> None:
        self._settle(Interrupted())

    def _settle(self, outcome: Outcome) -> None:
        self._store.write_sync(Settle(self.execution, outcome))


class Web:
    """An application under a real uvicorn, on a thread and an event loop of its own."""

    def __init__(
        self,
        bb: Backburner,
        *,
        heartbeat: float = 15.0,
        prepare: Callable[[FastAPI], None] | None = None,
        root_path: str = "",
    ) -> None:
        self.bb = bb
        self.app = FastAPI(lifespan=bb.lifespan)
        self.app.include_router(make_router(bb, heartbeat=heartbeat))
        install_problem_handlers(self.app)
        if prepare is not None:
            prepare(self.app)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        config = uvicorn.Config(self.app, log_level="warning", timeout_graceful_shutdown=5, root_path=root_path)
        self._server = _Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name="web")

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._server.is_up.wait(PATIENCE), "the server did not start"
        self.http = httpx.Client(base_url=self.url, trust_env=False, timeout=PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()
        self.bb.hubs.close()
        self._server.should_exit = True
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "the server did not stop"
        self._socket.close()

    def submit(self, task: str = "write", **args: Any) -> str:
        response = self.http.post("/backburner/jobs", json={"task": task, "args": args or {"text": "x"}})
        assert response.status_code == 202, response.text
        job: str = response.json()["id"]
        return job

    @contextlib.contextmanager
    def follow(self, path: str, cursor: str | None = None) -> Iterator[Following]:
        """``path`` behind ``/backburner``."""
        headers = {"Accept": "text/event-stream"}
        if cursor is not None:
            headers["Last-Event-ID"] = cursor
        with self.http.stream("GET", f"/backburner{path}", headers=headers) as response:
            yield Following(response)

    def log_of(self, job: str) -> list[dict[str, Any]]:
        """The whole log of a job, as JSON."""
        found: list[dict[str, Any]] = []
        cursor = "j-0"
        while True:
            page = self.http.get(
                f"/backburner/jobs/{job}/events", params={"after": cursor}, headers={"Accept": "application/json"}
            ).json()
            if not page["events"]:
                return found
            found += page["events"]
            cursor = page["next"]


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_up = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_up.set()


@dataclass(frozen=True)
class Message:
    """What `EventSource` would dispatch."""

    id: str
    event: str
    data: Any


@dataclass
class Parser:
    """The event stream interpretation of WHATWG HTML, 9.2.6. An event that was cut off is never dispatched."""

    last_id: str = ""
    retry: int | None = None
    comments: int = 0
    _line: bytes = b""
    _id: str = ""
    _event: str = ""
    _data: list[str] = field(default_factory=list)

    def feed(self, data: bytes) -> list[Message]:
        found: list[Message] = []
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            if not line:
                if self._data:
                    self.last_id = self._id
                    found.append(Message(self._id, self._event or "message", json.loads("\n".join(self._data))))
                self._event, self._data = "", []
                continue
            name, _, value = line.decode().partition(":")
            value = value.removeprefix(" ")
            match name:
                case "":
                    self.comments += 1
                case "id":
                    self._id = value
                case "event":
                    self._event = value
                case "data":
                    self._data.append(value)
                case "retry":
                    self.retry = int(value)
        return found


class Following:
    """An open stream."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.parser = Parser()
        self._chunks = response.iter_raw()
        self._found: list[Message] = []

    @property
    def cursor(self) -> str:
        return self.parser.last_id

    def next(self, count: int = 1) -> list[Message]:
        """The next messages; fewer only when the stream ends."""
        while len(self._found) < count:
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            self._found += self.parser.feed(chunk)
        taken, self._found = self._found[:count], self._found[count:]
        return taken

    def one(self) -> Message:
        (message,) = self.next()
        return message

    def rest(self) -> list[Message]:
        """Everything until the stream ends."""
        for chunk in self._chunks:
            self._found += self.parser.feed(chunk)
        taken, self._found = self._found, []
        return taken

    def cut_after(self, size: int) -> list[Message]:
        """Read about ``size`` bytes, wherever that is, and drop the line."""
        found = self._found
        while size > 0:
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            found += self.parser.feed(chunk[:size])
            size -= len(chunk)
        self.response.close()
        return found


def rebuild(texts: dict[str, str], messages: list[Message]) -> dict[str, str]:
    """What a client that follows the protocol shows. Offsets count code points, as Python's strings do."""
    for message in messages:
        match message.event:
            case "snapshot":
                texts = dict(message.data["text"])
            case "text.delta":
                channel, offset = message.data["channel"], message.data["offset"]
                assert len(texts.get(channel, "")) == offset, "a delta is missing or doubled"
                texts[channel] = texts.get(channel, "") + message.data["delta"]
            case "attempt.reset":
                for channel, offset in message.data["channels"].items():
                    texts[channel] = texts.get(channel, "")[:offset]
    return texts
