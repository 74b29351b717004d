"""What of a running job is on disk already when it is written once more, because the answer of a commit was lost."""

from __future__ import annotations

from sqlalchemy import bindparam, func, select

from ..domain import events
from ..domain.json import decode
from ..domain.operations import Notify, SetProgress
from . import tables
from .batch import Batch
from .connection import Statement

log = tables.events


def find_progress(batch: Batch, operation: SetProgress, data: str) -> int | None:
    """The place of this very progress in the job's log."""
    row = batch.connection.one(READ_PROGRESS, job=operation.execution.job, after=operation.after, data=data)
    return None if row is None else int(row[0])


def is_notified(batch: Batch, operation: Notify) -> bool:
    """Whether this attempt has said it."""
    said = (operation.kind, operation.notice.title, operation.notice.message, operation.notice.data)
    found = [decode(data) for (data,) in batch.connection.all(READ_NOTIFICATIONS, job=operation.execution.job)]
    return any(said == (each["kind"], each["title"], each["message"], each["data"]) for each in found)


_started = log.alias("started")
OF_THIS_ATTEMPT = log.c.seq > (
    select(func.max(_started.c.seq))
    .where(_started.c.job_id == bindparam("job"), _started.c.kind == events.STARTED)
    .scalar_subquery()
)
READ_PROGRESS = Statement(
    select(log.c.seq)
    .where(log.c.job_id == bindparam("job"), log.c.kind == events.PROGRESS, log.c.seq > bindparam("after"))
    .where(log.c.data == bindparam("data"), OF_THIS_ATTEMPT)
    .order_by(log.c.seq)
    .limit(1)
)
READ_NOTIFICATIONS = Statement(
    select(log.c.data).where(log.c.job_id == bindparam("job"), log.c.kind == events.NOTIFICATION, OF_THIS_ATTEMPT)
)
