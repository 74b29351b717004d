"""What the owner of a job may do to it, and to the inbox."""

from __future__ import annotations

from sqlalchemy import bindparam, select, update

from ..domain import events
from ..domain.errors import IllegalTransition, JobNotFound
from ..domain.job import JobRecord, Status, can_move
from ..domain.json import encode
from ..domain.operations import Cancel, Erase, GetJob, MarkRead, Retry
from . import tables
from .asking import FORGET_UNANSWERED
from .batch import Batch
from .cancelling import cancel_jobs
from .connection import Statement
from .erasing import erase_jobs
from .keying import take_key
from .reading import get_job
from .sharing import connect, hold
from .submitting import Waiting

jobs = tables.jobs


def cancel(batch: Batch, operation: Cancel) -> JobRecord:
    """Idempotent: a job that has ended stays as it is. What it has submitted is cancelled with it."""
    job = _find(batch, operation.job, operation.owner)
    cancel_jobs(batch, [job.id])
    return _look(batch, job.id)


def retry(batch: Batch, operation: Retry) -> JobRecord:
    """Idempotent: a job that is waiting or running again stays as it is."""
    hold(batch, operation.job)
    job = _own(batch, operation.job, operation.owner)
    if not job.status.finished:
        return job
    if not can_move(job.status, Status.PENDING):
        raise IllegalTransition(f"job {job.id} is {job.status}: only a failed or cancelled job can be run again")
    _take_key_again(batch, job)
    data = {"task": job.task, "reason": "manual", "max_tries": job.max_tries}
    _move(batch, job, Status.PENDING, events.RETRYING, data)
    batch.connection.run(FRESH_TRIES, job=job.id)
    batch.connection.run(FORGET_UNANSWERED, job=job.id)
    if job.batch is not None:
        batch.batches[job.batch] += 1
    if not connect(batch, [job.id]):
        waiting = Waiting(job.id, job.owner, job.task, job.queue, job.priority, None)
        batch.line_up(waiting.lined(batch.now))
    return _look(batch, job.id)


def erase(batch: Batch, operation: Erase) -> None:
    hold(batch, operation.job)
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
    return _find(batch, job, owner)


def _find(batch: Batch, job: str, owner: str | None) -> JobRecord:
    found = get_job(batch.connection, GetJob(job, owner))
    if found is None:
        raise JobNotFound(f"there is no job {job}")
    return found


def _look(batch: Batch, job: str) -> JobRecord:
    found = get_job(batch.connection, GetJob(job))
    assert found is not None
    return found


def _take_key_again(batch: Batch, job: JobRecord) -> None:
    if job.key is not None and not take_key(batch, job.id, job.task, job.owner, job.key):
        raise IllegalTransition(
            f"job {job.id} cannot be run again while another job of {job.task} with the key {job.key!r} has not ended"
        )


def _move(batch: Batch, job: JobRecord, status: Status, kind: str, data: dict[str, object]) -> None:
    batch.emit(job.id, job.seq + 1, job.owner, kind, encode(data))
    batch.count(job.owner, job.task, job.queue, job.status.value, -1)
    batch.count(job.owner, job.task, job.queue, status.value, 1)
    batch.connection.run(
        MOVE,
        job=job.id,
        status=status.value,
        seq_=job.seq + 1,
        updated_at=batch.now,
        finished_at=batch.now if status.finished else None,
    )


HOLD_JOB = Statement(select(jobs.c.id).where(jobs.c.id == bindparam("job")).with_for_update())
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
FRESH_TRIES = Statement(
    update(jobs)
    .where(jobs.c.id == bindparam("job"))
    .values(tries=0, rescues=0, error=None, started_at=None, expires_at=None, percent=0.0, message="")
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
