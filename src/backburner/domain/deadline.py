"""How long an attempt may take."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable, Iterator


class Alarm:
    """One timer for many deadlines, hardly any of which is ever reached: a timer each costs an event loop more than the
    rest of a short job's start does. Belongs to one event loop."""

    def __init__(self) -> None:
        self._set: set[Deadline] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._due = math.inf
        """When the timer rings; not every loop's handles say so."""

    def add(self, deadline: Deadline) -> None:
        self._set.add(deadline)
        if deadline.until < self._due:
            self._ring_at(deadline.until)

    def discard(self, deadline: Deadline) -> None:
        """The timer stays: it may ring for nobody."""
        self._set.discard(deadline)

    def _ring_at(self, time: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(time, self._ring, time)
        self._due = time

    def _ring(self, time: float) -> None:
        self._timer, self._due = None, math.inf
        reached = [deadline for deadline in self._set if deadline.until <= time]
        self._set.difference_update(reached)
        if self._set:
            self._ring_at(min(deadline.until for deadline in self._set))
        for deadline in reached:
            try:
                deadline.expire()
            except Exception as error:  # it is nobody else's
                said = {"message": "a deadline could not be acted upon", "exception": error}
                asyncio.get_running_loop().call_exception_handler(said)


class Deadline:
    """Calls back after so many seconds of an event loop's time, not counting those during which it is stopped."""

    __slots__ = ("_alarm", "_expire", "_left", "_stops", "until")

    def __init__(self, seconds: float | None) -> None:
        self._left = seconds
        self._expire: Callable[[], object] | None = None
        self._alarm: Alarm | None = None
        self._stops = 0
        self.until = 0.0
        """On the loop's clock, while it runs."""

    def start(self, alarm: Alarm, expire: Callable[[], object]) -> None:
        """On the running loop; without seconds it never ends."""
        if self._left is not None:
            self._alarm, self._expire = alarm, expire
            self._go_on()

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """On the loop where it was started; may be nested, and entered by several at once."""
        self._stops += 1
        if self._stops == 1 and self._alarm is not None:
            self._alarm.discard(self)
            self._left = max(0.0, self.until - asyncio.get_running_loop().time())
        try:
            yield
        finally:
            self._stops -= 1
            if self._stops == 0 and self._alarm is not None:
                self._go_on()

    def expire(self) -> None:
        """For the alarm."""
        if self._expire is not None:
            self._expire()

    def cancel(self) -> None:
        if self._alarm is not None:
            self._alarm.discard(self)
            self._alarm = self._expire = None

    def _go_on(self) -> None:
        assert self._alarm is not None
        assert self._left is not None
        self.until = asyncio.get_running_loop().time() + self._left
        self._alarm.add(self)
