"""Transactions of the application, and claims, run beside the store's other writes where the database lets them."""

from __future__ import annotations

import threading
from collections.abc import Callable

from .writer import Writer, closed

MOST = 8
"""Functions of applications that run at once in a process; the others wait for one to end."""


class Lanes:
    """Writers for operations that take as long as somebody's function does; each is started at the first need."""

    def __init__(self, start: Callable[[], Writer], most: int = MOST) -> None:
        self._start = start
        self._most = most
        self._lock = threading.Lock()
        self._writers: list[Writer] = []
        self._closed = False

    def choose(self) -> Writer:
        """The one with the least before it. Raises `StoreUnavailable` after the end."""
        with self._lock:
            if self._closed:
                raise closed()
            idle = next((writer for writer in self._writers if writer.load == 0), None)
            if idle is None and len(self._writers) < self._most:
                idle = self._start()
                self._writers.append(idle)
            return idle or min(self._writers, key=lambda writer: writer.load)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            writers, self._writers = self._writers, []
        for writer in writers:
            writer.close()
