"""Writes that keep the store in order; any worker may do them, and they may be done twice."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Operation


@dataclass(frozen=True, slots=True)
class TakeChore(Operation[bool]):
    """Whether the chore ``name`` is due and now this caller's; nobody else gets it for ``interval`` seconds."""

    name: str
    interval: float


@dataclass(frozen=True, slots=True)
class RaiseOld(Operation[int]):
    """Let jobs that have waited ``patience`` seconds overtake the next higher priority, again and again."""

    patience: float


@dataclass(frozen=True, slots=True)
class FreeBlocked(Operation[int]):
    """Bring back jobs that were moved aside for a limit which has room; answers how many. A net: slots do it too."""


@dataclass(frozen=True, slots=True)
class FoldCounts(Operation[bool]):
    """Add up some changes of the counters, so that reading them stays quick; answers whether there are more."""


@dataclass(frozen=True, slots=True)
class ExpireWaiting(Operation[int]):
    """Fail jobs that were not started before their time was over; answers how many."""
