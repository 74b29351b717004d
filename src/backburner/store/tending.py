"""Keeping the line in order: chores that one process does for all, jobs that have waited long, paused queues."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, ColumnElement, bindparam, delete, exists, literal_column, or_, select, update

from ..domain.operations import Chore, OldJobs, OpenChores, PauseQueue, RaiseOld, TakeChore
from . import tables
from .batch import Batch
from .claiming import DELETE_READY
from .connection import Connection, Family, Statement
from .folding import IS_UNFOLDED
from .lining import Lined

chores, ready, paused = tables.chores, tables.ready, tables.paused_queues

HIGHEST = -10
LONGEST_REST = 3_600_000_000
"""No chore rests longer; one that seems to was noted before the clock was put back."""


def open_chores(connection: Connection, query: OpenChores) -> frozenset[Chore]:
    now = connection.now()
    resting = {name for (name,) in connection.all(NOT_DUE, now=now, latest=now + LONGEST_REST)}
    return frozenset(
        chore
        for chore, (statement, timed) in WORK.items()
        if chore not in resting and connection.one(statement, **({"now": now} if timed else {})) is not None
    )


def take_chore(batch: Batch, operation: TakeChore) -> bool:
    due = batch.now + int(operation.interval * 1e6)
    if batch.connection.run(NEW_CHORE, name=operation.chore, due_at=due) == 1:
        return True
    latest = batch.now + LONGEST_REST
    return batch.connection.run(TAKE, name_=operation.chore, due_at=due, now=batch.now, latest=latest) == 1


def old_jobs(connection: Connection, query: OldJobs) -> tuple[str, ...]:
    now, patience = connection.now(), int(query.patience * 1e6)
    rows = connection.all(
        FIND_OLD, before=now - patience, now=now, patience=patience, after=query.after, count=query.limit
    )
    return tuple(job for (job,) in rows)


def raise_old(batch: Batch, operation: RaiseOld) -> int:
    patience = int(operation.patience * 1e6)
    raised = []
    for queue, task, rank, job, since, owner, priority in batch.connection.among(HOLD_READY, operation.jobs):
        target = max(HIGHEST, -priority - (batch.now - since) // patience)
        if target < rank:
            raised.append(job)
            batch.line_up(Lined(job, queue, task, target, owner, since))
    batch.connection.each(DELETE_READY, raised)
    return len(raised)


def pause_queue(batch: Batch, operation: PauseQueue) -> None:
    if operation.paused:
        batch.connection.run(PAUSE, queue=operation.queue, since=batch.now)
    else:
        batch.connection.run(RESUME, queue=operation.queue)
        batch.work = True


NEW_CHORE = Statement(
    lambda insert: (
        insert(chores)
        .values(name=bindparam("name"), due_at=bindparam("due_at"))
        .on_conflict_do_nothing(index_elements=["name"])
    )
)
TAKE = Statement(
    update(chores)
    .where(
        chores.c.name == bindparam("name_"),
        (chores.c.due_at <= bindparam("now")) | (chores.c.due_at > bindparam("latest")),
    )
    .values(due_at=bindparam("due_at"))
)
FIND_OLD = Statement(
    select(ready.c.job_id)
    .join(tables.jobs, tables.jobs.c.id == ready.c.job_id)
    .where(
        ready.c.since <= bindparam("before"),
        ready.c.rank > HIGHEST,
        ready.c.rank
        > -tables.jobs.c.priority
        - (bindparam("now", type_=BigInteger) - ready.c.since) // bindparam("patience", type_=BigInteger),
        ready.c.job_id > bindparam("after"),
    )
    .order_by(ready.c.job_id)
    .limit(bindparam("count"))
)
HOLD_READY = Family(
    lambda among: (
        select(
            ready.c.queue,
            ready.c.task,
            ready.c.rank,
            ready.c.job_id,
            ready.c.since,
            ready.c.owner,
            tables.jobs.c.priority,
        )
        .join(tables.jobs, tables.jobs.c.id == ready.c.job_id)
        .where(among(ready.c.job_id))
        .order_by(ready.c.job_id)
        # The job's row too: it leaves one place of the line for another, and who cancels it must not miss both.
        .with_for_update(skip_locked=True, of=[ready, tables.jobs])
    )
)
NOT_DUE = Statement(
    select(chores.c.name).where(chores.c.due_at > bindparam("now"), chores.c.due_at <= bindparam("latest"))
)


def _any(column: ColumnElement[Any], *conditions: ColumnElement[bool]) -> Statement:
    return Statement(select(column).where(*conditions).limit(1))


_batches = select(tables.batches.c.id).where(tables.batches.c.finished_at.is_not(None))
_ended = select(tables.jobs.c.id).where(tables.jobs.c.finished_at.is_not(None))
_notifications = select(tables.notifications.c.id)
WORK: dict[Chore, tuple[Statement, bool]] = {
    Chore.EXPIRE: (_any(tables.deadlines.c.job_id, tables.deadlines.c.at <= bindparam("now")), True),
    Chore.RAISE: (_any(ready.c.job_id), False),
    Chore.UNBLOCK: (_any(tables.blocked.c.job_id), False),
    Chore.COUNT: (_any(tables.count_changes.c.id), False),
    Chore.FOLD: (IS_UNFOLDED, True),
    Chore.PRUNE: (_any(literal_column("1"), or_(exists(_ended), exists(_notifications), exists(_batches))), False),
}
"""How to see whether a chore finds anything to do, and whether that needs the time."""


def _pause(insert: Any) -> Any:
    values = insert(paused).values(queue=bindparam("queue"), since=bindparam("since"))
    return values.on_conflict_do_nothing(index_elements=["queue"])


PAUSE = Statement(_pause)
RESUME = Statement(delete(paused).where(paused.c.queue == bindparam("queue")))
