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
        try:
            self._waiting = os.open(folder / "waiting", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError:
            os.close(self._turn)
            raise

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
                    f"process {self._holder()} has been writing to the database for {PATIENCE:.0f} s. Look there for a "
                    "transaction that was begun and not committed, or whether it is suspended."
                )
            time.sleep(nap)
            nap = min(nap * 1.2, 0.005)
        if time.monotonic() - began > 1.0:
            log.warning("waited %.1f s for another write transaction", time.monotonic() - began)

    def _try(self) -> bool:
        try:
            fcntl.flock(self._turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        with contextlib.suppress(OSError):  # a full disk: the turn is taken all the same
            os.pwrite(self._turn, b"%-10d" % os.getpid(), 0)
        return True

    def _holder(self) -> str:
        """The process that has the turn, for people who look for it."""
        return os.pread(self._turn, 10, 0).decode("ascii", "replace").strip() or "another"

    def give_back(self) -> None:
        fcntl.flock(self._turn, fcntl.LOCK_UN)

    def pause_for_others(self) -> bool:
        """Let somebody who waits for the turn have it, and say whether anybody did. Called after giving it back."""
        if not self.somebody_waits():
            return False
        time.sleep(PAUSE)
        return True

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
