"""When a waiting job's turn comes, as far as the line and the slots tell; see docs/decisions/0010-waiting-time.md."""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

LEAST_LEFT = 0.1
"""The part of its usual time that a running job is given at least, however long it runs already."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """``position`` in the line, 1 being next; ``eta_seconds`` until the job is expected to have ended. None is unknown,
    or that there is no such thing: nobody knows when a person answers."""

    position: int | None = None
    eta_seconds: float | None = None


UNKNOWN = Outlook()


@dataclass(frozen=True, slots=True)
class Busy:
    """A running job: the slot's pool, and the seconds until the slot is free, None when nobody knows."""

    queue: str
    task: str
    pool: int | None
    left: float | None


@dataclass(frozen=True, slots=True)
class Queued:
    """A job in the line; ``order`` is rank, turn and id, ``seconds`` what it is going to take."""

    order: tuple[int, int, str]
    queue: str
    task: str
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Pool:
    """The slots of workers that know the same tasks."""

    tasks: frozenset[str]
    slots: int


@dataclass(frozen=True, slots=True)
class Slots:
    """What may run at once: the workers' slots, and the limits of tasks and queues by their scopes."""

    pools: Sequence[Pool]
    limits: Mapping[str, int]

    def known(self, task: str) -> int:
        """Slots in which a job of the task may run."""
        return sum(pool.slots for pool in self.pools if task in pool.tasks)


def scopes_of(queue: str, task: str) -> tuple[str, str]:
    return f"task:{task}", f"queue:{queue}"


def time_left(expected: float | None, elapsed: float, percent: float) -> float | None:
    """Seconds that a running job still takes: from what its like took, and the more it has reported, from its own
    progress."""
    share = min(max(percent / 100, 0.0), 1.0)
    by_progress = elapsed * (1 - share) / share if share else None
    if expected is None:
        return by_progress
    by_others = max(expected - elapsed, LEAST_LEFT * expected)
    if by_progress is None:
        return by_others
    weight = share if elapsed > expected else share * share  # a first few percent are often reported at once
    return weight * by_progress + (1 - weight) * by_others


def play_out(slots: Slots, busy: Iterable[Busy], line: Iterable[Queued]) -> dict[str, float]:
    """Seconds until each job of the line starts, as if nobody came after it. Jobs that do not start, as far as is
    known, are left out."""
    play = _Play(slots, busy, line)
    return play.run()


class _Play:
    def __init__(self, slots: Slots, busy: Iterable[Busy], line: Iterable[Queued]) -> None:
        self._pools = slots.pools
        self._free = [pool.slots for pool in slots.pools]
        self._room = dict(slots.limits)
        self._ends: list[tuple[float, int, Busy]] = []
        self._begun = 0
        self._lines: dict[tuple[str, str], deque[Queued]] = {}
        for job in busy:
            self._occupy(job, 0.0)
        for waiting in sorted(line, key=lambda each: each.order):
            self._lines.setdefault((waiting.queue, waiting.task), deque()).append(waiting)

    def run(self) -> dict[str, float]:
        starts: dict[str, float] = {}
        now = 0.0
        while True:
            while (place := self._next()) is not None:
                job, pool = place
                starts[job.order[2]] = now
                self._occupy(Busy(job.queue, job.task, pool, job.seconds), now)
            if not self._lines or not self._ends:
                return starts
            now, _, ended = heapq.heappop(self._ends)
            self._release(ended)

    def _next(self) -> tuple[Queued, int] | None:
        """The first job that may start now, out of its line, with its pool."""
        if not any(free > 0 for free in self._free):
            return None
        first: tuple[Queued, int] | None = None
        for (queue, task), line in self._lines.items():
            if first is None or line[0].order < first[0].order:
                pool = self._pool_for(queue, task)
                if pool is not None:
                    first = line[0], pool
        if first is not None:
            key = first[0].queue, first[0].task
            self._lines[key].popleft()
            if not self._lines[key]:
                del self._lines[key]
        return first

    def _pool_for(self, queue: str, task: str) -> int | None:
        """The pool that has most room for a job of the task."""
        if any(self._room.get(scope, 1) <= 0 for scope in scopes_of(queue, task)):
            return None
        found, most = None, 0
        for number, free in enumerate(self._free):
            if free > most and task in self._pools[number].tasks:
                found, most = number, free
        return found

    def _occupy(self, job: Busy, now: float) -> None:
        self._change(job, -1)
        if job.left is not None:
            self._begun += 1
            heapq.heappush(self._ends, (now + job.left, self._begun, job))

    def _release(self, job: Busy) -> None:
        self._change(job, 1)

    def _change(self, job: Busy, by: int) -> None:
        if job.pool is not None:
            self._free[job.pool] += by
        for scope in scopes_of(job.queue, job.task):
            if scope in self._room:
                self._room[scope] += by


def flow(slots: Slots, queue: str, task: str, loads: Mapping[tuple[str, str], float]) -> float | None:
    """The same for a line too long to play out: seconds until work of ``loads`` (seconds, by queue and task) has passed
    through the slots, and what is of the job's own task and queue through their limits."""
    pools = [pool for pool in slots.pools if task in pool.tasks]
    width = sum(pool.slots for pool in pools)
    if not width:
        return None
    known = {task for pool in pools for task in pool.tasks}
    shared = {place: load for place, load in loads.items() if place[1] in known}
    by_scope: dict[str, float] = defaultdict(float)
    for (its_queue, its_task), load in shared.items():
        for scope in scopes_of(its_queue, its_task):
            by_scope[scope] += load
    own = max(
        (by_scope[scope] / slots.limits[scope] for scope in scopes_of(queue, task) if slots.limits.get(scope)),
        default=0.0,
    )
    return max(own, _passing(slots.limits, width, shared, by_scope))


def _passing(
    limits: Mapping[str, int], width: int, loads: Mapping[tuple[str, str], float], by_scope: Mapping[str, float]
) -> float:
    """A task at its limit takes no more slots than that and lets others pass: until when do all slots together have
    enough to do? Found from above, where all of the load is in the way."""
    time = sum(loads.values()) / width
    for _ in range(20):
        in_the_way = 0.0
        for (queue, task), load in loads.items():
            for scope in scopes_of(queue, task):
                if scope in limits and by_scope[scope] > 0:
                    load = min(load, limits[scope] * time * load / by_scope[scope])
            in_the_way += load
        if in_the_way >= time * width * 0.999:
            break
        time = in_the_way / width
    return time
