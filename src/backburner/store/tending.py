"""Keeping the line in order: chores that one process does for all, jobs that have waited long, paused queues."""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, delete, select, update

from ..domain.operations import PauseQueue, RaiseOld, TakeChore
from . import tables
from .batch import Batch
from .claiming import DELETE_READY
from .connection import Statement
from .lining import Lined

chores, ready, paused = tables.chores, tables.ready, tables.paused_queues

HIGHEST = -10
AT_ONCE = 500


def take_chore(batch: Batch, operation: TakeChore) -> bool:
    due = batch.now + int(operation.interval * 1e6)
    if batch.connection.run(NEW_CHORE, name=operation.name, due_at=due) == 1:
        return True
    return batch.connection.run(TAKE, name_=operation.name, due_at=due, now=batch.now) == 1


def raise_old(batch: Batch, operation: RaiseOld) -> int:
    """One rank higher for each ``patience`` that a job has waited; the oldest first."""
    patience = int(operation.patience * 1e6)
    rows = batch.connection.all(FIND_OLD, before=batch.now - patience, highest=HIGHEST, count=AT_ONCE)
    raised = []
    for queue, task, rank, turn, job, since, owner, priority in rows:
        target = max(HIGHEST, -priority - (batch.now - since) // patience)
        if target < rank:
            raised.append({"queue": queue, "task": task, "rank": rank, "turn": turn, "job": job})
            batch.line_up(Lined(job, queue, task, target, owner, since))
    batch.connection.many(DELETE_READY, raised)
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
    .where(chores.c.name == bindparam("name_"), chores.c.due_at <= bindparam("now"))
    .values(due_at=bindparam("due_at"))
)
FIND_OLD = Statement(
    select(
        ready.c.queue,
        ready.c.task,
        ready.c.rank,
        ready.c.turn,
        ready.c.job_id,
        ready.c.since,
        ready.c.owner,
        tables.jobs.c.priority,
    )
    .join(tables.jobs, tables.jobs.c.id == ready.c.job_id)
    .where(ready.c.since <= bindparam("before"), ready.c.rank > bindparam("highest"))
    .order_by(ready.c.job_id)
    .limit(bindparam("count"))
    .with_for_update(skip_locked=True, of=ready)
)


def _pause(insert: Any) -> Any:
    values = insert(paused).values(queue=bindparam("queue"), since=bindparam("since"))
    return values.on_conflict_do_nothing(index_elements=["queue"])


PAUSE = Statement(_pause)
RESUME = Statement(delete(paused).where(paused.c.queue == bindparam("queue")))
