"""Writes that keep the store in order; any worker may do them, and they may be done twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from .base import Limit, Operation, Query


class Chore(StrEnum):
    """What one worker does now and then for all."""

    EXPIRE = "expire"
    RAISE = "raise"
    UNBLOCK = "unblock"
    COUNT = "count"
    FOLD = "fold"
    PRUNE = "prune"


@dataclass(frozen=True, slots=True)
class OpenChores(Query[frozenset[Chore]]):
    """The chores for which it is time, of those that find anything to do. A look that writes nothing."""


@dataclass(frozen=True, slots=True)
class TakeChore(Operation[bool]):
    """Whether the chore is due and now this caller's; nobody else gets it for ``interval`` seconds."""

    chore: Chore
    interval: float


@dataclass(frozen=True, slots=True)
class OldJobs(Query[tuple[str, ...]]):
    """Jobs in the line whose waiting has earned them a higher rank (see `RaiseOld`), by id, those behind ``after``."""

    patience: float
    after: str = ""
    limit: int = 100


@dataclass(frozen=True, slots=True)
class RaiseOld(Operation[int]):
    """Let those of these jobs that have waited ``patience`` seconds overtake the next higher priority, again for each
    further ``patience``; answers how many. Among the jobs of the higher rank they take turns like any other."""

    patience: float
    jobs: Sequence[str]
    apart = True


@dataclass(frozen=True, slots=True)
class FreeBlocked(Operation[int]):
    """Bring back jobs that were moved aside for a limit which has room; answers how many. A net: slots do it too.

    Where a limit is among those of ``tasks`` and ``queues``, as many of each owner's as it has room for: it may have
    been raised. Else one of an owner of whom nothing runs.
    """

    tasks: Mapping[str, Limit] = field(default_factory=dict)
    queues: Mapping[str, Limit] = field(default_factory=dict)
    apart = True


@dataclass(frozen=True, slots=True)
class FoldCounts(Operation[bool]):
    """Add up some changes of the counters, so that reading them stays quick; answers whether there are more."""

    apart = True


@dataclass(frozen=True, slots=True)
class ExpireWaiting(Operation[int]):
    """Fail some of the jobs that were not started before their time was over; answers how many."""

    apart = True


@dataclass(frozen=True, slots=True)
class FoldTexts(Operation[bool]):
    """Fold some of the text events of jobs that ended ten minutes ago or earlier; answers whether there may be more.

    Whoever reads the log gets the same events as before.
    """

    apart = True
