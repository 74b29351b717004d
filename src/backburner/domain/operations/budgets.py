"""Budgets of model calls, and what the calls took."""

from __future__ import annotations

from dataclasses import dataclass

from ..budgets import Bucket, DayBudget
from .base import Execution, Operation, Query


@dataclass(frozen=True, slots=True)
class ReserveBudget(Operation["Reservation"]):
    """Take a request and the tokens that it is expected to need from all of these at once, or from none.

    ``step`` names the call within its job. One that has to wait gets a place in line under that name: it asks again
    when its time has come, also in a later attempt. ``cost`` in billionths.
    """

    execution: Execution
    step: str
    model: str
    owner: str
    tokens: int
    cost: int
    buckets: tuple[Bucket, ...]
    days: tuple[DayBudget, ...] = ()
    apart = True


@dataclass(frozen=True, slots=True)
class Reservation:
    """``wait``: seconds until it is worth asking again, 0 where the call may be made.

    ``spent``: a day's budget that has not enough left, so that waiting for a minute does not help.
    """

    wait: float = 0.0
    spent: Spent | None = None


@dataclass(frozen=True, slots=True)
class Spent:
    """``resets_at`` in microseconds since the epoch; the others as in `DayBudget`."""

    budget: DayBudget
    used: int
    needed: int
    resets_at: int
    now: int


@dataclass(frozen=True, slots=True)
class Remaining:
    """What the endpoint says is left for this minute, and in how many seconds all of it is back; None is unsaid."""

    requests: int | None = None
    tokens: int | None = None
    requests_reset: float | None = None
    tokens_reset: float | None = None


@dataclass(frozen=True, slots=True)
class SettleBudget(Operation[None]):
    """Replace what was reserved for a call by what it took; does nothing when that was done before."""

    execution: Execution
    step: str
    tokens: int
    cost: int
    remaining: Remaining | None = None
    apart = True


@dataclass(frozen=True, slots=True)
class PauseModel(Operation[None]):
    """Nobody calls the model for so many seconds: its endpoint asked for that."""

    model: str
    seconds: float
    apart = True


@dataclass(frozen=True, slots=True)
class FreeBudgets(Operation[int]):
    """Give back what executions that are over had reserved, and places in line of jobs that have ended."""

    apart = True


@dataclass(frozen=True, slots=True)
class UsageByDay(Query[tuple["UsageRecord", ...]]):
    """What calls took from the day ``first`` on (see `UsageRecord`), the latest first. ``owner`` None is everybody,
    each in records of their own."""

    first: int
    owner: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class UsageOfJob(Query[tuple["UsageRecord", ...]]):
    """What a job's calls took, by model; ``day`` is that of the first call."""

    job: str


@dataclass(frozen=True, slots=True)
class UsageRecord:
    """``day`` counts from 1970-01-01 (UTC); ``cost`` in billionths, None where no call had a price."""

    day: int
    owner: str
    model: str
    calls: int
    input_tokens: int
    output_tokens: int
    cost: int | None
