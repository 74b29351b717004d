"""What has been kept long enough is removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..retention import Retention
from .base import Operation, Query

Place = tuple[int, str]
"""Where a job stands among those that have ended: when it ended, and its id."""


@dataclass(frozen=True, slots=True)
class DeclareRetention(Operation[None]):
    """Make known how long the jobs of these tasks are kept where that is not as usual. The worker that was started
    last is right; a task without anything of its own is as usual again."""

    tasks: Mapping[str, Retention]
    apart = True


@dataclass(frozen=True, slots=True)
class FindPrunable(Query["Prunable"]):
    """Some of the ended jobs that have been kept longer than ``retention`` says for their status; a status that it
    leaves out is kept. ``usual``: what tasks have declared for themselves wins. ``after``: where the last answer
    stopped looking."""

    retention: Retention
    usual: bool = True
    after: Place | None = None
    limit: int = 500


@dataclass(frozen=True, slots=True)
class Prunable:
    """``after`` None: there are no more."""

    jobs: tuple[Place, ...]
    after: Place | None


@dataclass(frozen=True, slots=True)
class Prune(Operation[int]):
    """Remove those of these jobs that have not been run again since, with all that belongs to them; answers how many.

    Their notifications stay in the inbox for their own time.
    """

    jobs: Sequence[Place]
    apart = True


@dataclass(frozen=True, slots=True)
class PruneNotifications(Operation[int]):
    """Remove some of the notifications that are older than ``age`` seconds; answers how many."""

    age: float
    apart = True


@dataclass(frozen=True, slots=True)
class PruneLine(Operation[bool]):
    """Forget the turns of owners and the starts of tasks that the line needs no more, and the lines, limits and budgets
    that have been at rest for a day. Answers whether there may be more."""

    apart = True
