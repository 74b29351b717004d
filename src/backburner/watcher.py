"""Waiting for a job: woken by the bell, with a slow look behind it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from .domain.errors import JobNotFound, ResultTimeout
from .domain.job import JobRecord
from .domain.operations import GetJob
from .ports import Hint, Signal, Store

T = TypeVar("T")

SLOW_LOOK = 2.0


class Watcher:
    """Everyone in this process who waits for something to happen to a job."""

    def __init__(self, store: Store, signal: Signal) -> None:
        self._store = store
        self._waiting: set[Callable[[], None]] = set()
        self._unsubscribe = signal.subscribe(self._on_hint)

    async def wait(self, job: str, until: Callable[[JobRecord], bool]) -> JobRecord:
        """Raises `JobNotFound` when the job is erased meanwhile."""

        async def look() -> JobRecord:
            return _found(await self._store.read(GetJob(job)), job)

        return await self.until(look, until)

    async def until(self, look: Callable[[], Awaitable[T]], done: Callable[[T], bool]) -> T:
        """Look again whenever something has happened, until it is ``done``."""
        loop = asyncio.get_running_loop()
        bell = asyncio.Event()

        def ring() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(bell.set)

        self._waiting.add(ring)
        try:
            while True:
                bell.clear()
                found = await look()
                if done(found):
                    return found
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(SLOW_LOOK):
                        await bell.wait()
        finally:
            self._waiting.discard(ring)

    def wait_sync(self, job: str, until: Callable[[JobRecord], bool], timeout: float | None) -> JobRecord:
        """Raises `ResultTimeout` after ``timeout`` seconds."""
        bell = threading.Event()
        deadline = None if timeout is None else time.monotonic() + timeout
        self._waiting.add(bell.set)
        try:
            while True:
                bell.clear()
                record = _found(self._store.read_sync(GetJob(job)), job)
                if until(record):
                    return record
                left = SLOW_LOOK if deadline is None else min(SLOW_LOOK, deadline - time.monotonic())
                if left <= 0:
                    raise ResultTimeout(f"job {job} has not ended within {timeout:g} s; it goes on")
                bell.wait(left)
        finally:
            self._waiting.discard(bell.set)

    def close(self) -> None:
        self._unsubscribe()

    def _on_hint(self, hint: Hint) -> None:
        if hint.events and self._waiting:
            for ring in tuple(self._waiting):
                ring()


def _found(record: JobRecord | None, job: str) -> JobRecord:
    if record is None:
        raise JobNotFound(f"there is no job {job}")
    return record
