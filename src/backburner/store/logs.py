"""The logs as they are read: events, and those that were folded, in their place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import merge, nsmallest
from operator import attrgetter

from sqlalchemy import bindparam, select

from ..domain.events import RESET, TEXT, Event, apply_text
from ..domain.json import decode
from ..domain.operations import CanResume, JobEvents, OwnerEvents
from . import tables
from .connection import Connection, Row, Statement
from .folding import unpack

events, folds = tables.events, tables.folds

FOLDS_AT_ONCE = 8
END = 2**62
BY_SEQ, BY_POSITION = attrgetter("seq"), attrgetter("position")


def job_events(connection: Connection, query: JobEvents) -> tuple[Event, ...]:
    """Folds of one job follow each other: as many are read as the page needs."""
    rows = connection.all(READ_JOB_EVENTS, job=query.job, after=query.after, count=query.limit)
    plain = [_event(row) for row in rows]
    until = plain[-1].seq if len(plain) == query.limit else END
    folded: list[Event] = []
    after = query.after
    while len(folded) < query.limit:
        found = connection.all(READ_JOB_FOLDS, job=query.job, after=after, until=min(until, 2**31 - 1), count=1)
        if not found:
            break
        _, owner, last, *packed = found[0]
        folded += [event for event in unpack(query.job, owner is not None, *packed) if event.seq > query.after]
        after = last
    return tuple(nsmallest(query.limit, [*plain, *folded], key=BY_SEQ)) if folded else tuple(plain)


def owner_events(connection: Connection, query: OwnerEvents) -> tuple[Event, ...]:
    """Folds of an owner's jobs overlap: those are read that begin before the page ends, the first ones first."""
    rows = connection.all(READ_OWNER_EVENTS, owner=query.owner, after=query.after, count=query.limit)
    page = [_event(row) for row in rows]
    begin = 0
    while True:
        until = _end(page, query.limit)
        found = connection.all(
            FIND_OWNER_FOLDS,
            owner=query.owner,
            after=query.after,
            until=until,
            begin=begin,
            count=FOLDS_AT_ONCE,
        )
        for first, job, last in found:
            begin = first
            if first > _end(page, query.limit):
                return tuple(page)
            for packed in connection.all(READ_FOLD, job=job, last=last):
                page += [event for event in unpack(job, True, *packed) if (event.position or 0) > query.after]
            page = nsmallest(query.limit, page, key=BY_POSITION)
        if len(found) < FOLDS_AT_ONCE:
            return tuple(page)


def _end(page: Sequence[Event], limit: int) -> int:
    """The position behind which nothing more comes into the page."""
    last = page[-1].position if len(page) == limit else None
    return END if last is None else last


def can_resume(connection: Connection, query: CanResume) -> bool:
    position, pruned = connection.one(READ_STREAM, owner=query.owner) or (0, None)
    return int(pruned or 0) <= query.after <= int(position)


def texts(connection: Connection, job: str) -> dict[str, str]:
    """What stands in each channel of a job."""
    found: dict[str, str] = {}
    plain = (_event(row) for row in connection.all(READ_TEXT_EVENTS, job=job))
    for event in merge(plain, _folded(connection, job), key=BY_SEQ):
        apply_text(found, event)
    return found


def _folded(connection: Connection, job: str) -> Iterable[Event]:
    for _, owner, _, *packed in connection.all(READ_JOB_FOLDS, job=job, after=0, until=2**31 - 1, count=END):
        yield from unpack(job, owner is not None, *packed)


def _event(row: Row) -> Event:
    job, seq, position, kind, at, data = row
    return Event(job, seq, position, kind, at, decode(data))


EVENT = (events.c.job_id, events.c.seq, events.c.position, events.c.kind, events.c.at, events.c.data)
READ_JOB_EVENTS = Statement(
    select(*EVENT)
    .where(events.c.job_id == bindparam("job"), events.c.seq > bindparam("after"))
    .order_by(events.c.seq)
    .limit(bindparam("count"))
)
READ_TEXT_EVENTS = Statement(
    select(*EVENT)
    .where(events.c.job_id == bindparam("job"), (events.c.kind == TEXT) | (events.c.kind == RESET))
    .order_by(events.c.seq)
)
READ_OWNER_EVENTS = Statement(
    select(*EVENT)
    .where(events.c.owner == bindparam("owner"), events.c.position > bindparam("after"))
    .order_by(events.c.position)
    .limit(bindparam("count"))
)
READ_STREAM = Statement(
    select(tables.streams.c.position, tables.streams.c.pruned).where(tables.streams.c.owner == bindparam("owner"))
)
READ_JOB_FOLDS = Statement(
    select(folds.c.job_id, folds.c.owner, folds.c.last_seq, folds.c.places, folds.c.text)
    .where(
        folds.c.job_id == bindparam("job"),
        folds.c.last_seq > bindparam("after"),
        folds.c.first_seq <= bindparam("until"),
    )
    .order_by(folds.c.last_seq)
    .limit(bindparam("count"))
)
FIND_OWNER_FOLDS = Statement(
    select(folds.c.first_position, folds.c.job_id, folds.c.last_seq)
    .where(
        folds.c.owner == bindparam("owner"),
        folds.c.last_position > bindparam("after"),
        folds.c.first_position <= bindparam("until"),
        folds.c.first_position > bindparam("begin"),
    )
    .order_by(folds.c.first_position)
    .limit(bindparam("count"))
)
READ_FOLD = Statement(
    select(folds.c.places, folds.c.text).where(
        folds.c.job_id == bindparam("job"), folds.c.last_seq == bindparam("last")
    )
)
