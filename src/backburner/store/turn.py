"""Processes take turns at the file.

SQLite's own `busy_timeout` wakes writers by polling and without order, so that a busy process starves the others. A
`flock` around each write transaction gives the turn, and dies with its holder.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import time
from pathlib import Path

from ..domain.errors import StoreUnavailable

log = logging.getLogger("backburner.store")

PATIENCE = 5.0
PAUSE = 0.002


class Turn:
    """One writer's place in the line. Not to be shared between threads: each writing connection has its own."""

    def __init__(self, folder: Path) -> None:
        self._turn = os.open(folder / "turn", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        self._waiting = os.open(folder / "waiting", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)

    def take(self) -> None:
        """Wait for the turn, 5 s at most. Raises `StoreUnavailable`."""
        if self._try():
            return
        fcntl.flock(self._waiting, fcntl.LOCK_SH)
        try:
            self._wait()
        finally:
            fcntl.flock(self._waiting, fcntl.LOCK_UN)

    def _wait(self) -> None:
        began = time.monotonic()
        nap = 0.0002
        while not self._try():
            waited = time.monotonic() - began
            if waited > PATIENCE:
                raise StoreUnavailable(
                    f"another process has been writing to the database for {PATIENCE:.0f} s. Look for a long "
                    "transaction (a connection that was begun and not committed) and end it."
                )
            time.sleep(nap)
            nap = min(nap * 1.2, 0.005)
        if time.monotonic() - began > 1.0:
            log.warning("waited %.1f s for another process's write transaction", time.monotonic() - began)

    def _try(self) -> bool:
        try:
            fcntl.flock(self._turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def give_back(self) -> None:
        fcntl.flock(self._turn, fcntl.LOCK_UN)

    def somebody_waits(self) -> bool:
        """Whether another writer stands in line; asked after giving the turn back."""
        try:
            fcntl.flock(self._waiting, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        fcntl.flock(self._waiting, fcntl.LOCK_UN)
        return False

    def close(self) -> None:
        for descriptor in (self._turn, self._waiting):
            with contextlib.suppress(OSError):
                os.close(descriptor)
