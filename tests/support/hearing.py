"""A listener of signals that a test waits on."""

from __future__ import annotations

import threading
from collections.abc import Callable

from backburner.ports import Hint

PATIENCE = 20.0


class Ear:
    def __init__(self) -> None:
        self.heard: list[Hint] = []
        self._changed = threading.Condition()

    def __call__(self, hint: Hint) -> None:
        with self._changed:
            self.heard.append(hint)
            self._changed.notify_all()

    def wait_for(self, condition: Callable[[list[Hint]], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self.heard), PATIENCE), self.heard
