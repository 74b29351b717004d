"""Those in this process who want to be told."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from ..ports import Hint

log = logging.getLogger("backburner.signals")


class Listeners:
    """Joining and leaving is possible at any time, also from within a listener."""

    def __init__(self) -> None:
        self._all: tuple[Callable[[Hint], None], ...] = ()
        self._lock = threading.Lock()

    def add(self, listener: Callable[[Hint], None]) -> Callable[[], None]:
        """The answer takes ``listener`` out again; it may be called twice."""
        with self._lock:
            self._all = (*self._all, listener)

        def remove() -> None:
            with self._lock:
                self._all = tuple(each for each in self._all if each is not listener)

        return remove

    def tell(self, hint: Hint) -> None:
        """One that raises keeps nobody else from hearing."""
        for listener in self._all:
            try:
                listener(hint)
            except Exception:
                log.exception("a listener of the signal failed")
