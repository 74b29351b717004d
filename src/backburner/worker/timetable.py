"""Ticks of the crons: a timer runs until the next one, so that an idle worker is woken in time and polls nothing."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from ..domain.crons import Cron
from ..domain.operations import DeclareCrons, FireCrons, NextTick
from ..ports import Store
from .looking import Looker

log = logging.getLogger("backburner.worker")

LONGEST_PAUSE = 60.0
"""Seconds: clocks are set, and sleep is not counted on every machine."""


class Timetable(Looker):
    name = "timetable"
    what = "crons are not fired"

    def __init__(self, store: Store, crons: Iterable[Cron]) -> None:
        super().__init__()
        self._store = store
        self._crons = tuple(crons)
        self._declared = False
        self._pause = 0.0

    def start(self) -> None:
        if self._crons:
            super().start()

    def pause(self) -> float:
        return self._pause

    def look(self) -> None:
        if not self._declared:
            self._store.write_sync(DeclareCrons(self._crons))
            self._declared = True
        wait = self._store.read_sync(NextTick(self._crons))
        if wait is not None and wait <= 0:
            fired = self._store.write_sync(FireCrons(tuple((cron, cron.make_job()) for cron in self._crons)))
            if fired:
                log.info("submitted %d jobs on schedule", fired)
            wait = self._store.read_sync(NextTick(self._crons))
        self._pause = min(max(wait, 0.001), LONGEST_PAUSE) if wait is not None else LONGEST_PAUSE
