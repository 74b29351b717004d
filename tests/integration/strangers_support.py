"""The demo's own application and server with its worker, a model that answers at once, and tasks to be abused."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from backburner import Backburner, Run, Settings
from backburner.demo import assemble, served
from backburner.llm.settings import ModelSettings
from backburner.testing.model import FakeModel

from .http_support import PATIENCE

JOBS = "/backburner/jobs"


def make_demo(folder: Path | None = None) -> tuple[Backburner, Any]:
    """The demo's applications, with two public tasks beside them; nothing is opened yet."""
    url = f"sqlite:///{folder}/demo.db"
    bb = Backburner(settings=Settings(_env_file=None, database_url=url, grace=0.2))  # type: ignore[call-arg]

    @bb.task(public=True, retries=0)
    async def echo(run: Run, text: str = "", value: Any = None) -> Any:
        """Says back whatever it is given, in every way there is."""
        await run.progress(50, text)
        await run.text(text)
        return await run.step("echo", lambda: [text, value])

    @bb.task(public=True, retries=0)
    async def fail(run: Run, reason: str, times: int = 1) -> None:
        raise ValueError(reason)

    return bb, assemble(bb)


class NoAnswer(Exception):
    """The server hung up: nobody was left to answer."""


@dataclass(frozen=True)
class Demo:
    url: str
    http: httpx.Client

    def says(self, request: bytes, *, broken_off: bool = False) -> tuple[int, dict[str, str], bytes]:
        """What the server answers to these very bytes: status, headers in small letters, body.

        ``broken_off``: say that nothing more will come. Raises `NoAnswer`.
        """
        address = urlsplit(self.url)
        with socket.create_connection((address.hostname or "", address.port or 0), PATIENCE) as line:
            line.sendall(request)
            if broken_off:
                with contextlib.suppress(OSError):  # it may have answered and hung up already
                    line.shutdown(socket.SHUT_WR)
            answer = bytearray()
            while chunk := line.recv(65536):
                answer += chunk
        head, _, body = bytes(answer).partition(b"\r\n\r\n")
        if not head:
            raise NoAnswer
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return int(first.split()[1]), headers, body

    def post(self, body: bytes, path: str = JOBS, *more: bytes) -> tuple[int, dict[str, str], bytes]:
        """POST bytes as JSON."""
        head = [
            b"POST %s HTTP/1.1" % path.encode(),
            b"Host: 127.0.0.1",
            b"Connection: close",
            b"Content-Type: application/json",
            b"Content-Length: %d" % len(body),
            *more,
        ]
        return self.says(b"\r\n".join(head) + b"\r\n\r\n" + body)

    def get(self, path: bytes, *more: bytes) -> tuple[int, dict[str, str], bytes]:
        head = [b"GET %s HTTP/1.1" % path, b"Host: 127.0.0.1", b"Connection: close", *more]
        return self.says(b"\r\n".join(head) + b"\r\n\r\n")

    def works(self) -> None:
        """It is ready, and runs a fresh job to its end."""
        ready = self.http.get("/backburner/readyz")
        assert ready.status_code == 200, ready.text
        submitted = self.http.post(JOBS, json={"task": "echo", "args": {"text": "still here"}, "priority": 10})
        assert submitted.status_code == 202, submitted.text
        self.wait(submitted.json()["id"])
        assert self.http.get(submitted.json()["urls"]["result"]).json() == ["still here", None]

    def wait(self, job: str) -> dict[str, Any]:
        """The job, once it has ended."""
        with self.http.stream("GET", f"{JOBS}/{job}/events") as events:
            for _ in events.iter_bytes():
                pass  # the stream ends with the job
        found: dict[str, Any] = self.http.get(f"{JOBS}/{job}").json()
        return found


@contextlib.contextmanager
def open_demo(folder: Path) -> Iterator[Demo]:
    with FakeModel() as model:
        bb, app = make_demo(folder)
        bb.use_model(ModelSettings(model.base_url, "a-key", "fake-model"))
        try:
            with served(app) as url, httpx.Client(base_url=url, trust_env=False, timeout=PATIENCE) as http:
                yield Demo(url, http)
        finally:
            bb.close()


def refused(answer: Any) -> dict[str, Any]:
    """The problem document of a 4xx: of a client's response, or what `Demo.says` answered."""
    if not isinstance(answer, tuple):
        answer = (answer.status_code, dict(answer.headers), answer.content)
    status, headers, body = answer
    assert 400 <= status < 500, (status, body[:500])
    assert headers["content-type"] == "application/problem+json", (status, headers, body[:500])
    problem: dict[str, Any] = json.loads(body)
    assert problem["status"] == status
    assert problem["detail"].strip()
    assert len(body) < 300_000
    return problem
