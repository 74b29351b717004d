"""The text of jobs that ended a while ago: many small events become one row, from which they can be read as they were.

A row holds the text once, and for each event where it stood (docs/decisions/0009-folding.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, delete, func, select, update

from ..domain.events import TEXT, Event
from ..domain.json import decode, encode
from ..domain.operations import FoldTexts
from . import tables
from .batch import Batch, insert_all
from .connection import Row, Statement

jobs, channels, events, folds = tables.jobs, tables.channels, tables.events, tables.folds

AFTER = 600_000_000
"""Microseconds from a job's end: whoever watched it has its text by then."""
MOST_EVENTS = 250
"""In a row, and in one transaction: some milliseconds of work."""
MOST_TEXT = 1_000_000
JOBS_AT_ONCE = 20
FIELDS = ("channel", "attempt", "offset", "delta")
NEVER = 2**62
WIDTH = 7
"""Numbers that an event takes in a row."""


def fold_texts(batch: Batch, operation: FoldTexts) -> bool:
    found: dict[str, str | None] = dict(batch.connection.all(FIND_UNFOLDED, now=batch.now, count=JOBS_AT_ONCE))
    left = MOST_EVENTS
    for job, owner in found.items():
        if left <= 0:
            break
        rows = batch.connection.all(READ_DELTAS, job=job, kind=TEXT, count=left)
        part = _foldable(rows)
        if len(part) > 1 or len(part) < len(rows):
            batch.connection.run(INSERT_FOLD, job_id=job, owner=owner, **pack(part))
            batch.connection.many(DELETE_EVENT, [{"job": job, "number": event.seq} for event in part])
        if len(rows) < left and len(part) == len(rows):
            batch.connection.run(MARK_FOLDED, job=job)
        left -= len(rows)
    return bool(found)


def _foldable(rows: Sequence[Row]) -> list[Event]:
    """As many of the first as go into one row."""
    part: list[Event] = []
    length = 0
    for job, seq, position, at, data in rows:
        event = Event(job, seq, position, TEXT, at, decode(data))
        length += len(event.data["delta"])
        if part and length > MOST_TEXT:
            break
        part.append(event)
    return part


def pack(part: Sequence[Event]) -> dict[str, Any]:
    """The columns of a row. Numbers that grow are kept as their difference from the event before."""
    names: dict[str, int] = {}
    numbers: list[int] = []
    seq, position, at = 0, 0, 0
    for event in part:
        channel, attempt, offset, delta = (event.data[field] for field in FIELDS)
        place = event.position or 0
        numbers += (event.seq - seq, place - position, event.at - at)
        numbers += (names.setdefault(channel, len(names)), attempt, offset, len(delta))
        seq, position, at = event.seq, place, event.at
    return {
        "first_seq": part[0].seq,
        "last_seq": part[-1].seq,
        "first_position": part[0].position,
        "last_position": part[-1].position,
        "places": encode({"channels": list(names), "numbers": numbers}),
        "text": encode("".join(event.data["delta"] for event in part)),
    }


def unpack(job: str, owned: bool, places: str, text: str) -> list[Event]:
    """The events as they were."""
    packed, whole = decode(places), decode(text)
    names, numbers = packed["channels"], packed["numbers"]
    found: list[Event] = []
    seq, position, at, start = 0, 0, 0, 0
    for index in range(0, len(numbers), WIDTH):
        seq += numbers[index]
        position += numbers[index + 1]
        at += numbers[index + 2]
        channel, attempt, offset, length = numbers[index + 3 : index + WIDTH]
        data = {
            "channel": names[channel],
            "attempt": attempt,
            "offset": offset,
            "delta": whole[start : start + length],
        }
        start += length
        found.append(Event(job, seq, position if owned else None, TEXT, at, data))
    return found


# Beginning with what is not folded, a handful, and not with the jobs that have ended, which may be a million.
_candidates = (
    select(channels.c.job_id)
    .where(channels.c.folded.is_(False))
    .cte("unfolded")
    .prefix_with("MATERIALIZED", dialect="postgresql")
)
_unfolded = (
    select(jobs.c.id, jobs.c.owner)
    .join(_candidates, _candidates.c.job_id == jobs.c.id)
    .where(func.coalesce(jobs.c.finished_at, NEVER) <= bindparam("now", type_=jobs.c.finished_at.type) - AFTER)
)
IS_UNFOLDED = Statement(_unfolded.limit(1))
FIND_UNFOLDED = Statement(_unfolded.limit(bindparam("count")).with_for_update(skip_locked=True, of=jobs))
READ_DELTAS = Statement(
    select(events.c.job_id, events.c.seq, events.c.position, events.c.at, events.c.data)
    .where(events.c.job_id == bindparam("job"), events.c.kind == bindparam("kind"))
    .order_by(events.c.seq)
    .limit(bindparam("count"))
)
INSERT_FOLD = Statement(insert_all(folds, *(column.name for column in folds.columns)))
DELETE_EVENT = Statement(delete(events).where(events.c.job_id == bindparam("job"), events.c.seq == bindparam("number")))
MARK_FOLDED = Statement(update(channels).where(channels.c.job_id == bindparam("job")).values(folded=True))
