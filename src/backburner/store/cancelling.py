"""Jobs are cancelled together with those that they have submitted."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, delete, select, update

from ..domain import events
from ..domain.ids import is_execution
from ..domain.job import Status
from ..domain.json import encode
from . import tables
from .batch import Batch, Ended
from .connection import Family, Row, Statement
from .keying import leave_key
from .leaving import LEAVE_LINE
from .sharing import hold_all, without_jobs
from .submitting import submitted_data

jobs, leases = tables.jobs, tables.leases


def cancel_jobs(batch: Batch, ids: Iterable[str]) -> None:
    """Those that wait are cancelled, those that run asked to stop, their children likewise; ended ones stay, and what
    they have left behind.

    None of them may be held yet, unless it is running (see `awaiting.hold_children`).
    """
    parents = _with_descendants(batch, ids)
    found = sorted(parents, reverse=True)
    hold_all(batch, found)
    unfinished = {row[0]: row for row in batch.connection.among(HOLD_UNFINISHED, found)}
    rows = [row for job, row in unfinished.items() if _is_of_unfinished(job, parents, unfinished)]
    _cancel_at_once(batch, [row for row in rows if row[6] == Status.PENDING or _shares(row)])
    running = [{"job": row[0]} for row in rows if row[6] == Status.RUNNING and not _shares(row)]
    batch.connection.many(REQUEST_CANCEL, running)
    batch.cancel = batch.cancel or bool(running)
    detach(batch, {row[-1] for row in rows if _shares(row)})


def detach(batch: Batch, executions: Iterable[str]) -> None:
    """Jobs that shared them have ended by themselves: the last one stops an execution. They are held."""
    unwanted = without_jobs(batch, executions)
    if unwanted:
        cancel_jobs(batch, unwanted)


def children_of(batch: Batch, parents: Sequence[str]) -> list[str]:
    """The unfinished ones."""
    return [job for job, _ in batch.connection.among(READ_CHILDREN, parents)]


def _with_descendants(batch: Batch, ids: Iterable[str]) -> dict[str, str | None]:
    """Each with its parent; of the given ones nobody asks for that."""
    found: dict[str, str | None] = {}
    level: dict[str, str | None] = dict.fromkeys(ids)
    while level:
        found |= level
        children = batch.connection.among(READ_CHILDREN, sorted(level))
        level = {job: parent for job, parent in children if job not in found}
    return found


def _is_of_unfinished(job: str, parents: Mapping[str, str | None], unfinished: Container[str]) -> bool:
    """Whether it and all that it was found by have not ended."""
    found: str | None = job
    while found is not None:
        if found not in unfinished:
            return False
        found = parents[found]
    return True


def _shares(row: Row) -> bool:
    """Whether it shares an execution, which others may still want."""
    return row[-1] is not None and not is_execution(row[0])


def _cancel_at_once(batch: Batch, rows: Sequence[Row]) -> None:
    connection = batch.connection
    updates: list[dict[str, Any]] = []
    for job, owner, task, queue, priority, key, status, seq, awaited, batch_id, _ in rows:
        batch.leave_line(job)
        if seq == 0:  # inserted by an application's transaction and not announced yet
            seq = 1
            connection.run(LEAVE_UNANNOUNCED, job=job)
            batch.count(owner, task, queue, "pending", 1)
            batch.emit(job, seq, owner, events.SUBMITTED, submitted_data(task, queue, priority))
        batch.emit(job, seq + 1, owner, events.CANCELLED, encode({"task": task}))
        if not is_execution(job):
            batch.count(owner, task, queue, status, -1)
            batch.count(owner, task, queue, "cancelled", 1)
        batch.ended.append(Ended(job, Status.CANCELLED, bool(awaited), batch_id))
        updates.append({"job": job, "seq_": seq + 1, "now": batch.now})
        leave_key(batch, job, task, owner, key)
    gone = [{"job": row["job"]} for row in updates]
    for statement in LEAVE_LINE:
        connection.many(statement, gone)
    connection.many(CANCEL, updates)


HOLD_UNFINISHED = Family(
    lambda among: (
        select(
            jobs.c.id,
            jobs.c.owner,
            jobs.c.task,
            jobs.c.queue,
            jobs.c.priority,
            jobs.c.key,
            jobs.c.status,
            jobs.c.seq,
            jobs.c.awaited,
            jobs.c.batch_id,
            jobs.c.execution_id,
        )
        .where(among(jobs.c.id), jobs.c.finished_at.is_(None))
        .order_by(jobs.c.id.desc())
        .with_for_update()
    )
)
READ_CHILDREN = Family(
    lambda among: (
        select(jobs.c.id, jobs.c.parent_id)
        .where(among(jobs.c.parent_id), jobs.c.parent_id.is_not(None), jobs.c.finished_at.is_(None))
        .order_by(jobs.c.id)
    )
)
CANCEL = Statement(
    update(jobs)
    .where(jobs.c.id == bindparam("job"))
    .values(
        status="cancelled",
        seq=bindparam("seq_"),
        updated_at=bindparam("now"),
        finished_at=bindparam("now"),
        error=None,
    )
)
REQUEST_CANCEL = Statement(update(leases).where(leases.c.job_id == bindparam("job")).values(cancel_requested=True))
LEAVE_UNANNOUNCED = Statement(delete(tables.unannounced).where(tables.unannounced.c.job_id == bindparam("job")))
