"""Workers take jobs from the line, within the limits."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, delete, exists, func, select, tuple_, update

from ..domain import events
from ..domain.errors import LeaseLost
from ..domain.ids import is_execution
from ..domain.job import Claimed, KeptStep
from ..domain.json import decode, encode
from ..domain.operations import Claim, Claims
from . import tables
from .batch import Batch, insert_all
from .connection import Family, Row, Statement
from .failing import expire
from .leaving import LEAVE_DEADLINES, LEAVE_PARKED, LEAVE_SCHEDULED, LEAVE_WAITS
from .limiting import Rooms, set_aside
from .merging import Head, Line, merge
from .submitting import Waiting, announce, is_unannounced

jobs, ready, scheduled, leases, lines = tables.jobs, tables.ready, tables.scheduled, tables.leases, tables.lines

AT_ONCE = 100
"""Delayed jobs that one claim moves into the line."""


def claim(batch: Batch, operation: Claim) -> Claims:
    look = batch.connection.begin(LOOK, worker=operation.worker)
    lines = batch.connection.begin(OPEN_LINES)
    row = look.fetchone()
    open_lines = [Line(queue, task) for queue, task in lines.fetchall() if task in operation.tasks]
    if row is None:
        raise LeaseLost(f"worker {operation.worker} was given up by the others")
    next_due, unannounced = row
    moved = 0
    if unannounced:
        announce(batch)
    if next_due is not None and next_due <= batch.now:
        moved, next_due = move_due(batch)
    if batch.flush_line():
        open_lines = _open_lines(batch, operation)
    wait = None if next_due is None else max(next_due - batch.now, 0) / 1e6
    picked = pick(batch, operation, open_lines)
    if picked.wait is not None:
        wait = picked.wait if wait is None else min(wait, picked.wait)
    taken = start(batch, picked, operation.worker) if picked.heads else ()
    return Claims(taken, wait, picked.more or moved == AT_ONCE)


def move_due(batch: Batch) -> tuple[int, int | None]:
    """Put delayed jobs whose time has come into the line; answers how many, and when the next one is due."""
    due = batch.connection.all(FIND_DUE, now=batch.now, count=AT_ONCE)
    batch.connection.many(LEAVE_SCHEDULED, [{"job": job} for job, *_ in due])
    perhaps_parked = [{"job": job} for job, *_, attempt in due if attempt]
    batch.connection.many(LEAVE_PARKED, perhaps_parked)
    batch.connection.many(LEAVE_WAITS, perhaps_parked)
    for job, owner, task, queue, priority, run_at, attempt in due:
        batch.line_up(Waiting(job, owner, task, queue, priority, run_at).lined(run_at, paid=attempt > 0))
    row = batch.connection.one(NEXT_DUE)
    return len(due), None if row is None or row[0] is None else int(row[0])


def _open_lines(batch: Batch, operation: Claim) -> list[Line]:
    """Lines that have jobs, of known tasks and queues that are not paused."""
    return [Line(queue, task) for queue, task in batch.connection.all(OPEN_LINES) if task in operation.tasks]


@dataclass(frozen=True, slots=True)
class Picked:
    """``limited``: the ids of those that count for a limit; ``more``: there may be others at once; ``wait``: seconds
    until a rate allows the next start."""

    heads: Sequence[Head]
    limited: Set[str]
    more: bool
    wait: float | None


def pick(batch: Batch, operation: Claim, open_lines: Sequence[Line]) -> Picked:
    """The first of the line by priority, turn and age, of the tasks this worker knows and within all limits."""
    rooms = Rooms(batch, operation.tasks, operation.queues, open_lines)
    if len(open_lines) == 1 and not rooms:
        heads = list(map(Head._make, _read_heads(batch, open_lines[0], None, operation.count)))
        if not any(_is_late(batch, head) for head in heads):
            return Picked(heads, frozenset(), more=False, wait=None)
    width = -(-operation.count // max(len(open_lines), 1))
    fetched = looked = 0
    expired: list[Head] = []
    aside: list[tuple[Head, str]] = []
    picked: list[Head] = []

    def fetch(line: Line, behind: Head | None) -> Sequence[Head]:
        nonlocal fetched
        page = min(rooms.of(line), operation.count) if behind is None and len(open_lines) == 1 else width
        rows = _read_heads(batch, line, behind, page)
        fetched += len(rows)
        return list(map(Head._make, rows))

    for head in merge([line for line in open_lines if rooms.of(line) > 0], fetch, lambda line: rooms.of(line) > 0):
        looked += 1
        if _is_late(batch, head):
            expired.append(head)
        elif (scope := rooms.refuses(head)) is not None:
            aside.append((head, scope))
        else:
            rooms.take(head)
            picked.append(head)
        if len(picked) == operation.count or looked == MOST_LOOKED_AT:
            break
    set_aside(batch, aside)
    expire(batch, [head.job for head in expired])
    rooms.note_starts(picked)
    if fetched > looked and batch.connection.language.skips_locked:
        batch.work = True  # another claim may have passed over what this one held and left
    limited = {head.job for head in picked if rooms.limits(head)}
    return Picked(picked, limited, looked == MOST_LOOKED_AT, rooms.wait())


def _is_late(batch: Batch, head: Head) -> bool:
    return head.expires_at is not None and head.expires_at <= batch.now and head.attempt == 0


MOST_LOOKED_AT = 500
"""Jobs that one claim looks at; with many set aside the next claim goes on."""


def _read_heads(batch: Batch, line: Line, behind: Head | None, count: int) -> list[Row]:
    place = {"queue": line.queue, "task": line.task, "count": count}
    if behind is None:
        return batch.connection.all(HEADS, **place)
    return batch.connection.all(HEADS_BEHIND, **place, rank=behind.rank, turn=behind.turn, job=behind.job)


def start(batch: Batch, chosen: Picked, worker: str) -> tuple[Claimed, ...]:
    connection, picked = batch.connection, chosen.heads
    begun: dict[str, dict[str, Any]] = {}
    held: list[dict[str, Any]] = []
    for head in picked:
        attempt, owner = head.attempt + 1, head.owner or None
        begun[head.job] = {"job": head.job, "attempt": attempt, "seq": head.seq + 1}
        held.append(
            {
                "job_id": head.job,
                "attempt": attempt,
                "queue": head.queue,
                "task": head.task,
                "owner": head.owner,
                "limited": head.job in chosen.limited,
            }
        )
        batch.emit(head.job, head.seq + 1, owner, events.STARTED, f'{{"task":"{head.task}","attempt":{attempt}}}')
    started = Counter((head.owner, head.task, head.queue) for head in picked if not is_execution(head.job))
    for place, count in started.items():
        batch.count(*place, "pending", -count)
        batch.count(*place, "running", count)
    connection.each(DELETE_READY, [head.job for head in picked])
    connection.many(INSERT_LEASE, held, worker_id=worker, cancel_requested=False)
    connection.many(START_JOB, list(begun.values()), now=batch.now)
    timely = [{"job": head.job} for head in picked if head.expires_at is not None]
    connection.many(LEAVE_DEADLINES, timely)
    _advance_clocks(batch, picked)
    kept = _resume(batch, [head for head in picked if head.attempt], begun)
    return tuple(
        Claimed(
            head.job,
            head.task,
            head.attempt + 1,
            head.tries,
            head.max_tries,
            head.owner or None,
            head.priority,
            head.args,
            head.queue,
            tuple(kept.get(head.job, ())),
        )
        for head in picked
    )


def _advance_clocks(batch: Batch, picked: Sequence[Head]) -> None:
    """The time of a line is the turn that was taken last."""
    latest: dict[tuple[str, int], int] = {}
    for head in picked:
        place = head.queue, head.rank
        latest[place] = max(head.turn, latest.get(place, 0))
    for (queue, rank), turn in sorted(latest.items()):
        batch.connection.send(ADVANCE_CLOCK, queue_=queue, rank_=rank, turn=turn)


def _resume(batch: Batch, again: Sequence[Head], begun: Mapping[str, dict[str, Any]]) -> dict[str, list[KeptStep]]:
    """Jobs that run again: void the text that no finished step stands behind, and bring the kept steps."""
    if not again:
        return {}
    connection = batch.connection
    ids = [head.job for head in again]
    owners = {head.job: head.owner or None for head in again}
    void: dict[str, dict[str, int]] = defaultdict(dict)
    for job, channel, kept in connection.among(READ_VOID, ids):
        void[job][channel] = kept
    for job, channels in void.items():
        seq = begun[job]["seq"] + 1
        data = {"attempt": begun[job]["attempt"], "channels": channels}
        batch.emit(job, seq, owners[job], events.RESET, encode(data))
        connection.send(RESET_CHANNELS, job=job)
        connection.send(SET_SEQ, job=job, seq_=seq)
    steps: dict[str, list[KeptStep]] = defaultdict(list)
    for job, name, occurrence, key, value, ends in connection.among(READ_STEPS, ids):
        steps[job].append(KeptStep(name, occurrence, key, value, decode(ends) if ends else {}))
    return steps


LOOK = Statement(
    select(
        select(func.min(scheduled.c.run_at)).scalar_subquery(),
        exists(select(tables.unannounced.c.job_id)),
    )
    .where(tables.workers.c.id == bindparam("worker"))
    .with_for_update(read=True, key_share=True, of=tables.workers)  # whoever gives the worker up waits for its claim
)
NEXT_DUE = Statement(select(func.min(scheduled.c.run_at)))
FIND_DUE = Statement(
    select(
        scheduled.c.job_id, jobs.c.owner, jobs.c.task, jobs.c.queue, jobs.c.priority, scheduled.c.run_at, jobs.c.attempt
    )
    .join(jobs, jobs.c.id == scheduled.c.job_id)
    .where(scheduled.c.run_at <= bindparam("now"), ~is_unannounced(scheduled.c.job_id))
    .order_by(scheduled.c.run_at, scheduled.c.job_id)
    .limit(bindparam("count"))
    .with_for_update(skip_locked=True, of=scheduled)
)
OPEN_LINES = Statement(
    select(lines.c.queue, lines.c.task).where(
        exists(select(ready.c.job_id).where(ready.c.queue == lines.c.queue, ready.c.task == lines.c.task)),
        ~exists(select(tables.paused_queues.c.queue).where(tables.paused_queues.c.queue == lines.c.queue)),
    )
)
_heads = (
    select(
        ready.c.rank,
        ready.c.turn,
        ready.c.job_id,
        ready.c.queue,
        ready.c.task,
        ready.c.owner,
        ready.c.since,
        jobs.c.attempt,
        jobs.c.tries,
        jobs.c.max_tries,
        jobs.c.priority,
        jobs.c.seq,
        jobs.c.expires_at,
        tables.job_args.c.body,
    )
    .join(jobs, jobs.c.id == ready.c.job_id)
    .join(tables.job_args, tables.job_args.c.job_id == ready.c.job_id)
    .where(ready.c.queue == bindparam("queue"), ready.c.task == bindparam("task"))
    .order_by(ready.c.rank, ready.c.turn, ready.c.job_id)
    .limit(bindparam("count"))
    .with_for_update(skip_locked=True, of=[ready, jobs])
)
HEADS = Statement(_heads)
HEADS_BEHIND = Statement(
    _heads.where(
        tuple_(ready.c.rank, ready.c.turn, ready.c.job_id)
        > tuple_(bindparam("rank"), bindparam("turn"), bindparam("job"))
    )
)
DELETE_READY = Family(lambda among: delete(ready).where(among(ready.c.job_id)))
INSERT_LEASE = Statement(
    insert_all(leases, *(column.name for column in leases.columns)), same=("worker_id", "cancel_requested")
)
START_JOB = Statement(
    update(jobs)
    .where(jobs.c.id == bindparam("job"))
    .values(
        status="running",
        attempt=bindparam("attempt"),
        seq=bindparam("seq"),
        started_at=func.coalesce(jobs.c.started_at, bindparam("now", type_=jobs.c.started_at.type)),
        updated_at=bindparam("now"),
    ),
    same=("now",),
)
_clock = tables.clocks.alias()
ADVANCE_CLOCK = Statement(
    update(tables.clocks)
    .where(
        tables.clocks.c.queue == bindparam("queue_"),
        tables.clocks.c.rank
        == select(_clock.c.rank)
        .where(
            _clock.c.queue == bindparam("queue_"),
            _clock.c.rank == bindparam("rank_"),
            _clock.c.time < bindparam("turn"),
        )
        .with_for_update(skip_locked=True)
        .scalar_subquery(),
    )
    .values(time=bindparam("turn"))
)
"""Where somebody else moves it just now, that will do."""
READ_VOID = Family(
    lambda among: (
        select(tables.channels.c.job_id, tables.channels.c.name, tables.channels.c.kept)
        .where(among(tables.channels.c.job_id), tables.channels.c.kept < tables.channels.c.length)
        .order_by(tables.channels.c.job_id, tables.channels.c.name)
    )
)
RESET_CHANNELS = Statement(
    update(tables.channels).where(tables.channels.c.job_id == bindparam("job")).values(length=tables.channels.c.kept)
)
SET_SEQ = Statement(update(jobs).where(jobs.c.id == bindparam("job")).values(seq=bindparam("seq_")))
READ_STEPS = Family(
    lambda among: select(
        tables.steps.c.job_id,
        tables.steps.c.name,
        tables.steps.c.occurrence,
        tables.steps.c.key,
        tables.steps.c.value,
        tables.steps.c.channels,
    ).where(among(tables.steps.c.job_id))
)
