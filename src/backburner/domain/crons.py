"""Jobs that a clock submits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from .job import NewJob

Missed = Literal["once", "skip"]
"""What becomes of ticks at which nobody was there: one job for all of them together, or none."""


class Schedule(Protocol):
    """When the ticks are. Times are microseconds since the epoch."""

    @property
    def expression(self) -> str: ...

    @property
    def zone(self) -> str: ...

    def after(self, at: int) -> int | None:
        """The first tick later than ``at``, None when none will come."""
        ...

    def latest(self, at: int) -> int | None:
        """The last tick that is not later than ``at``."""
        ...


@dataclass(frozen=True, slots=True)
class Cron:
    """A schedule and the job that each of its ticks submits; ``name`` is what the store knows it by."""

    name: str
    task: str
    schedule: Schedule
    missed: Missed
    make_job: Callable[[], NewJob]


@dataclass(frozen=True, slots=True)
class CronRecord:
    """A cron as the store has it. ``last_at`` is the tick of ``last_job``; times in microseconds since the epoch."""

    name: str
    task: str
    expression: str
    zone: str
    missed: Missed
    next_at: int | None
    last_at: int | None
    last_job: str | None
