"""What is going on, as one who waits has to know it: who works, what runs, and how long things take."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property

from sqlalchemy import bindparam, or_, select

from ..domain.json import decode
from ..domain.outlook import Busy, Pool, Rate, Slots, time_left
from ..domain.timing import Timing
from . import tables
from .connection import Connection, Statement
from .counting import SUMS
from .limiting import task_scope

jobs, leases, workers, timings, changes = (
    tables.jobs,
    tables.leases,
    tables.workers,
    tables.timings,
    tables.count_changes,
)

PLAYED_OUT = 200
MOST_BUSY = 1000
"""Waiting and running jobs that are looked at one by one; what is more is reckoned by its sum."""


@dataclass(frozen=True, slots=True)
class Running:
    """A running job as others that wait see it."""

    busy: Busy
    owner: str


class Scene:
    """Each thing is read when it is first asked for."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._expected: dict[tuple[str, float | None], float | None] = {}
        self.now = connection.now()

    def expected(self, task: str, size: float | None = None) -> float | None:
        """Seconds that a job of the task takes, None while none was measured."""
        if (task, size) not in self._expected:
            timing = self._timing(task)
            self._expected[task, size] = timing.expected(size) if timing is not None else None
        return self._expected[task, size]

    def left(self, task: str, size: float | None, started_at: int | None, percent: float) -> float | None:
        """Seconds until a running job has ended."""
        elapsed = max(self.now - (started_at or self.now), 0) / 1e6
        timing = self._timing(task)
        scatter = timing.scatter(size) if timing is not None else 0.0
        return time_left(self.expected(task, size), elapsed, percent, scatter)

    @cached_property
    def slots(self) -> Slots:
        concurrency: dict[frozenset[str], int] = defaultdict(int)
        for _, tasks, count in self._workers:
            concurrency[tasks] += count
        limits: dict[str, int] = {}
        rates: dict[str, Rate] = {}
        for scope, limit, count, seconds in self._connection.all(READ_LIMITS):
            if limit is not None:
                limits[scope] = limit
            if count is not None and scope.startswith(task_scope("")):
                task = scope.removeprefix(task_scope(""))
                rates[task] = Rate(count, seconds, self._recent(task, count, seconds))
        return Slots([Pool(tasks, count) for tasks, count in concurrency.items()], limits, rates)

    def busy(self) -> list[Running] | None:
        """What runs, None when that is too much to look at one by one."""
        rows = self._connection.all(READ_BUSY, count=MOST_BUSY + 1)
        if len(rows) > MOST_BUSY:
            return None
        number = {pool.tasks: number for number, pool in enumerate(self.slots.pools)}
        pool_of = {worker: number[tasks] for worker, tasks, _ in self._workers}
        return [
            Running(Busy(queue, task, pool_of.get(worker), self.left(task, size, started_at, percent)), owner)
            for queue, task, owner, worker, size, started_at, percent in rows
        ]

    def _recent(self, task: str, count: int, seconds: float) -> list[float]:
        """How many seconds ago the last starts within a task's period were, the longest ago first."""
        rows = self._connection.all(READ_STARTS, task=task, after=self.now - int(seconds * 1e6), count=count)
        return [max(self.now - at, 0) / 1e6 for (at,) in reversed(rows)]

    def _timing(self, task: str) -> Timing | None:
        return self._timings.get(task) or self._fresh.get(task)

    @cached_property
    def _workers(self) -> list[tuple[str, frozenset[str], int]]:
        rows = self._connection.all(READ_LIVE, now=self.now)
        return [(worker, frozenset(decode(tasks)), concurrency) for worker, tasks, concurrency in rows]

    @cached_property
    def _timings(self) -> dict[str, Timing]:
        return {task: Timing(*sums) for task, *sums in self._connection.all(READ_TIMINGS)}

    @cached_property
    def _fresh(self) -> dict[str, Timing]:
        """What was measured just now and not added up yet: all that is known of a task in its first seconds."""
        found: dict[str, Timing] = {}
        for task, measured in self._connection.all(READ_MEASURED, count=PLAYED_OUT):
            found[task] = found.get(task, Timing()) + Timing(*decode(measured))
        return found


READ_TIMINGS = Statement(select(tables.timings.c.task, *(tables.timings.c[name] for name in SUMS)))
READ_MEASURED = Statement(
    select(tables.count_changes.c.task, tables.count_changes.c.measured)
    .where(tables.count_changes.c.measured.is_not(None))
    .order_by(tables.count_changes.c.id.desc())
    .limit(bindparam("count"))
)
READ_LIVE = Statement(
    select(tables.workers.c.id, tables.workers.c.tasks, tables.workers.c.concurrency)
    .where(tables.workers.c.expires_at >= bindparam("now"), tables.workers.c.concurrency.is_not(None))
    .order_by(tables.workers.c.id)
)
READ_LIMITS = Statement(
    select(
        tables.limits.c.scope, tables.limits.c.concurrency, tables.limits.c.rate_count, tables.limits.c.rate_seconds
    ).where(or_(tables.limits.c.concurrency.is_not(None), tables.limits.c.rate_count.is_not(None)))
)
READ_STARTS = Statement(
    select(tables.starts.c.at)
    .where(tables.starts.c.task == bindparam("task"), tables.starts.c.at > bindparam("after"))
    .order_by(tables.starts.c.at.desc())
    .limit(bindparam("count"))
)
READ_BUSY = Statement(
    select(
        leases.c.queue,
        leases.c.task,
        leases.c.owner,
        leases.c.worker_id,
        jobs.c.size,
        jobs.c.started_at,
        jobs.c.percent,
    )
    .join(jobs, jobs.c.id == leases.c.job_id)
    .limit(bindparam("count"))
)
