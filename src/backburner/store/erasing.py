"""Ended jobs are removed with all that belongs to them, and stay in the totals."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Table, bindparam, delete

from . import tables
from .batch import Batch
from .connection import Statement

ERASED: tuple[Table, ...] = (
    tables.events,
    tables.folds,
    tables.steps,
    tables.questions,
    tables.channels,
    tables.job_usage,
    tables.job_args,
    tables.job_results,
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
        batch.count(owner, task, queue, status, -1)
        batch.count(owner, task, queue, status + tables.GONE, 1)
        rows.append({"job": job})
    for statement in ERASE:
        batch.connection.many(statement, rows)


ERASE = [Statement(delete(table).where(table.c.job_id == bindparam("job"))) for table in ERASED]
ERASE.append(Statement(delete(tables.jobs).where(tables.jobs.c.id == bindparam("job"))))
