"""The line is played out in memory: who starts when; see docs/decisions/0010-waiting-time.md."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable

from .outlook import NOBODY_COMES, Arrivals, Busy, Queued, Slots, scopes_of

MOST_NEWCOMERS = 400
GOLDEN = 0.618034
"""By this part of all those that came one newcomer is from the next, so that few of them are a fair mixture."""


def play_out(
    slots: Slots, busy: Iterable[Busy], line: Iterable[Queued], arrivals: Arrivals = NOBODY_COMES
) -> dict[str, float]:
    """Seconds until each job of the line starts. Jobs that do not start, as far as is known, are left out."""
    return _Play(slots, busy, line, arrivals).run()


class _Play:
    def __init__(self, slots: Slots, busy: Iterable[Busy], line: Iterable[Queued], arrivals: Arrivals) -> None:
        self._pools = slots.pools
        self._free = [pool.slots for pool in slots.pools]
        self._room = dict(slots.limits)
        self._rates = slots.rates
        self._begun = {task: deque((-ago for ago in rate.recent), rate.count) for task, rate in slots.rates.items()}
        self._now = 0.0
        self._ends: list[tuple[float, int, Busy]] = []
        self._count = 0
        self._lines: dict[tuple[str, str], list[tuple[tuple[int, int, str], Queued]]] = {}
        self._arrivals = arrivals
        self._arrived = 0
        self._turns = dict(arrivals.turns)
        self._times = dict(arrivals.times)
        for job in busy:
            self._occupy(job)
        self._asked: set[str] = set()
        for waiting in line:
            self._asked.add(waiting.order[2])
            self._line_up(waiting)

    def run(self) -> dict[str, float]:
        starts: dict[str, float] = {}
        while True:
            while (place := self._next()) is not None:
                job, pool = place
                if job.order[2] in self._asked:
                    starts[job.order[2]] = self._now
                self._start(job, pool)
            if len(starts) == len(self._asked) or not self._pass_time():
                return starts

    def _pass_time(self) -> bool:
        """To the next thing that happens; False where nothing does that lets a job start."""
        ends = self._ends[0][0] if self._ends else None
        opens = self._next_opening() if self._begun else None
        changes = [time for time in (ends, opens) if time is not None]
        if not changes:
            return False
        comes = self._next_arrival()
        if comes is not None and comes < min(changes):
            self._now = comes
            self._arrive()
        elif ends is not None and ends == min(changes):
            self._now, _, ended = heapq.heappop(self._ends)
            self._change(ended, 1)
        else:
            self._now = min(changes)
        return True

    def _next(self) -> tuple[Queued, int] | None:
        """The first job that may start now, out of its line, with its pool."""
        if not any(free > 0 for free in self._free):
            return None
        first: tuple[Queued, int] | None = None
        for (queue, task), line in self._lines.items():
            if first is None or line[0][0] < first[0].order:
                pool = self._pool_for(queue, task)
                if pool is not None:
                    first = line[0][1], pool
        if first is not None:
            key = first[0].queue, first[0].task
            heapq.heappop(self._lines[key])
            if not self._lines[key]:
                del self._lines[key]
        return first

    def _pool_for(self, queue: str, task: str) -> int | None:
        """The pool that has most room for a job of the task."""
        if self._begun and self._opens(task) > self._now:
            return None
        if any(self._room.get(scope, 1) <= 0 for scope in scopes_of(queue, task)):
            return None
        found, most = None, 0
        for number, free in enumerate(self._free):
            if free > most and task in self._pools[number].tasks:
                found, most = number, free
        return found

    def _start(self, job: Queued, pool: int) -> None:
        rank, turn, _ = job.order
        line = job.queue, rank
        self._times[line] = max(self._times.get(line, 0), turn)
        if job.task in self._begun:
            self._begun[job.task].append(self._now)
        self._occupy(Busy(job.queue, job.task, pool, job.seconds))

    def _occupy(self, job: Busy) -> None:
        self._change(job, -1)
        if job.left is not None:
            self._count += 1
            heapq.heappush(self._ends, (self._now + job.left, self._count, job))

    def _change(self, job: Busy, by: int) -> None:
        if job.pool is not None:
            self._free[job.pool] += by
        for scope in scopes_of(job.queue, job.task):
            if scope in self._room:
                self._room[scope] += by

    def _line_up(self, job: Queued) -> None:
        heapq.heappush(self._lines.setdefault((job.queue, job.task), []), (job.order, job))

    def _next_arrival(self) -> float | None:
        """The first comes in half of the usual time: somebody came a moment ago or a while."""
        if not self._arrivals.like or self._arrived >= MOST_NEWCOMERS:
            return None
        return (self._arrived + 0.5) * self._arrivals.every

    def _arrive(self) -> None:
        like = self._arrivals.like
        self._arrived += 1
        job = like[int(self._arrived * GOLDEN % 1 * len(like))]
        place = job.queue, job.rank, job.owner
        turn = max(self._times.get((job.queue, job.rank), 0), self._turns.get(place, 0))
        self._turns[place] = turn + 1
        order = job.rank, turn, f"~{self._arrived:04}"  # younger than any that is there
        self._line_up(Queued(order, job.queue, job.task, job.seconds))

    def _next_opening(self) -> float | None:
        """When the first of the rates that are used up allows another start."""
        openings = (self._opens(task) for _, task in self._lines)
        return min((opening for opening in openings if opening > self._now), default=None)

    def _opens(self, task: str) -> float:
        """When the task's rate allows another start."""
        begun = self._begun.get(task)
        return begun[0] + self._rates[task].seconds if begun and len(begun) == begun.maxlen else 0.0
