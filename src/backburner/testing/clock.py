"""A clock that a test moves."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from ..app import Backburner

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class FakeClock:
    """Moves the database's clock, as this process sees it; a context manager.

    Delays, retries, crons, ``expires``, retention and budgets go by that clock; a worker of this process that waits for
    one of them looks at once. What an execution itself waits for stays on the real clock: the ``timeout`` of a running
    attempt, of `Job.result`, of a model call.

    ``at``: where it begins, now unless given. ``frozen``: it stands still between the moves; else it runs.
    """

    def __init__(self, bb: Backburner, at: datetime | None = None, *, frozen: bool = False) -> None:
        self._bb = bb
        self._at = at
        self._frozen = frozen

    def __enter__(self) -> Self:
        self._before = self._bb.clock
        if self._frozen:
            self._bb.set_clock(0, _now(self._bb))
        if self._at is not None:
            self._set(_since_epoch(self._at))
        self._bb.parts.declare(tuple(self._bb.crons.values()))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bb.set_clock(*self._before)

    def now(self) -> datetime:
        """In UTC."""
        return EPOCH + _now(self._bb) * MICROSECOND

    def advance(
        self,
        by: timedelta | None = None,
        /,
        *,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
    ) -> datetime:
        """Let time pass; answers what time it is then."""
        step = (by or timedelta()) + timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        if step < timedelta():
            raise ValueError(f"time does not go back: advance({step}); begin another FakeClock at the time you want")
        self._set(_now(self._bb) + step // MICROSECOND)
        return self.now()

    def move_to(self, moment: datetime) -> datetime:
        """Let time pass until then. ``moment`` needs a time zone."""
        to = _since_epoch(moment)
        if to < _now(self._bb):
            raise ValueError(f"time does not go back: it is {self.now()}, and {moment} is over")
        self._set(to)
        return self.now()

    def _set(self, to: int) -> None:
        if self._frozen:
            self._bb.set_clock(0, to)
        else:
            self._bb.set_clock(to - _real())


def move_clock(bb: Backburner, seconds: float) -> None:
    """Forward, whether it runs or stands."""
    shift, stands_at = bb.clock
    step = int(seconds * 1e6) + 1
    bb.set_clock(shift + step, None if stands_at is None else stands_at + step)


def _now(bb: Backburner) -> int:
    shift, stands_at = bb.clock
    return _real() + shift if stands_at is None else stands_at


def _real() -> int:
    return time.time_ns() // 1000


def _since_epoch(moment: datetime) -> int:
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone: write datetime(…, tzinfo=UTC)")
    return (moment - EPOCH) // MICROSECOND
