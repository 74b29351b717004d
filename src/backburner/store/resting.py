"""Rows that a name leaves behind, removed once they say no more than a missing row does.

Lines, limits, buckets and days' budgets have a row for each queue, task, owner or model that was ever seen. One that
has been at rest for a day is removed. Whoever uses such a row holds it first, or makes it anew where there is none; so
what is held just now is passed over, and what must not be there beside it is looked for once it is held.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, bindparam, delete, exists, literal, or_, select

from ..domain.budgets import EVERYBODY
from . import tables
from .batch import Batch
from .connection import Statement
from .usage import DAY

lines, limits, buckets, days = tables.lines, tables.limits, tables.buckets, tables.day_budgets

AT_ONCE = 100


def remove_rested(batch: Batch) -> bool:
    """Lines go before the limits of their tasks and queues. Answers whether there may be more."""
    before = batch.now - DAY
    return any(
        [
            _remove(batch, RESTED_LINES, DELETE_LINE, before=before),
            _remove(batch, RESTED_LIMITS, DELETE_LIMIT),
            _remove(batch, RESTED_BUCKETS, DELETE_BUCKET, before=before),
            _remove(batch, PAST_DAYS, DELETE_DAY, today=batch.now // DAY),
        ]
    )


def _remove(batch: Batch, find: Statement, remove: Statement, **parameters: Any) -> bool:
    found = batch.connection.all(find, count=AT_ONCE, **parameters)
    removed = [batch.connection.run(remove, **dict(zip(("a", "b", "c"), key, strict=False))) for key in found]
    return len(found) == AT_ONCE and any(removed)


def _find(table: Any, condition: Any) -> Select[Any]:
    return (
        select(*table.primary_key.columns)
        .where(condition)
        .order_by(*table.primary_key.columns)
        .limit(bindparam("count"))
        .with_for_update(skip_locked=True, of=table)
    )


def _named(table: Any) -> Any:
    return [column == bindparam(name) for name, column in zip(("a", "b", "c"), table.primary_key.columns, strict=False)]


def _in_scope(table: Any) -> Any:
    """Of the task or the queue that the limit is for."""
    task, queue = literal("task:").concat(table.c.task), literal("queue:").concat(table.c.queue)
    return exists(select(table.c.task).where(or_(task == limits.c.scope, queue == limits.c.scope)))


_waiting = exists(
    select(tables.ready.c.job_id).where(tables.ready.c.queue == lines.c.queue, tables.ready.c.task == lines.c.task)
)
RESTED_LINES = Statement(_find(lines, (lines.c.seen_at < bindparam("before")) & ~_waiting))
DELETE_LINE = Statement(delete(lines).where(*_named(lines), ~_waiting))
RESTED_LIMITS = Statement(_find(limits, ~_in_scope(lines)))
DELETE_LIMIT = Statement(
    delete(limits).where(
        *_named(limits),
        ~_in_scope(lines),
        ~_in_scope(tables.leases),
        ~exists(select(tables.blocked.c.job_id).where(tables.blocked.c.scope == limits.c.scope)),
    )
)
_reserved = exists(
    select(tables.reservations.c.job_id).where(
        or_(buckets.c.owner == EVERYBODY, tables.reservations.c.owner == buckets.c.owner)
    )
)
RESTED_BUCKETS = Statement(
    _find(
        buckets,
        (buckets.c.empty_at < bindparam("before")) & (buckets.c.booked_until < bindparam("before")) & ~_reserved,
    )
)
DELETE_BUCKET = Statement(delete(buckets).where(*_named(buckets)))
PAST_DAYS = Statement(_find(days, days.c.day < bindparam("today") - 1))
DELETE_DAY = Statement(delete(days).where(*_named(days)))
