"""What keeps the store in order: each worker looks, one does it for all, on a thread that no lease depends on."""

from __future__ import annotations

import logging
import random
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..domain.operations import (
    Chore,
    DeclareRetention,
    ExpireWaiting,
    FindPrunable,
    FoldCounts,
    FoldTexts,
    FreeBlocked,
    Limit,
    OldJobs,
    OpenChores,
    Prune,
    PruneBatches,
    PruneLine,
    PruneNotifications,
    PruneTokens,
    RaiseOld,
    TakeChore,
)
from ..domain.operations.pruning import Place
from ..domain.retention import NOTIFICATIONS, Retention
from ..ports import Store
from .looking import Looker

log = logging.getLogger("backburner.worker")

LOOK = 5.0
"""Seconds between two looks for something to do: one read, which an idle worker hardly feels."""
PAUSE = 0.005
"""Seconds between the parts of a long chore, or as long as the part took: submits and claims come first."""
JOBS_AT_ONCE = 25
"""What one transaction removes."""


@dataclass(frozen=True, slots=True)
class Routine:
    """A chore, how often it is done (seconds), and one part of it; the answer says whether there is more."""

    chore: Chore
    every: float
    part: Callable[[], bool]


class Chores(Looker):
    """``ageing``: seconds of waiting that earn a job the next higher priority. ``retention``: how long ended jobs and
    notifications are kept, ``by_task`` where a task has it otherwise; ``tasks`` and ``queues`` this worker's limits."""

    name = "chores"
    what = "the store is not kept in order"

    def __init__(
        self,
        store: Store,
        ageing: float,
        retention: Retention,
        by_task: Mapping[str, Retention],
        tasks: Mapping[str, Limit],
        queues: Mapping[str, Limit],
    ) -> None:
        super().__init__()
        self._store = store
        self._ageing = ageing
        self._retention = retention
        self._by_task = by_task
        self._blocked = FreeBlocked(tasks, queues)
        self._declared = False
        self._oldest_seen = ""
        self._prunable: deque[Place] = deque()
        self._pruned: Place | None = None
        routines = (
            Routine(Chore.EXPIRE, 4.0, self._expire),  # claims start nobody who is late: this is for those who watch
            Routine(Chore.COUNT, 10.0, self._fold_counts),  # a busy worker makes some thousand changes meanwhile
            Routine(Chore.UNBLOCK, 60.0, self._free_blocked),  # a net: every freed slot does it at once
            Routine(Chore.RAISE, max(ageing / 10, 1.0), self._raise_old),  # nobody waits a tenth longer than promised
            Routine(Chore.FOLD, 60.0, self._fold_texts),  # ten minutes after its end a job's text is in no hurry
            Routine(Chore.PRUNE, 300.0, self._prune),  # days are kept: minutes do not matter
        )
        self._routines = {routine.chore: routine for routine in routines}

    def pause(self) -> float:
        return LOOK * random.uniform(0.8, 1.2)

    def look(self) -> None:
        if not self._declared:
            self._store.write_sync(DeclareRetention(self._by_task))
            self._store.write_sync(self._blocked)  # this worker's limits may be higher than those of the one before
            self._declared = True
        for chore in sorted(self._store.read_sync(OpenChores())):
            if self._stop.is_set():
                return
            routine = self._routines[chore]
            if self._store.write_sync(TakeChore(chore, routine.every)):
                self._do(routine)

    def _do(self, routine: Routine) -> None:
        began = time.monotonic()
        while routine.part():
            if self._stop.wait(max(time.monotonic() - began, PAUSE)):
                return
            began = time.monotonic()

    def _expire(self) -> bool:
        count = self._store.write_sync(ExpireWaiting())
        if count:
            log.warning("failed %d jobs that were not started in time", count)
        return count > 0

    def _fold_counts(self) -> bool:
        return self._store.write_sync(FoldCounts())

    def _fold_texts(self) -> bool:
        return self._store.write_sync(FoldTexts())

    def _free_blocked(self) -> bool:
        self._store.write_sync(self._blocked)
        return False

    def _raise_old(self) -> bool:
        jobs = self._store.read_sync(OldJobs(self._ageing, self._oldest_seen))
        self._oldest_seen = jobs[-1] if jobs else ""
        if jobs:
            self._store.write_sync(RaiseOld(self._ageing, jobs))
        return bool(jobs)

    def _prune(self) -> bool:
        """Ended jobs first, a page of them at a time, then what is old elsewhere."""
        if not self._prunable:
            found = self._store.read_sync(FindPrunable(self._retention, after=self._pruned))
            self._prunable.extend(found.jobs)
            self._pruned = found.after
        if self._prunable:
            some = [self._prunable.popleft() for _ in range(min(JOBS_AT_ONCE, len(self._prunable)))]
            self._store.write_sync(Prune(some))
        return bool(self._prunable) or self._pruned is not None or self._prune_the_rest()

    def _prune_the_rest(self) -> bool:
        age = self._retention.get(NOTIFICATIONS)
        if age is not None and self._store.write_sync(PruneNotifications(age)):
            return True
        kept = [self._retention.get(status) for status in ("completed", "failed", "cancelled")]
        ages = [seconds for seconds in kept if seconds is not None]
        if len(ages) == len(kept) and self._store.write_sync(PruneBatches(max(ages))):
            return True
        return self._store.write_sync(PruneTokens()) or self._store.write_sync(PruneLine())
