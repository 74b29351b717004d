"""Workers sign on, keep their right to their jobs, lose it, and sign off."""

from __future__ import annotations

import os
import socket

from sqlalchemy import bindparam, delete, select, update

from ..domain.job import JobError
from ..domain.json import encode
from ..domain.operations import Reclaim, RegisterWorker, Released, Renew, Rescue, Retire
from . import tables
from .batch import Batch, insert_all
from .connection import Family, Statement
from .settling import Ending, Give, Rescued, end_jobs

leases, workers = tables.leases, tables.workers


def register(batch: Batch, operation: RegisterWorker) -> None:
    batch.connection.run(
        INSERT_WORKER,
        id=operation.worker,
        host=socket.gethostname(),
        pid=os.getpid(),
        tasks=encode(operation.tasks),
        started_at=batch.now,
        expires_at=batch.now + int(operation.lease * 1e6),
    )


def renew(batch: Batch, operation: Renew) -> bool:
    expires = batch.now + int(operation.lease * 1e6)
    return batch.connection.run(RENEW_WORKER, worker=operation.worker, expires_at=expires) == 1


def retire(batch: Batch, operation: Retire) -> None:
    """Whatever the worker still holds goes back into the line: nobody would look for it any more."""
    endings = [Ending.read(row) for row in batch.connection.among(READ_LOST, [operation.worker])]
    end_jobs(batch, [(ending, Released()) for ending in endings])
    batch.connection.run(DELETE_WORKER, worker=operation.worker)


def rescue(batch: Batch, operation: Rescue) -> int:
    lost = set(operation.workers)
    if operation.expired:
        lost |= {row[0] for row in batch.connection.all(EXPIRED_WORKERS, now=batch.now)}
    if not lost:
        return 0
    rows = batch.connection.among(READ_LOST, sorted(lost))
    endings = [Ending.read(row) for row in rows]
    end_jobs(batch, [(ending, _after_loss(ending, operation.cap)) for ending in endings])
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
    end_jobs(batch, [(ending, Released()) for ending in endings])
    return len(endings)


INSERT_WORKER = Statement(insert_all(workers, "id", "host", "pid", "tasks", "started_at", "expires_at"))
RENEW_WORKER = Statement(
    update(workers).where(workers.c.id == bindparam("worker")).values(expires_at=bindparam("expires_at"))
)
DELETE_WORKER = Statement(delete(workers).where(workers.c.id == bindparam("worker")))
EXPIRED_WORKERS = Statement(select(workers.c.id).where(workers.c.expires_at < bindparam("now")))
READ_LOST = Family(
    lambda among: (
        Ending.select().where(among(leases.c.worker_id)).order_by(leases.c.job_id).with_for_update(skip_locked=True)
    )
)
