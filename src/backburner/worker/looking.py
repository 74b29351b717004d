"""A thread beside the worker that looks for something to do now and then."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod

from ..domain.errors import BackburnerError

log = logging.getLogger("backburner.worker")

BACK_OFF = 1.0
"""Seconds until it looks again after a look has failed."""


class Looker(ABC):
    """A store that cannot be used is waited for."""

    name: str
    what: str
    """What is not done while its looks fail."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._bell = threading.Event()
        self._thread: threading.Thread | None = None

    @abstractmethod
    def pause(self) -> float:
        """Seconds until the next look."""

    @abstractmethod
    def look(self) -> None: ...

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name=f"backburner-{self.name}", daemon=True)
        self._thread.start()

    def cease(self) -> None:
        """Begin nothing more."""
        self._stop.set()
        self._bell.set()

    def wake(self) -> None:
        """Look now. From any thread."""
        self._bell.set()

    def stop(self) -> None:
        """Begin nothing more, and wait for what is being written."""
        self.cease()
        if self._thread is not None:
            self._thread.join(timeout=6)

    def _run(self) -> None:
        failed = False
        while self._rest(self._pause_after(failed)):
            failed = True
            try:
                self.look()
                failed = False
            except BackburnerError as error:
                log.warning("%s just now: %s", self.what, error)
            except Exception:
                log.exception("%s", self.what)

    def _pause_after(self, failed: bool) -> float:
        try:
            pause = self.pause()
        except Exception:
            log.exception("%s", self.what)
            return BACK_OFF
        return max(pause, BACK_OFF) if failed else pause

    def _rest(self, seconds: float) -> bool:
        """False when it is time to end."""
        self._bell.wait(seconds)
        self._bell.clear()
        return not self._stop.is_set()
