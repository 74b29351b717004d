"""Jobs enter the store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import bindparam, delete, exists, select, update

from ..domain import events
from ..domain.errors import DuplicateJob
from ..domain.job import JobRecord, NewJob, SharedWork, Status
from ..domain.json import encode, fingerprint
from ..domain.operations import GetJob, Submit, Submitted
from . import tables
from .batch import Batch, insert_all
from .connection import Connection, Family, Statement
from .keying import take_keys
from .lining import Lined
from .reading import get_job
from .sharing import connect

jobs, scheduled = tables.jobs, tables.scheduled


def submit(batch: Batch, operations: Sequence[Submit]) -> list[Submitted | Exception]:
    """All the submits of a batch at once: a handful of statements, however many jobs."""
    accepted: list[NewJob] = []
    answers: list[Submitted | Exception] = []
    shared: list[tuple[str, dict[str, JobRecord]]] = []
    submitted = {job.id: job for operation in operations for job in operation.jobs}
    known = _known(batch, list(submitted)) if batch.careful else set()
    for operation in operations:
        try:
            instead = take_keys(batch, operation.jobs, known, submitted)
        except DuplicateJob as error:
            answers.append(error)
            continue
        accepted += [job for job in operation.jobs if job.id not in instead and job.id not in known]
        answers.append(Submitted(batch.now, instead))
        shared += [(job.id, instead) for job in operation.jobs if job.shared is not None and job.id not in instead]
    enter(batch, accepted)
    for job, instead in shared:
        record = get_job(batch.connection, GetJob(job))
        if record is not None and record.status is not Status.PENDING:
            instead[job] = record
    return answers


def enter(batch: Batch, new: Sequence[NewJob]) -> None:
    """Insert and announce jobs whose keys are taken."""
    insert_jobs(batch.connection, new, batch.now, seq=1)
    _stand(batch, [_waiting(job, batch.now) for job in new])


def insert_jobs(connection: Connection, new: Sequence[NewJob], now: int, seq: int) -> None:
    """The rows of jobs alone: what everybody writes to (the line, the counters) is written by whoever calls, or left to
    `announce`."""
    connection.many(INSERT_JOB, [_job_row(job, now, seq) for job in new])
    connection.many(INSERT_ARGS, [{"job_id": job.id, "body": job.args} for job in new])
    timed = [(job, _run_at(job, now)) for job in new if job.run_at is not None or job.delay]
    connection.many(INSERT_SCHEDULED, [{"job_id": job.id, "run_at": at} for job, at in timed if at > now])
    late = [{"job_id": job.id, "at": now + int(job.expires * 1e6)} for job in new if job.expires is not None]
    connection.many(INSERT_DEADLINE, late)
    connection.many(INSERT_SHARE, [_share_row(job, job.shared) for job in new if job.shared is not None])


def announce(batch: Batch) -> None:
    """Let jobs that an application's own transaction inserted enter the line: of all, for any may be claimed."""
    waiting = [row[0] for row in batch.connection.all(FIND_UNANNOUNCED)]
    if not waiting:
        return
    rows = batch.connection.among(READ_UNANNOUNCED, waiting)
    batch.connection.many(MARK_ANNOUNCED, [{"job": job} for job in waiting])
    batch.connection.many(DELETE_UNANNOUNCED, [{"job": job} for job in waiting])
    _stand(batch, [Waiting(*row) for row in rows])


def is_unannounced(job: Any) -> Any:
    """The condition that an application's transaction inserted the job and nobody has let it in yet: its time may come
    between a look for such jobs and one at the clock."""
    return exists(select(tables.unannounced.c.job_id).where(tables.unannounced.c.job_id == job))


class Waiting:
    """What the line must know of a job that enters it. ``run_at`` None: at once; ``work``: it shares that."""

    __slots__ = ("job", "owner", "priority", "queue", "run_at", "task", "work")

    def __init__(
        self,
        job: str,
        owner: str | None,
        task: str,
        queue: str,
        priority: int,
        run_at: int | None,
        work: str | None = None,
    ) -> None:
        self.job, self.owner, self.task, self.queue = job, owner, task, queue
        self.priority, self.run_at, self.work = priority, run_at, work

    def lined(self, since: int, paid: bool = False) -> Lined:
        owner = self.owner or tables.NOBODY
        return Lined(self.job, self.queue, self.task, -self.priority, owner, since, paid)


def _stand(batch: Batch, waiting: Iterable[Waiting]) -> None:
    sharing: list[str] = []
    for job in waiting:
        if job.work is not None:
            sharing.append(job.job)
        elif job.run_at is None:
            batch.line_up(job.lined(batch.now))
        batch.work = True  # the time of a delayed job may be nearer than what workers wait for
        batch.count(job.owner, job.task, job.queue, "pending", 1)
        batch.emit(job.job, 1, job.owner, events.SUBMITTED, submitted_data(job.task, job.queue, job.priority))
    if sharing:
        connect(batch, sharing)


def _known(batch: Batch, ids: Sequence[str]) -> set[str]:
    """Those that are on disk already: their commit's answer was lost."""
    return {row[0] for row in batch.connection.among(WHICH_EXIST, ids)}


def _waiting(job: NewJob, now: int) -> Waiting:
    at = _run_at(job, now)
    work = job.shared.work if job.shared is not None else None
    return Waiting(job.id, job.owner, job.task, job.queue, job.priority, at if at > now else None, work)


def _run_at(job: NewJob, now: int) -> int:
    return job.run_at if job.run_at is not None else now + int(job.delay * 1e6)


@lru_cache(maxsize=1024)
def submitted_data(task: str, queue: str, priority: int) -> str:
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
        "key": job.key,
        "batch_id": job.batch,
        "expires_at": None if job.expires is None else now + int(job.expires * 1e6),
        "size": job.size,
        "parent_id": job.parent,
    }


def _share_row(job: NewJob, shared: SharedWork) -> dict[str, Any]:
    return {
        "job_id": job.id,
        "work": shared.work if shared.everyone else fingerprint([job.owner, shared.work]),
        "lasts": int(shared.lasts * 1e6),
        "everyone": shared.everyone,
        "words": shared.words,
    }


JOB_COLUMNS = (
    "id", "task", "queue", "status", "priority", "owner", "attempt", "tries", "max_tries", "rescues", "seq",
    "percent", "message", "created_at", "updated_at", "input_tokens", "output_tokens", "key", "batch_id",
    "expires_at", "size", "parent_id",
)  # fmt: skip
INSERT_JOB = Statement(insert_all(jobs, *JOB_COLUMNS))
INSERT_ARGS = Statement(insert_all(tables.job_args, "job_id", "body"))
INSERT_SCHEDULED = Statement(insert_all(scheduled, "job_id", "run_at"))
INSERT_DEADLINE = Statement(insert_all(tables.deadlines, "job_id", "at"))
INSERT_SHARE = Statement(insert_all(tables.shares, "job_id", "work", "lasts", "everyone", "words"))
WHICH_EXIST = Family(lambda among: select(jobs.c.id).where(among(jobs.c.id)))
INSERT_UNANNOUNCED = Statement(insert_all(tables.unannounced, "job_id"))
FIND_UNANNOUNCED = Statement(select(tables.unannounced.c.job_id).with_for_update(skip_locked=True))
READ_UNANNOUNCED = Family(
    lambda among: (
        select(
            jobs.c.id,
            jobs.c.owner,
            jobs.c.task,
            jobs.c.queue,
            jobs.c.priority,
            scheduled.c.run_at,
            tables.shares.c.work,
        )
        .outerjoin(scheduled, scheduled.c.job_id == jobs.c.id)
        .outerjoin(tables.shares, tables.shares.c.job_id == jobs.c.id)
        .where(among(jobs.c.id))
        .order_by(jobs.c.id)
    )
)
MARK_ANNOUNCED = Statement(update(jobs).where(jobs.c.id == bindparam("job")).values(seq=jobs.c.seq + 1))
DELETE_UNANNOUNCED = Statement(delete(tables.unannounced).where(tables.unannounced.c.job_id == bindparam("job")))
