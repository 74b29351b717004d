"""Workers sign on, keep their right to their jobs, lose it, and sign off."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, delete, exists, select, update

from ..domain.job import JobError
from ..domain.json import encode
from ..domain.operations import Reclaim, RegisterWorker, Released, Renew, Rescue, Retire
from . import tables
from .batch import Batch, insert_all
from .connection import Family, Statement
from .ending import Ending, Give, Rescued, end_jobs
from .settling import free_slots, take_leases

jobs, leases, workers = tables.jobs, tables.leases, tables.workers


def register(batch: Batch, operation: RegisterWorker) -> None:
    batch.connection.run(
        INSERT_WORKER,
        id=operation.worker,
        host=socket.gethostname(),
        pid=os.getpid(),
        tasks=encode(operation.tasks),
        concurrency=operation.concurrency,
        started_at=batch.now,
        expires_at=batch.now + int(operation.lease * 1e6),
    )


def renew(batch: Batch, operation: Renew) -> bool:
    expires = batch.now + int(operation.lease * 1e6)
    return batch.connection.run(RENEW_WORKER, worker=operation.worker, expires_at=expires) == 1


def retire(batch: Batch, operation: Retire) -> None:
    """Whatever the worker still holds goes back into the line: nobody would look for it any more."""
    batch.connection.one(HOLD_WORKER, worker=operation.worker)
    rows = batch.connection.all(READ_HELD, worker=operation.worker)
    _take_away(batch, [(ending, Released()) for ending in map(Ending.read, rows)])
    batch.connection.run(DELETE_WORKER, worker=operation.worker)


def rescue(batch: Batch, operation: Rescue) -> int:
    """Jobs that somebody holds at this moment are left, and so is their worker: the next look finds them."""
    lost = {worker for (worker,) in batch.connection.among(HOLD_WORKERS, sorted(operation.workers))}
    if operation.expired:
        lost |= {worker for (worker,) in batch.connection.all(HOLD_EXPIRED, now=batch.now)}
    if not lost:
        return 0
    rows = batch.connection.among(READ_LOST, sorted(lost))
    _take_away(batch, [(ending, _after_loss(ending, operation.cap)) for ending in map(Ending.read, rows)])
    for worker in sorted(lost):
        batch.connection.run(DELETE_WORKER, worker=worker)
    return len(rows)


def _after_loss(ending: Ending, cap: int) -> Rescued | Give:
    if ending.rescues + 1 < cap:
        return Rescued()
    times = ending.rescues + 1
    return Give(
        JobError(
            "worker_died",
            "The job's worker died",
            f"Its worker died {times} times while running it. Look at the worker's log (out of memory is the usual "
            "cause), then retry the job.",
        )
    )


def reclaim(batch: Batch, operation: Reclaim) -> int:
    """A claim whose answer was lost left jobs with a worker that does not know of them."""
    known = set(operation.known)
    rows = batch.connection.among(READ_LOST, [operation.worker])
    endings = [ending for ending in map(Ending.read, rows) if ending.job not in known]
    _take_away(batch, [(ending, Released()) for ending in endings])
    return len(endings)


def _take_away(batch: Batch, endings: Sequence[tuple[Ending, Any]]) -> None:
    take_leases(batch, [ending for ending, _ in endings])
    end_jobs(batch, endings)
    free_slots(batch, [ending for ending, _ in endings])


INSERT_WORKER = Statement(insert_all(workers, "id", "host", "pid", "tasks", "concurrency", "started_at", "expires_at"))
RENEW_WORKER = Statement(
    update(workers).where(workers.c.id == bindparam("worker")).values(expires_at=bindparam("expires_at"))
)
# A worker is held before its jobs are looked at: else a claim of its own, still open, would leave jobs to nobody.
HOLD_WORKER = Statement(select(workers.c.id).where(workers.c.id == bindparam("worker")).with_for_update())
HOLD_WORKERS = Family(
    lambda among: (
        select(workers.c.id).where(among(workers.c.id)).order_by(workers.c.id).with_for_update(skip_locked=True)
    )
)
HOLD_EXPIRED = Statement(
    select(workers.c.id)
    .where(workers.c.expires_at < bindparam("now"))
    .order_by(workers.c.id)
    .with_for_update(skip_locked=True)
)
DELETE_WORKER = Statement(
    delete(workers).where(
        workers.c.id == bindparam("worker"), ~exists(select(leases.c.job_id).where(leases.c.worker_id == workers.c.id))
    )
)
# Of a job that was settled while its row was waited for, the lease is seen as it was: the job's own row tells.
_held = (
    Ending.select()
    .join(leases, leases.c.job_id == jobs.c.id)
    .where(jobs.c.status == "running", jobs.c.attempt == leases.c.attempt)
    .order_by(jobs.c.id.desc())
)
READ_HELD = Statement(_held.where(leases.c.worker_id == bindparam("worker")).with_for_update(of=jobs))
READ_LOST = Family(lambda among: _held.where(among(leases.c.worker_id)).with_for_update(of=jobs, skip_locked=True))
