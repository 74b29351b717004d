"""Processes that are started, watched, frozen and killed."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import httpx

ROOT = Path(__file__).parent.parent.parent
PATIENCE = 30.0


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait for a condition; the time only bounds a failure."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(f"in vain: {what}")


class Process:
    """A backburner command as a process of its own; its log is kept."""

    def __init__(self, *command: str, env: Mapping[str, str], module: str = "backburner.cli") -> None:
        self.log: list[str] = []
        self._changed = threading.Condition()
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *command],
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **env},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def wait_for_line(self, text: str) -> str:
        with self._changed:
            found = self._changed.wait_for(lambda: self._find(text) or self._process.poll() is not None, PATIENCE)
        line = self._find(text)
        assert line is not None, f"{text!r} never came ({found}):\n" + "".join(self.log)
        return line

    def wait(self) -> int:
        """Until it ends by itself; answers its exit code."""
        return self._process.wait(PATIENCE)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def hurry(self) -> None:
        """The first of two requests to stop."""
        self._process.send_signal(signal.SIGTERM)
        self.wait_for_line("stopping")

    def stop(self) -> int:
        """SIGTERM, as an operator stops it."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError("it did not stop:\n" + "".join(self.log)) from None
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()
        return self._process.returncode

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self.thaw()
        self.stop()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                self.log.append(line)
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    def _find(self, text: str) -> str | None:
        return next((line for line in self.log if text in line), None)


def freeze_between_transactions(process: Process, database: Path) -> None:
    """Whoever is stopped inside a write transaction holds up everybody: no database can take its lock away."""
    while True:
        process.freeze()
        with open(f"{database}.locks/turn", "rb+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                process.thaw()
            else:
                return


TASKS = "tests.acceptance.tasks:bb"


def start_worker(env: Mapping[str, str], target: str = TASKS) -> Process:
    process = Process("worker", target, env=env)
    process.wait_for_line("is ready")
    return process


def start_web(env: Mapping[str, str], port: int, target: str = TASKS) -> Process:
    process = Process("serve", target, "--port", str(port), env=env)
    process.wait_for_line("Serving on")
    until(lambda: _answers(f"http://127.0.0.1:{port}/backburner/healthz"), "the web process answers")
    return process


def _answers(url: str) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(url, trust_env=False).status_code == 200
    return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Watcher:
    """A browser's view of one job: follows its events on a thread, reconnects, and folds the text."""

    def __init__(self, url: str, job: str) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.text = ""
        self.ids: list[str] = []
        self._url = f"{url}/backburner/jobs/{job}/events"
        self._changed = threading.Condition()
        self._stop = False
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def wait_until(self, condition: Callable[[Watcher], Any], what: str) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self), PATIENCE), f"in vain: {what}; {self.events[-5:]}"

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.events]

    def join(self) -> None:
        """Until the server says that the log has ended."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "the stream never ended"

    def _follow(self) -> None:
        while not self._stop:
            headers = {"Last-Event-ID": self.ids[-1]} if self.ids else {}
            with contextlib.suppress(httpx.HTTPError):
                timeout = httpx.Timeout(PATIENCE, connect=1)
                with httpx.stream("GET", self._url, headers=headers, timeout=timeout, trust_env=False) as response:
                    if response.status_code == 204:
                        return
                    for event in parse_events(response.iter_lines()):
                        self._take(*event)
            time.sleep(0.02)

    def _take(self, number: str, kind: str, data: dict[str, Any]) -> None:
        with self._changed:
            if number:
                self.ids.append(number)
            if kind == "snapshot":
                self.text = data["text"].get("main", "")
            elif kind == "text.delta" and data["channel"] == "main":
                assert data["offset"] == len(self.text), (data, self.text)
                self.text += data["delta"]
            elif kind == "attempt.reset":
                self.text = self.text[: data["channels"].get("main", len(self.text))]
            if kind != "heartbeat":
                self.events.append((kind, data))
            self._changed.notify_all()


def parse_events(lines: Iterator[str]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Server-sent events as (id, event, data); what stands before a cut is not dispatched."""
    number, kind, data = "", "", ""
    for line in lines:
        if line == "":
            if data:
                yield number, kind, json.loads(data)
            number, kind, data = "", "", ""
        elif line.startswith("id:"):
            number = line[3:].strip()
        elif line.startswith("event:"):
            kind = line[6:].strip()
        elif line.startswith("data:"):
            data += line[5:].strip()
