"""What model calls may take and have taken: promises of the budgets, with no line of those who wait in mind."""

from __future__ import annotations

from dataclasses import dataclass, field

from backburner.domain.budgets import EVERYBODY
from backburner.domain.operations import Reservation, ReserveBudget, SettleBudget

from .rows import Rows

SECOND = 1_000_000
MINUTE = 60 * SECOND
DAY = 24 * 60 * MINUTE
SLACK = SECOND // 1000
"""What rounding to microseconds may add up to."""

Call = tuple[str, str]
"""The job and the step."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A call that is under way."""

    attempt: int
    owner: str
    tokens: int
    day: int


@dataclass(slots=True)
class Requests:
    """A bucket that is filled evenly and holds a minute's worth: empty or full again at ``empty_at`` and later.

    In the time that really passed, however the clock jumps.
    """

    per_minute: int
    empty_at: int

    def when(self, now: int) -> int:
        return max(self.empty_at, now - MINUTE) + MINUTE // self.per_minute

    def take(self, now: int) -> None:
        self.empty_at = self.when(now)


@dataclass(slots=True)
class Purse:
    shared: int
    own: int | None
    tokens_a_day: int
    calls: dict[Call, Taken] = field(default_factory=dict)
    buckets: dict[str, Requests] = field(default_factory=dict)
    used: dict[str, tuple[int, int]] = field(default_factory=dict)
    pause: int = 0

    def used_today(self, owner: str, now: int) -> int:
        day, used = self.used.get(owner, (0, 0))
        return used if day == now // DAY else 0

    def reserve(self, asked: ReserveBudget, answer: Reservation, now: int, passed: int) -> None:
        """``passed`` is the time since the beginning."""
        call = asked.execution.job, asked.step
        known = self.calls.get(call)
        if known is not None and known.attempt == asked.execution.attempt:
            assert answer == Reservation(), "a call that is under way has to wait for itself"
            return
        if known is not None:
            self.give_back(call, now)
        used = self.used_today(asked.owner, now)
        too_much = bool(asked.days) and used + asked.tokens > self.tokens_a_day
        assert (answer.spent is not None) == too_much, f"{used} are used and {asked.tokens} wanted: {answer}"
        if answer.spent is not None:
            assert (answer.spent.used, answer.spent.needed) == (used, asked.tokens)
            return
        if answer.wait:
            return
        assert now >= self.pause, "a call is made while its endpoint wants none"
        for owner, most in self.requests_of(asked.owner):
            bucket = self.bucket(owner, most, passed)
            assert bucket.when(passed) <= passed + SLACK, "more requests than a full bucket and what flows in"
            bucket.take(passed)
        self.used[asked.owner] = now // DAY, used + asked.tokens
        self.calls[call] = Taken(asked.execution.attempt, asked.owner, asked.tokens, now // DAY)

    def settle(self, told: SettleBudget, now: int) -> None:
        call = told.execution.job, told.step
        known = self.calls.get(call)
        if known is not None and known.attempt == told.execution.attempt:
            self._correct(call, told.tokens, now)

    def give_back(self, call: Call, now: int) -> None:
        self._correct(call, 0, now)

    def rest(self, seconds: float, now: int) -> None:
        self.pause = max(self.pause, now + int(seconds * SECOND))

    def requests_of(self, owner: str) -> list[tuple[str, int]]:
        """The buckets of a call and what each holds."""
        return [(EVERYBODY, self.shared)] + ([(owner, self.own)] if owner and self.own is not None else [])

    def bucket(self, owner: str, most: int, passed: int) -> Requests:
        return self.buckets.setdefault(owner, Requests(most, passed - MINUTE))

    def check(self, rows: Rows) -> None:
        assert {call: taken.attempt for call, taken in self.calls.items()} == rows.calls
        today = {owner: each for owner, each in rows.days.items() if owner in self.used}
        for owner, (day, used) in today.items():
            assert day != self.used[owner][0] or used == self.used[owner][1], f"{owner} has used {used}"

    def _correct(self, call: Call, tokens: int, now: int) -> None:
        known = self.calls.pop(call)
        if known.day == now // DAY:
            used = self.used_today(known.owner, now) + tokens - known.tokens
            self.used[known.owner] = now // DAY, max(0, used)
