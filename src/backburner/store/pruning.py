"""What has been kept long enough: ended jobs, notifications, and what the line remembers of owners."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, and_, bindparam, delete, exists, func, or_, select, update

from ..domain.ids import is_execution
from ..domain.operations import DeclareRetention, FindPrunable, Prunable, Prune, PruneLine, PruneNotifications
from . import tables
from .batch import Batch, insert_all
from .claiming import ADVANCE_CLOCK
from .connection import Connection, Family, Statement
from .erasing import erase_jobs, erase_orphan
from .resting import remove_rested

jobs, retentions, inbox, turns, clocks = (
    tables.jobs,
    tables.retentions,
    tables.notifications,
    tables.turns,
    tables.clocks,
)

AT_ONCE = 500
LONGEST_PERIOD = 366 * 86_400 * 1_000_000
"""Microseconds: no rate is counted over more than that."""


def declare_retention(batch: Batch, operation: DeclareRetention) -> None:
    known = _declared(batch.connection)
    for task, retention in sorted(operation.tasks.items()):
        if known.get(task, {}) != retention:
            batch.connection.run(FORGET_RETENTION, task=task)
            rows = [{"task": task, "status": status, "seconds": seconds} for status, seconds in retention.items()]
            batch.connection.many(INSERT_RETENTION, rows)


def find_prunable(connection: Connection, query: FindPrunable) -> Prunable:
    own = _declared(connection) if query.usual else {}
    everything = [*query.retention.values(), *(seconds for each in own.values() for seconds in each.values())]
    shortest = min((seconds for seconds in everything if seconds is not None), default=None)
    if shortest is None:
        return Prunable((), None)
    now = connection.now()
    at, job = query.after or (0, "")
    rows = connection.all(ENDED, at=at, job=job, until=now - int(shortest * 1e6), count=query.limit)
    found = []
    for job, ended, task, status in rows:
        kept = own.get(task, {}).get(status, query.retention.get(status))
        if kept is not None and ended <= now - int(kept * 1e6):
            found.append((ended, job))
    return Prunable(tuple(found), (rows[-1][1], rows[-1][0]) if len(rows) == query.limit else None)


def prune(batch: Batch, operation: Prune) -> int:
    ended_at = {job: at for at, job in operation.jobs}
    rows = batch.connection.among(HOLD_ENDED, list(ended_at)) if ended_at else []
    same = [row for *row, at in rows if at == ended_at[row[0]]]
    _shorten_streams(batch, [job for job, *_ in same if not is_execution(job)])
    erase_jobs(batch, [(*row,) for row in same if not is_execution(row[0])])
    for job, *_ in same:
        if is_execution(job):  # whoever shared it may still want its result
            erase_orphan(batch, job)
    return len(same)


def _shorten_streams(batch: Batch, ended: Sequence[str]) -> None:
    """Note where the streams of these jobs' owners have no gap behind them; a job's last event is never folded."""
    ends: dict[str, int] = {}
    for owner, position in batch.connection.among(LAST_POSITIONS, ended) if ended else []:
        ends[owner] = max(position, ends.get(owner, 0))
    rows = [{"owner_": owner, "end": end} for owner, end in sorted(ends.items())]
    batch.connection.many(SHORTEN_STREAM, rows)


def prune_notifications(batch: Batch, operation: PruneNotifications) -> int:
    before = batch.now - int(operation.age * 1e6)
    old = [number for number, at in batch.connection.all(OLDEST_NOTIFICATIONS, count=AT_ONCE) if at <= before]
    batch.connection.many(DELETE_NOTIFICATION, [{"number": number} for number in old])
    return len(old)


def prune_line(batch: Batch, operation: PruneLine) -> bool:
    """An owner whose last turn has passed begins anew at the time of the line; so does everybody where a line is
    empty, its time being the last turn that was given (which is how start-time fair queueing ends a busy period)."""
    for queue, rank, finish in batch.connection.all(EMPTY_LINES):
        batch.connection.send(ADVANCE_CLOCK, queue_=queue, rank_=rank, turn=finish)
    passed = batch.connection.all(PASSED_TURNS, count=AT_ONCE)
    batch.connection.many(
        DELETE_TURN, [{"queue": queue, "rank": rank, "owner": owner} for queue, rank, owner in passed]
    )
    batch.connection.run(DELETE_STARTS, before=batch.now - LONGEST_PERIOD)
    return remove_rested(batch) or len(passed) == AT_ONCE


def _declared(connection: Connection) -> dict[str, dict[str, float | None]]:
    found: dict[str, dict[str, float | None]] = {}
    for task, status, seconds in connection.all(READ_RETENTIONS):
        found.setdefault(task, {})[status] = seconds
    return found


def _same(one: Any, other: Any, *names: str) -> Any:
    return and_(*(one.c[name] == other.c[name] for name in names))


READ_RETENTIONS = Statement(select(retentions.c.task, retentions.c.status, retentions.c.seconds))
FORGET_RETENTION = Statement(delete(retentions).where(retentions.c.task == bindparam("task")))
INSERT_RETENTION = Statement(insert_all(retentions, "task", "status", "seconds"))
ENDED = Statement(
    select(jobs.c.id, jobs.c.finished_at, jobs.c.task, jobs.c.status)
    .where(
        jobs.c.finished_at.is_not(None),
        jobs.c.finished_at >= bindparam("at"),
        or_(jobs.c.finished_at > bindparam("at"), jobs.c.id > bindparam("job")),
        jobs.c.finished_at <= bindparam("until"),
    )
    .order_by(jobs.c.finished_at, jobs.c.id)
    .limit(bindparam("count"))
)
HOLD_ENDED = Family(
    lambda among: (
        select(jobs.c.id, jobs.c.owner, jobs.c.task, jobs.c.queue, jobs.c.status, jobs.c.finished_at)
        .where(among(jobs.c.id), jobs.c.finished_at.is_not(None))
        .order_by(jobs.c.id)
        .with_for_update(skip_locked=True)
    )
)
LAST_POSITIONS = Family(
    lambda among: (
        select(tables.events.c.owner, func.max(tables.events.c.position))
        .where(among(tables.events.c.job_id), tables.events.c.owner.is_not(None))
        .group_by(tables.events.c.owner)
    )
)
SHORTEN_STREAM = Statement(
    update(tables.streams)
    .where(
        tables.streams.c.owner == bindparam("owner_"),
        func.coalesce(tables.streams.c.pruned, 0) < bindparam("end", type_=BigInteger),
    )
    .values(pruned=bindparam("end", type_=BigInteger))
)
OLDEST_NOTIFICATIONS = Statement(select(inbox.c.id, inbox.c.created_at).order_by(inbox.c.id).limit(bindparam("count")))
DELETE_NOTIFICATION = Statement(delete(inbox).where(inbox.c.id == bindparam("number")))
_in_line = select(tables.ready.c.job_id).join(tables.lines, _same(tables.lines, tables.ready, "queue", "task"))
EMPTY_LINES = Statement(
    select(clocks.c.queue, clocks.c.rank, func.max(turns.c.finish))
    .join(turns, _same(turns, clocks, "queue", "rank"))
    .where(
        turns.c.finish > clocks.c.time,
        ~exists(_in_line.where(tables.lines.c.queue == clocks.c.queue, tables.ready.c.rank == clocks.c.rank)),
        ~exists(select(tables.blocked.c.job_id).where(_same(tables.blocked, clocks, "queue", "rank"))),
    )
    .group_by(clocks.c.queue, clocks.c.rank)
    .order_by(clocks.c.queue, clocks.c.rank)
)
PASSED_TURNS = Statement(
    select(turns.c.queue, turns.c.rank, turns.c.owner)
    .join(clocks, _same(clocks, turns, "queue", "rank"))
    .where(turns.c.finish <= clocks.c.time)
    .limit(bindparam("count"))
    .with_for_update(skip_locked=True, of=turns)
)
DELETE_TURN = Statement(
    delete(turns).where(
        turns.c.queue == bindparam("queue"), turns.c.rank == bindparam("rank"), turns.c.owner == bindparam("owner")
    )
)
DELETE_STARTS = Statement(delete(tables.starts).where(tables.starts.c.at <= bindparam("before")))
