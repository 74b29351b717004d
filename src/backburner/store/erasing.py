"""Ended jobs are removed with all that belongs to them, and stay in the totals."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Table, bindparam, delete, select

from ..domain.ids import is_execution
from . import tables
from .batch import Batch
from .connection import Family, Statement

jobs, works = tables.jobs, tables.works

ERASED: tuple[Table, ...] = (
    tables.events,
    tables.folds,
    tables.steps,
    tables.questions,
    tables.tokens,
    tables.channels,
    tables.job_usage,
    tables.job_args,
    tables.job_results,
    tables.shares,
)
LEFT_AT_THE_END = (
    tables.ready,
    tables.scheduled,
    tables.blocked,
    tables.parked,
    tables.waits,
    tables.deadlines,
    tables.leases,
    tables.keys,
    tables.unannounced,
)
"""Tables in which a job that has ended has no rows."""
OUTLIVING = (tables.notifications, tables.starts, tables.reservations)
"""The inbox and the rates of tasks, which have a time of their own, and what is still to be given back."""


def erase_jobs(batch: Batch, ended: Iterable[tuple[str, str | None, str, str, str]]) -> None:
    """Remove jobs whose rows are held: each its id, owner, task, queue and status."""
    rows: list[dict[str, Any]] = []
    for job, owner, task, queue, status in ended:
        if not is_execution(job):
            batch.count(owner, task, queue, status, -1)
            batch.count(owner, task, queue, status + tables.GONE, 1)
        rows.append({"job": job})
    ids = [row["job"] for row in rows]
    shared = sorted({execution for (execution,) in batch.connection.among(READ_POINTERS, ids)}) if ids else []
    for statement in ERASE:
        batch.connection.many(statement, rows)
    batch.forget(ids)
    for execution in shared:
        erase_orphan(batch, execution)


def erase_orphan(batch: Batch, execution: str) -> None:
    """An execution that has ended goes with the last job that shared it."""
    row = batch.connection.one(HOLD_ENDED, execution=execution)
    if row is None or batch.connection.one(POINTS_TO, execution=execution) is not None:
        return
    work = batch.connection.one(HOLD_WORK, execution=execution)
    if work is not None:  # else a submit is just about to replace it
        batch.connection.run(FORGET_WORK, work=work[0])
    erase_jobs(batch, [(execution, None, "", "", "")])


READ_POINTERS = Family(
    lambda among: select(jobs.c.execution_id).where(
        among(jobs.c.id), jobs.c.execution_id.is_not(None), jobs.c.execution_id != jobs.c.id
    )
)
HOLD_ENDED = Statement(
    select(jobs.c.id)
    .where(jobs.c.id == bindparam("execution"), jobs.c.finished_at.is_not(None))
    .with_for_update(skip_locked=True)
)
POINTS_TO = Statement(
    select(jobs.c.id).where(jobs.c.execution_id == bindparam("execution"), jobs.c.id != bindparam("execution")).limit(1)
)
HOLD_WORK = Statement(
    select(works.c.work).where(works.c.execution_id == bindparam("execution")).with_for_update(skip_locked=True)
)
FORGET_WORK = Statement(delete(works).where(works.c.work == bindparam("work")))
ERASE = [Statement(delete(table).where(table.c.job_id == bindparam("job"))) for table in ERASED]
ERASE.append(Statement(delete(tables.jobs).where(tables.jobs.c.id == bindparam("job"))))
