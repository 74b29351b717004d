"""One live job of an owner and task has a key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, delete, select

from ..domain.errors import DuplicateJob
from ..domain.job import JobRecord, NewJob, fresh
from ..domain.json import decode
from ..domain.operations import GetJob
from . import tables
from .connection import Statement
from .reading import get_job

if TYPE_CHECKING:
    from .batch import Batch

keys = tables.keys


def take_keys(
    batch: Batch, new: Sequence[NewJob], known: set[str], submitted: Mapping[str, NewJob]
) -> dict[str, JobRecord]:
    """Answers, by id, the jobs that stand for others of ``new``; ``submitted`` are those of the whole transaction.

    Raises `DuplicateJob`, with nothing written, when the task wants no second one.
    """
    instead: dict[str, JobRecord] = {}
    taken: list[NewJob] = []
    # In one order, or two transactions would wait in a ring.
    for job in sorted((each for each in new if each.key is not None and each.id not in known), key=_place):
        holder = _take(batch, job)
        if holder is None:
            taken.append(job)
        elif job.reject:
            for each in taken:
                leave_key(batch, each.id, each.task, each.owner, each.key)
            raise DuplicateJob(
                f"job {holder} of {job.task} has the key {job.key!r} and has not ended: wait for it, or cancel it",
                holder,
            )
        else:
            instead[job.id] = _record(batch, holder, submitted)
    return instead


def take_key(batch: Batch, job: str, task: str, owner: str | None, key: str) -> bool:
    """Whether the key was free; now it is this job's."""
    return batch.connection.run(TAKE, job_id=job, **key_of(task, owner, key)) == 1


def leave_key(batch: Batch, job: str, task: str, owner: str | None, key: str | None) -> None:
    if key is not None:
        batch.connection.run(LEAVE, job_id_=job, **key_of(task, owner, key))


def key_of(task: str, owner: str | None, key: str | None) -> dict[str, Any]:
    return {"task": task, "owner": owner or tables.NOBODY, "key": key}


def _place(job: NewJob) -> tuple[str, str, str]:
    return job.task, job.owner or tables.NOBODY, job.key or ""


def _take(batch: Batch, job: NewJob) -> str | None:
    """None when the job has the key now, else who has it."""
    assert job.key is not None
    while not take_key(batch, job.id, job.task, job.owner, job.key):
        row = batch.connection.one(READ, **key_of(job.task, job.owner, job.key))
        if row is not None:
            return str(row[0])
        # its holder has ended meanwhile
    return None


def _record(batch: Batch, holder: str, submitted: Mapping[str, NewJob]) -> JobRecord:
    found = get_job(batch.connection, GetJob(holder))
    if found is not None:
        return found
    job = submitted[holder]  # of this very transaction
    return replace(fresh(job, batch.now), args=decode(job.args))


_one = (keys.c.task == bindparam("task"), keys.c.owner == bindparam("owner"), keys.c.key == bindparam("key"))
TAKE = Statement(
    lambda insert: (
        insert(keys)
        .values({name: bindparam(name) for name in ("task", "owner", "key", "job_id")})
        .on_conflict_do_nothing(index_elements=["task", "owner", "key"])
    )
)
READ = Statement(select(keys.c.job_id).where(*_one))
LEAVE = Statement(delete(keys).where(*_one, keys.c.job_id == bindparam("job_id_")))
