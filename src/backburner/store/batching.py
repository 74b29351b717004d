"""Batches of jobs. Their rows are locked late in a transaction and in the order of their ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import bindparam, delete, exists, func, select, update

from ..domain.batches import BatchRecord, NewBatch, batch_notice
from ..domain.errors import BatchNotFound, IllegalTransition
from ..domain.job import NewJob, Status
from ..domain.json import decode, encode
from ..domain.operations import (
    CancelMembers,
    EraseMembers,
    GetBatch,
    ListBatches,
    PruneBatches,
    Submit,
    SubmitBatch,
    Submitted,
)
from . import tables
from .batch import Batch, insert_all
from .cancelling import cancel_jobs
from .connection import Connection, Family, Row, Statement
from .erasing import erase_jobs
from .submitting import enter, submit

jobs, batches = tables.jobs, tables.batches

AT_ONCE = 200
"""Jobs that one transaction cancels or removes."""


def submit_batch(batch: Batch, operation: SubmitBatch) -> Submitted:
    if batch.connection.one(READ_OWNER, batch=operation.batch.id) is not None:
        return Submitted(batch.now)  # it is on disk already: the answer of its commit was lost
    return enter_batch(batch, operation.batch, operation.jobs)


def enter_batch(batch: Batch, new: NewBatch, members: Sequence[NewJob]) -> Submitted:
    (answer,) = submit(batch, [Submit(tuple(members))])
    if isinstance(answer, Exception):
        raise answer
    total = len(members) - sum(record.id != id for id, record in answer.instead.items())
    batch.connection.run(
        INSERT,
        id=new.id,
        title=new.title,
        owner=new.owner,
        notify=new.notify,
        callback=encode(asdict(new.callback)) if new.callback is not None else None,
        total=total,
        remaining=total,
        created_at=batch.now,
    )
    if not total:
        batch.batches[new.id] += 0
    return answer


def move_batches(batch: Batch) -> None:
    """Count the ends of jobs; the last of them finishes a batch, once."""
    for id in sorted(batch.batches):
        row = batch.connection.one(MOVE, batch=id, change=batch.batches[id])
        if row is not None and row[0] == 0:
            _finish(batch, id, notify=bool(row[1]), callback=row[2])


def cancel_members(batch: Batch, operation: CancelMembers) -> bool:
    _own(batch.connection, operation.batch, operation.owner)
    waiting = batch.connection.all(MEMBERS, batch=operation.batch, status="pending", count=AT_ONCE)
    if waiting:
        cancel_jobs(batch, [job for (job,) in waiting])
        return True
    running = batch.connection.all(MEMBERS, batch=operation.batch, status="running", count=2**31 - 1)
    cancel_jobs(batch, [job for (job,) in running])
    return False


def erase_members(batch: Batch, operation: EraseMembers) -> bool:
    _own(batch.connection, operation.batch, operation.owner)
    record = get_batch(batch.connection, GetBatch(operation.batch))
    if record is not None and record.live:
        raise IllegalTransition(f"batch {operation.batch} is running: cancel it before it is erased")
    rows = batch.connection.all(HOLD_ENDED, batch=operation.batch, count=AT_ONCE)
    erase_jobs(batch, [(job, owner, task, queue, status) for job, owner, task, queue, status in rows])
    if len(rows) == AT_ONCE:
        return True
    _forget(batch, [operation.batch])
    return False


def prune_batches(batch: Batch, operation: PruneBatches) -> int:
    rows = batch.connection.all(EMPTY, until=batch.now - int(operation.age * 1e6), count=AT_ONCE)
    _forget(batch, [id for (id,) in rows])
    return len(rows)


def get_batch(connection: Connection, query: GetBatch) -> BatchRecord | None:
    row = connection.one(READ, batch=query.batch)
    if row is None or (query.owner is not None and row[2] != query.owner):
        return None
    return _records(connection, [row])[0]


def list_batches(connection: Connection, query: ListBatches) -> tuple[BatchRecord, ...]:
    before = query.before if query.before is not None else LAST
    if query.owner is None:
        rows = connection.all(LIST, before=before, count=query.limit)
    else:
        rows = connection.all(LIST_OWN, owner=query.owner, before=before, count=query.limit)
    return tuple(_records(connection, rows))


def _finish(batch: Batch, id: str, notify: bool, callback: str | None) -> None:
    batch.connection.run(FINISH, batch=id, now=batch.now)
    record = get_batch(batch.connection, GetBatch(id))
    assert record is not None
    if notify and record.owner is not None:
        batch.notify_of_batch(id, record.owner, *batch_notice(record))
    if callback is not None:
        enter(batch, [NewJob(**decode(callback))])


def _own(connection: Connection, id: str, owner: str | None) -> None:
    row = connection.one(READ_OWNER, batch=id)
    if row is None or (owner is not None and row[0] != owner):
        raise BatchNotFound(f"there is no batch {id}")


def _forget(batch: Batch, ids: Sequence[str]) -> None:
    rows = [{"batch": id} for id in ids]
    batch.connection.many(DELETE_EVENTS, rows)
    batch.connection.many(DELETE, rows)


def _records(connection: Connection, rows: Sequence[Row]) -> list[BatchRecord]:
    counts: dict[str, dict[Status, int]] = {row[0]: {} for row in rows}
    for id, status, number in connection.among(COUNT, list(counts)) if counts else []:
        counts[id][Status(status)] = int(number)
    return [
        BatchRecord(id, title, owner, total, created_at, finished_at, counts[id])
        for id, title, owner, total, created_at, finished_at in rows
    ]


LAST = "~"
"""Behind every id."""
_one = batches.c.id == bindparam("batch")
INSERT = Statement(
    insert_all(batches, "id", "title", "owner", "notify", "callback", "total", "remaining", "created_at")
)
MOVE = Statement(
    update(batches)
    .where(_one, batches.c.finished_at.is_(None))
    .values(remaining=batches.c.remaining + bindparam("change"))
    .returning(batches.c.remaining, batches.c.notify, batches.c.callback)
)
FINISH = Statement(update(batches).where(_one).values(finished_at=bindparam("now")))
DELETE = Statement(delete(batches).where(_one))
DELETE_EVENTS = Statement(delete(tables.events).where(tables.events.c.job_id == bindparam("batch")))
READ_OWNER = Statement(select(batches.c.owner).where(_one))
_records_of = select(
    batches.c.id, batches.c.title, batches.c.owner, batches.c.total, batches.c.created_at, batches.c.finished_at
)
READ = Statement(_records_of.where(_one))
_page = _records_of.where(batches.c.id < bindparam("before")).order_by(batches.c.id.desc()).limit(bindparam("count"))
LIST = Statement(_page)
LIST_OWN = Statement(_page.where(batches.c.owner == bindparam("owner")))
COUNT = Family(
    lambda among: (
        select(jobs.c.batch_id, jobs.c.status, func.count())
        .where(among(jobs.c.batch_id), jobs.c.batch_id.is_not(None))
        .group_by(jobs.c.batch_id, jobs.c.status)
    )
)
_members = (jobs.c.batch_id == bindparam("batch"), jobs.c.batch_id.is_not(None))
MEMBERS = Statement(
    select(jobs.c.id)
    .where(*_members, jobs.c.status == bindparam("status"))
    .order_by(jobs.c.id.desc())
    .limit(bindparam("count"))
)
HOLD_ENDED = Statement(
    select(jobs.c.id, jobs.c.owner, jobs.c.task, jobs.c.queue, jobs.c.status)
    .where(*_members, jobs.c.finished_at.is_not(None))
    .order_by(jobs.c.id.desc())
    .limit(bindparam("count"))
    .with_for_update()
)
EMPTY = Statement(
    select(batches.c.id)
    .where(
        batches.c.finished_at <= bindparam("until"),
        ~exists(select(jobs.c.id).where(jobs.c.batch_id == batches.c.id)),
    )
    .order_by(batches.c.id)
    .limit(bindparam("count"))
    .with_for_update(skip_locked=True, of=batches)
)
