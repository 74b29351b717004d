"""How much room the limits of tasks, queues and owners leave, and where jobs wait that have none.

Running jobs are counted in `leases`. Whoever counts them holds the row of the task or the queue in `limits`, so that
two claims never count at once; a slot that is given back meanwhile is not seen yet, which keeps the limits exact.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import bindparam, delete, func, select, update

from ..domain.operations import UNLIMITED, FreeBlocked, Limit
from . import tables
from .batch import Batch, insert_all
from .connection import Family, Statement
from .leaving import LEAVE_BLOCKED, LEAVE_READY
from .lining import Lined
from .merging import Head, Line

leases, limits, blocked, starts = tables.leases, tables.limits, tables.blocked, tables.starts

BIG = 1 << 30
MOST_BROUGHT_BACK = 500
"""Of an owner's jobs in one sweep."""
LIMITS = ("concurrency", "rate_count", "rate_seconds")


class Rooms:
    """What may still be started in this claim."""

    def __init__(
        self, batch: Batch, tasks: Mapping[str, Limit], queues: Mapping[str, Limit], lines: Sequence[Line]
    ) -> None:
        self._batch = batch
        self._limits: dict[str, Limit] = {}
        for line in lines:
            for scope, limit in (
                (task_scope(line.task), tasks.get(line.task, UNLIMITED)),
                (queue_scope(line.queue), queues.get(line.queue, UNLIMITED)),
            ):
                if limit:
                    self._limits[scope] = limit
        self._running: dict[str, int] = {}
        self._theirs: dict[str, Counter[str]] = {}
        self._starts: dict[str, int] = {}
        self._first_starts: dict[str, int] = {}
        for scope in hold(batch, self._limits):
            self._count(scope)

    def __bool__(self) -> bool:
        """Whether there is any limit at all."""
        return bool(self._limits)

    def of(self, line: Line) -> int:
        """How many more of the line may be started, whoever owns them."""
        return min(self._left(task_scope(line.task)), self._left(queue_scope(line.queue)))

    def refuses(self, head: Head) -> str | None:
        """The scope in which the job's owner is at the limit, None where there is room."""
        for scope in (task_scope(head.task), queue_scope(head.queue)):
            limit = self._limits.get(scope)
            if limit is None or limit.owner_concurrency is None:
                continue
            if self._theirs[scope][head.owner] >= limit.owner_concurrency:
                return scope
        return None

    def limits(self, head: Head) -> bool:
        """Whether the job counts for any limit."""
        return task_scope(head.task) in self._limits or queue_scope(head.queue) in self._limits

    def take(self, head: Head) -> None:
        for scope in (task_scope(head.task), queue_scope(head.queue)):
            if scope in self._limits:
                self._running[scope] += 1
                self._theirs[scope][head.owner] += 1
                self._starts[scope] = self._starts.get(scope, 0) + 1

    def note_starts(self, picked: Iterable[Head]) -> None:
        """Remember the starts of tasks that have a rate."""
        rated = [head for head in picked if (limit := self._limits.get(task_scope(head.task))) and limit.rate]
        now = self._batch.now
        rows = [{"task": head.task, "at": now, "job_id": head.job, "attempt": head.attempt + 1} for head in rated]
        self._batch.connection.many(INSERT_START, rows)

    def wait(self) -> float | None:
        """Seconds until a rate that is used up allows another start."""
        waits = []
        for scope, first in self._first_starts.items():
            rate = self._limits[scope].rate
            if rate is not None and self._starts[scope] >= rate[0]:
                waits.append(max((first + int(rate[1] * 1e6) - self._batch.now) / 1e6, 0.001))
        return min(waits, default=None)

    def _left(self, scope: str) -> int:
        limit = self._limits.get(scope)
        if limit is None:
            return BIG
        left = BIG if limit.concurrency is None else limit.concurrency - self._running[scope]
        if limit.rate is not None:
            left = min(left, limit.rate[0] - self._starts.get(scope, 0))
        return left

    def _count(self, scope: str) -> None:
        name = scope.partition(":")[2]
        theirs: Counter[str] = Counter(dict(self._batch.connection.all(_running_in(scope), name=name)))
        self._theirs[scope] = theirs
        self._running[scope] = theirs.total()
        rate = self._limits[scope].rate
        if rate is not None:
            self._count_starts(scope, name, rate[1])

    def _count_starts(self, scope: str, task: str, seconds: float) -> None:
        now = self._batch.now
        self._batch.connection.run(FORGET_STARTS, task=task, before=now - int(seconds * 1e6))
        self._batch.connection.run(BRING_STARTS_BACK, task_=task, now=now)
        row = self._batch.connection.one(COUNT_STARTS, task=task)
        assert row is not None
        self._starts[scope] = row[0]
        self._first_starts[scope] = now if row[1] is None else row[1]


def hold(batch: Batch, wanted: Mapping[str, Limit]) -> list[str]:
    """Take the rows of these scopes, in one order everywhere; their limits are written down for readers."""
    scopes = sorted(wanted)
    if not scopes:
        return scopes
    known = {scope: tuple(limits) for scope, *limits in batch.connection.among(HOLD, scopes)}
    for scope in scopes:
        limit = wanted[scope]
        row = (limit.concurrency, *(limit.rate or (None, None)))
        if scope not in known:
            batch.connection.run(INSERT_LIMIT, scope=scope, **dict(zip(LIMITS, row, strict=True)))
            _count_from_now(batch, scope)
        elif known[scope] != row:
            batch.connection.run(SET_LIMIT, scope_=scope, **dict(zip(LIMITS, row, strict=True)))
    if len(known) < len(scopes):
        batch.connection.among(HOLD, scopes)
    return scopes


def _count_from_now(batch: Batch, scope: str) -> None:
    """What runs already was started when there was no limit."""
    kind, name = scope.split(":", 1)
    batch.connection.run(COUNT_TASKS_JOBS if kind == "task" else COUNT_QUEUES_JOBS, name=name)


def set_aside(batch: Batch, jobs: Sequence[tuple[Head, str]]) -> None:
    """Out of the line, so that no claim steps over them until their owner has room."""
    batch.connection.many(LEAVE_READY, [{"job": head.job} for head, _ in jobs])
    batch.connection.many(
        INSERT_BLOCKED,
        [
            {
                "scope": scope,
                "owner": head.owner,
                "rank": head.rank,
                "turn": head.turn,
                "job_id": head.job,
                "queue": head.queue,
                "task": head.task,
                "since": head.since,
            }
            for head, scope in jobs
        ],
    )


def bring_back(batch: Batch, slots: Counter[tuple[str, str, str]]) -> None:
    """``slots`` of (queue, task, owner) are free: as many of the owner's blocked jobs enter the line again."""
    free: Counter[tuple[str, str]] = Counter()
    for (queue, task, owner), count in slots.items():
        free[task_scope(task), owner] += count
        free[queue_scope(queue), owner] += count
    scopes = sorted({scope for scope, _ in free})
    if batch.connection.among(HOLD, scopes):
        for (scope, owner), count in sorted(free.items()):
            _line_up_again(batch, batch.connection.all(FIRST_BLOCKED, scope=scope, owner=owner, count=count))


def free_blocked(batch: Batch, operation: FreeBlocked) -> int:
    """The net behind `bring_back`, and what a raised limit brings back: no claim sees what is set aside."""
    limits = {task_scope(task): limit for task, limit in operation.tasks.items()}
    limits |= {queue_scope(queue): limit for queue, limit in operation.queues.items()}
    brought = 0
    for scope, owner in batch.connection.all(BLOCKED_OWNERS):
        running = dict(batch.connection.all(_running_in(scope), name=scope.partition(":")[2])).get(owner, 0)
        count = _room(limits[scope], running) if scope in limits else int(not running)
        if count > 0:
            rows = batch.connection.all(FIRST_BLOCKED, scope=scope, owner=owner, count=count)
            _line_up_again(batch, rows)
            brought += len(rows)
    return brought


def _room(limit: Limit, running: int) -> int:
    most = limit.owner_concurrency
    return MOST_BROUGHT_BACK if most is None else min(most - running, MOST_BROUGHT_BACK)


def _running_in(scope: str) -> Statement:
    return RUNNING_OF_TASK if scope.startswith("task:") else RUNNING_IN_QUEUE


def _line_up_again(batch: Batch, rows: Sequence[tuple[object, ...]]) -> None:
    batch.connection.many(LEAVE_BLOCKED, [{"job": row[3]} for row in rows])
    for rank, turn, since, job, queue, task, owner in rows:
        batch.line_up(
            Lined(str(job), str(queue), str(task), int(str(rank)), str(owner), int(str(since)), True, int(str(turn)))
        )


def task_scope(task: str) -> str:
    return f"task:{task}"


def queue_scope(queue: str) -> str:
    return f"queue:{queue}"


def _running(column: object) -> Statement:
    return Statement(
        select(leases.c.owner, func.count())
        .where(column == bindparam("name"), leases.c.limited.is_(True))
        .group_by(leases.c.owner)
    )


COUNT_TASKS_JOBS = Statement(update(leases).where(leases.c.task == bindparam("name")).values(limited=True))
COUNT_QUEUES_JOBS = Statement(update(leases).where(leases.c.queue == bindparam("name")).values(limited=True))
RUNNING_OF_TASK = _running(leases.c.task)
RUNNING_IN_QUEUE = _running(leases.c.queue)
HOLD = Family(
    lambda among: (
        select(limits.c.scope, *(limits.c[name] for name in LIMITS))
        .where(among(limits.c.scope))
        .order_by(limits.c.scope)
        .with_for_update()
    )
)
INSERT_LIMIT = Statement(
    lambda insert: (
        insert(limits)
        .values({name: bindparam(name) for name in ("scope", *LIMITS)})
        .on_conflict_do_nothing(index_elements=["scope"])
    )
)
SET_LIMIT = Statement(
    update(limits).where(limits.c.scope == bindparam("scope_")).values({name: bindparam(name) for name in LIMITS})
)
FORGET_STARTS = Statement(delete(starts).where(starts.c.task == bindparam("task"), starts.c.at <= bindparam("before")))
BRING_STARTS_BACK = Statement(
    update(starts)
    .where(starts.c.task == bindparam("task_"), starts.c.at > bindparam("now"))
    .values(at=bindparam("now"))
)
"""A clock that was put back must not stop a task until it has caught up."""
COUNT_STARTS = Statement(select(func.count(), func.min(starts.c.at)).where(starts.c.task == bindparam("task")))
INSERT_START = Statement(insert_all(starts, *(column.name for column in starts.columns)))
INSERT_BLOCKED = Statement(insert_all(blocked, *(column.name for column in blocked.columns)))
FIRST_BLOCKED = Statement(
    select(
        blocked.c.rank,
        blocked.c.turn,
        blocked.c.since,
        blocked.c.job_id,
        blocked.c.queue,
        blocked.c.task,
        blocked.c.owner,
    )
    .where(blocked.c.scope == bindparam("scope"), blocked.c.owner == bindparam("owner"))
    .order_by(blocked.c.rank, blocked.c.turn, blocked.c.job_id)
    .limit(bindparam("count"))
    .with_for_update(skip_locked=True)
)
BLOCKED_OWNERS = Statement(select(blocked.c.scope, blocked.c.owner).distinct())
