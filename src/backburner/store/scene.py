"""What is going on, as one who waits has to know it: who works, what runs, and how long things take."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property

from sqlalchemy import bindparam, select

from ..domain.json import decode
from ..domain.outlook import Busy, Pool, Slots, time_left
from ..domain.timing import Timing
from . import tables
from .connection import Connection, Statement
from .counting import SUMS

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
            timing = self._timings.get(task) or self._fresh.get(task)
            self._expected[task, size] = timing.expected(size) if timing is not None else None
        return self._expected[task, size]

    def left(self, task: str, size: float | None, started_at: int | None, percent: float) -> float | None:
        """Seconds until a running job has ended."""
        elapsed = max(self.now - (started_at or self.now), 0) / 1e6
        return time_left(self.expected(task, size), elapsed, percent)

    @cached_property
    def slots(self) -> Slots:
        concurrency: dict[frozenset[str], int] = defaultdict(int)
        for _, tasks, count in self._workers:
            concurrency[tasks] += count
        limits: dict[str, int] = dict(self._connection.all(READ_LIMITS))
        return Slots([Pool(tasks, count) for tasks, count in concurrency.items()], limits)

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
    select(tables.limits.c.scope, tables.limits.c.concurrency).where(tables.limits.c.concurrency.is_not(None))
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
