"""How long an attempt may take."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator


class Deadline:
    """Calls back after so many seconds of an event loop's time, not counting those during which it is stopped."""

    def __init__(self, seconds: float | None) -> None:
        self._left = seconds
        self._expire: Callable[[], object] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._stops = 0

    def start(self, expire: Callable[[], object]) -> None:
        """On the running loop; without seconds it never ends."""
        self._expire = expire
        self._go_on()

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """On the loop where it was started; may be nested, and entered by several at once."""
        self._stops += 1
        if self._timer is not None:
            self._left = max(0.0, self._timer.when() - asyncio.get_running_loop().time())
            self._cancel_timer()
        try:
            yield
        finally:
            self._stops -= 1
            if self._stops == 0 and self._expire is not None:
                self._go_on()

    def cancel(self) -> None:
        self._expire = None
        self._cancel_timer()

    def _go_on(self) -> None:
        if self._left is not None and self._expire is not None:
            self._timer = asyncio.get_running_loop().call_later(self._left, self._expire)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
