"""What the owner of a job may do to it, and to the inbox."""

from __future__ import annotations

from sqlalchemy import bindparam, delete, select, update

from ..domain import events
from ..domain.errors import IllegalTransition, JobNotFound
from ..domain.job import JobRecord, Status, can_move
from ..domain.json import encode
from ..domain.operations import Cancel, Erase, GetJob, MarkRead, Retry
from . import tables
from .batch import Batch
from .connection import Statement
from .erasing import erase_jobs
from .failing import LEAVE_LINE
from .keying import leave_key, take_key
from .reading import get_job
from .submitting import Waiting

jobs, leases = tables.jobs, tables.leases


def cancel(batch: Batch, operation: Cancel) -> JobRecord:
    """Idempotent: a job that has ended stays as it is."""
    job = _own(batch, operation.job, operation.owner)
    if job.status is Status.PENDING:
        _leave_line(batch, job.id)
        _move(batch, job, Status.CANCELLED, events.CANCELLED, {"task": job.task})
        leave_key(batch, job.id, job.task, job.owner, job.key)
        if job.error is not None:  # it waited for its next try, which will not come
            batch.connection.run(FORGET_ERROR, job=job.id)
    elif job.status is Status.RUNNING and not job.cancel_requested:
        batch.connection.run(REQUEST_CANCEL, job=job.id)
        batch.cancel = True
    return _look(batch, job.id)


def retry(batch: Batch, operation: Retry) -> JobRecord:
    """Idempotent: a job that is waiting or running again stays as it is."""
    job = _own(batch, operation.job, operation.owner)
    if not job.status.finished:
        return job
    if not can_move(job.status, Status.PENDING):
        raise IllegalTransition(f"job {job.id} is {job.status}: only a failed or cancelled job can be run again")
    _take_key_again(batch, job)
    data = {"task": job.task, "reason": "manual", "max_tries": job.max_tries}
    _move(batch, job, Status.PENDING, events.RETRYING, data)
    batch.connection.run(FRESH_TRIES, job=job.id)
    waiting = Waiting(job.id, job.owner, job.task, job.queue, job.priority, None)
    batch.line_up(waiting.lined(batch.now))
    return _look(batch, job.id)


def erase(batch: Batch, operation: Erase) -> None:
    job = _own(batch, operation.job, operation.owner)
    if not job.status.finished:
        raise IllegalTransition(f"job {job.id} is {job.status}: cancel it before it is erased")
    erase_jobs(batch, [(job.id, job.owner, job.task, job.queue, job.status.value)])


def mark_read(batch: Batch, operation: MarkRead) -> int:
    if operation.id is None:
        return batch.connection.run(READ_ALL, owner_=operation.owner, now=batch.now)
    return batch.connection.run(READ_ONE, owner_=operation.owner, number=operation.id, now=batch.now)


def _own(batch: Batch, job: str, owner: str | None) -> JobRecord:
    """The job, held until the end of the transaction."""
    batch.connection.one(HOLD_JOB, job=job)
    found = get_job(batch.connection, GetJob(job, owner))
    if found is None:
        raise JobNotFound(f"there is no job {job}")
    return found


def _look(batch: Batch, job: str) -> JobRecord:
    found = get_job(batch.connection, GetJob(job))
    assert found is not None
    return found


def _leave_line(batch: Batch, job: str) -> None:
    batch.leave_line(job)
    for statement in LEAVE_LINE:
        batch.connection.run(statement, job=job)


def _take_key_again(batch: Batch, job: JobRecord) -> None:
    if job.key is not None and not take_key(batch, job.id, job.task, job.owner, job.key):
        raise IllegalTransition(
            f"job {job.id} cannot be run again while another job of {job.task} with the key {job.key!r} has not ended"
        )


def _move(batch: Batch, job: JobRecord, status: Status, kind: str, data: dict[str, object]) -> None:
    seq = job.seq
    if seq == 0:  # inserted by an application's transaction and not announced yet
        seq = 1
        batch.connection.run(LEAVE_UNANNOUNCED, job=job.id)
        batch.count(job.owner, job.task, job.queue, "pending", 1)
        first = {"task": job.task, "queue": job.queue, "priority": job.priority, "status": "pending"}
        batch.emit(job.id, seq, job.owner, events.SUBMITTED, encode(first))
    batch.emit(job.id, seq + 1, job.owner, kind, encode(data))
    batch.count(job.owner, job.task, job.queue, job.status.value, -1)
    batch.count(job.owner, job.task, job.queue, status.value, 1)
    batch.connection.run(
        MOVE,
        job=job.id,
        status=status.value,
        seq_=seq + 1,
        updated_at=batch.now,
        finished_at=batch.now if status.finished else None,
    )


REQUEST_CANCEL = Statement(update(leases).where(leases.c.job_id == bindparam("job")).values(cancel_requested=True))
HOLD_JOB = Statement(select(jobs.c.id).where(jobs.c.id == bindparam("job")).with_for_update())
LEAVE_UNANNOUNCED = Statement(delete(tables.unannounced).where(tables.unannounced.c.job_id == bindparam("job")))
MOVE = Statement(
    update(jobs)
    .where(jobs.c.id == bindparam("job"))
    .values(
        status=bindparam("status"),
        seq=bindparam("seq_"),
        updated_at=bindparam("updated_at"),
        finished_at=bindparam("finished_at"),
    )
)
FORGET_ERROR = Statement(update(jobs).where(jobs.c.id == bindparam("job")).values(error=None))
FRESH_TRIES = Statement(
    update(jobs)
    .where(jobs.c.id == bindparam("job"))
    .values(tries=0, rescues=0, error=None, started_at=None, percent=0.0, message="")
)
READ_ONE = Statement(
    update(tables.notifications)
    .where(
        tables.notifications.c.owner == bindparam("owner_"),
        tables.notifications.c.id == bindparam("number"),
        tables.notifications.c.read_at.is_(None),
    )
    .values(read_at=bindparam("now"))
)
READ_ALL = Statement(
    update(tables.notifications)
    .where(tables.notifications.c.owner == bindparam("owner_"), tables.notifications.c.read_at.is_(None))
    .values(read_at=bindparam("now"))
)
