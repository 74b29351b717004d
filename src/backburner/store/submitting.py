"""Jobs enter the store."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import bindparam, delete, select, update

from ..domain import events
from ..domain.job import NewJob
from ..domain.json import encode
from ..domain.operations import Submit
from . import tables
from .batch import Batch, insert_all
from .connection import Connection, Family, Statement

jobs, ready, scheduled = tables.jobs, tables.ready, tables.scheduled


def submit(batch: Batch, operations: Sequence[Submit]) -> list[int]:
    """All the submits of a batch at once: four statements, however many jobs."""
    new = [job for operation in operations for job in operation.jobs]
    if batch.careful:
        known = {row[0] for row in batch.connection.among(WHICH_EXIST, [job.id for job in new])} if new else set()
        new = [job for job in new if job.id not in known]
    insert_jobs(batch.connection, new, batch.now, seq=1)
    for job in new:
        batch.emit(job.id, 1, job.owner, events.SUBMITTED, _submitted(job.task, job.queue, job.priority))
    batch.work = batch.work or bool(new)
    return [batch.now] * len(operations)


def insert_jobs(connection: Connection, new: Sequence[NewJob], now: int, seq: int) -> None:
    connection.many(INSERT_JOB, [_job_row(job, now, seq) for job in new])
    connection.many(INSERT_ARGS, [{"job_id": job.id, "body": job.args} for job in new])
    lined: list[dict[str, Any]] = []
    later: list[dict[str, Any]] = []
    for job in new:
        run_at = job.run_at if job.run_at is not None else now + int(job.delay * 1e6)
        if run_at > now:
            later.append({"job_id": job.id, "run_at": run_at})
        else:
            lined.append({"task": job.task, "rank": -job.priority, "since": now, "job_id": job.id})
    connection.many(INSERT_READY, lined)
    connection.many(INSERT_SCHEDULED, later)


def announce(batch: Batch) -> None:
    """Log the first event of jobs that an application's own transaction inserted: of all, for any may be claimed."""
    waiting = [row[0] for row in batch.connection.all(FIND_UNANNOUNCED)]
    if not waiting:
        return
    for job, owner, task, queue, priority in batch.connection.among(READ_UNANNOUNCED, waiting):
        batch.emit(job, 1, owner, events.SUBMITTED, _submitted(task, queue, priority))
    batch.connection.many(MARK_ANNOUNCED, [{"job": job} for job in waiting])
    batch.connection.many(DELETE_UNANNOUNCED, [{"job": job} for job in waiting])


@lru_cache(maxsize=1024)
def _submitted(task: str, queue: str, priority: int) -> str:
    return encode({"task": task, "queue": queue, "priority": priority, "status": "pending"})


def _job_row(job: NewJob, now: int, seq: int) -> dict[str, Any]:
    return {
        "id": job.id,
        "task": job.task,
        "queue": job.queue,
        "status": "pending",
        "priority": job.priority,
        "owner": job.owner,
        "attempt": 0,
        "tries": 0,
        "max_tries": job.max_tries,
        "rescues": 0,
        "seq": seq,
        "percent": 0.0,
        "message": "",
        "created_at": now,
        "updated_at": now,
        "input_tokens": 0,
        "output_tokens": 0,
    }


JOB_COLUMNS = (
    "id", "task", "queue", "status", "priority", "owner", "attempt", "tries", "max_tries", "rescues", "seq",
    "percent", "message", "created_at", "updated_at", "input_tokens", "output_tokens",
)  # fmt: skip
INSERT_JOB = Statement(insert_all(jobs, *JOB_COLUMNS))
INSERT_ARGS = Statement(insert_all(tables.job_args, "job_id", "body"))
INSERT_READY = Statement(insert_all(ready, "task", "rank", "since", "job_id"))
INSERT_SCHEDULED = Statement(insert_all(scheduled, "job_id", "run_at"))
WHICH_EXIST = Family(lambda ids: select(jobs.c.id).where(jobs.c.id.in_(ids)))
FIND_UNANNOUNCED = Statement(select(tables.unannounced.c.job_id))
READ_UNANNOUNCED = Family(
    lambda ids: (
        select(jobs.c.id, jobs.c.owner, jobs.c.task, jobs.c.queue, jobs.c.priority)
        .where(jobs.c.id.in_(ids))
        .order_by(jobs.c.id)
    )
)
MARK_ANNOUNCED = Statement(update(jobs).where(jobs.c.id == bindparam("job")).values(seq=jobs.c.seq + 1))
DELETE_UNANNOUNCED = Statement(delete(tables.unannounced).where(tables.unannounced.c.job_id == bindparam("job")))
