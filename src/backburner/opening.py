"""Opening a store whose database may have yet to be started."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from typing import TypeVar

from .domain.errors import StoreUnreachable

log = logging.getLogger("backburner")

T = TypeVar("T")
TRY_AGAIN = 0.5
"""Seconds between two attempts to reach the database."""


class Stop:
    """Call it, from any thread, to stop what is being opened on this loop, or later what was opened."""

    def __init__(self) -> None:
        self.told = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._calls = 0
        self._stop: Callable[[], None] | None = None

    def __call__(self) -> None:
        with self._lock:
            self._calls += 1
            stop = self._stop
        if stop is not None:
            stop()
            return
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self.told.set)

    def passes_to(self, stop: Callable[[], None]) -> None:
        """From now on ``stop`` is called, and at once as often as this was before."""
        with self._lock:
            self._stop, calls = stop, self._calls
        for _ in range(calls):
            stop()


async def open_in_time(open_now: Callable[[], T], stopped: asyncio.Event) -> T:
    """What ``open_now`` answers, called on a thread, as soon as the database can be reached.

    Raises `StoreUnreachable` when ``stopped`` is set before; any other error at once, because waiting does not mend it.
    """
    waiting = False
    while True:
        try:
            opened = await asyncio.to_thread(open_now)
        except StoreUnreachable as error:
            if stopped.is_set():
                raise
            if not waiting:
                log.warning("waiting for the database: %s", error)
            waiting = True
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TRY_AGAIN):
                    await stopped.wait()
        else:
            if waiting:
                log.info("the database answers")
            return opened
