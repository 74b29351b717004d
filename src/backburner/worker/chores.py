"""What keeps the store in order: each worker looks, one does it for all, on a thread that no lease depends on."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass

from ..domain.operations import Chore, ExpireWaiting, FoldCounts, FreeBlocked, OldJobs, OpenChores, RaiseOld, TakeChore
from ..ports import Store
from .looking import Looker

log = logging.getLogger("backburner.worker")

LOOK = 5.0
"""Seconds between two looks for something to do: one read, which an idle worker hardly feels."""
PAUSE = 0.05
"""Seconds between the parts of a long chore: submits and claims come first."""


@dataclass(frozen=True, slots=True)
class Routine:
    """A chore, how often it is done (seconds), and one part of it; the answer says whether there is more."""

    chore: Chore
    every: float
    part: Callable[[], bool]


class Chores(Looker):
    """``ageing``: seconds of waiting that earn a job the next higher priority."""

    name = "chores"
    what = "the store is not kept in order"

    def __init__(self, store: Store, ageing: float) -> None:
        super().__init__()
        self._store = store
        self._ageing = ageing
        self._oldest_seen = ""
        routines = (
            Routine(Chore.EXPIRE, 4.0, self._expire),  # claims start nobody who is late: this is for those who watch
            Routine(Chore.COUNT, 10.0, self._fold_counts),  # a busy worker makes some thousand changes meanwhile
            Routine(Chore.UNBLOCK, 60.0, self._free_blocked),  # a net: every freed slot does it at once
            Routine(Chore.RAISE, max(ageing / 10, 1.0), self._raise_old),  # nobody waits a tenth longer than promised
        )
        self._routines = {routine.chore: routine for routine in routines}

    def pause(self) -> float:
        return LOOK * random.uniform(0.8, 1.2)

    def look(self) -> None:
        for chore in sorted(self._store.read_sync(OpenChores())):
            if self._stop.is_set():
                return
            routine = self._routines[chore]
            if self._store.write_sync(TakeChore(chore, routine.every)):
                self._do(routine)

    def _do(self, routine: Routine) -> None:
        while routine.part():
            if self._stop.wait(PAUSE):
                return

    def _expire(self) -> bool:
        count = self._store.write_sync(ExpireWaiting())
        if count:
            log.warning("failed %d jobs that were not started in time", count)
        return count > 0

    def _fold_counts(self) -> bool:
        return self._store.write_sync(FoldCounts())

    def _free_blocked(self) -> bool:
        self._store.write_sync(FreeBlocked())
        return False

    def _raise_old(self) -> bool:
        jobs = self._store.read_sync(OldJobs(self._ageing, self._oldest_seen))
        self._oldest_seen = jobs[-1] if jobs else ""
        if jobs:
            self._store.write_sync(RaiseOld(self._ageing, jobs))
        return bool(jobs)
