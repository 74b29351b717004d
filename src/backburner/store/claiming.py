"""Workers take jobs, keep their right to them, and lose it."""

from __future__ import annotations

import os
import socket
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, delete, func, select, update

from ..domain import events
from ..domain.errors import LeaseLost
from ..domain.job import Claimed, JobError, KeptStep
from ..domain.json import decode, encode
from ..domain.operations import Claim, Claims, RegisterWorker, Released, Renew, Rescue, Retire
from . import tables
from .batch import Batch, insert_all
from .connection import Family, Row, Statement
from .settling import Ending, Give, Rescued, end_jobs
from .submitting import INSERT_READY, announce

jobs, ready, scheduled, leases, workers = (
    tables.jobs,
    tables.ready,
    tables.scheduled,
    tables.leases,
    tables.workers,
)


def claim(batch: Batch, operation: Claim) -> Claims:
    if batch.connection.one(READ_WORKER, worker=operation.worker) is None:
        raise LeaseLost(f"worker {operation.worker} was given up by the others")
    announce(batch)
    next_due = move_due(batch)
    picked = pick(batch, operation.tasks, operation.count)
    return Claims(start(batch, picked, operation.worker) if picked else (), next_due)


def move_due(batch: Batch) -> int | None:
    """Put delayed jobs whose time has come into the line; answers when the next one is due."""
    row = batch.connection.one(NEXT_DUE)
    if row is None or row[0] > batch.now:
        return None if row is None else int(row[0])
    due = batch.connection.all(FIND_DUE, now=batch.now)
    batch.connection.many(DELETE_SCHEDULED, [{"job": job} for job, *_ in due])
    batch.connection.many(
        INSERT_READY,
        [{"task": task, "rank": -priority, "since": run_at, "job_id": job} for job, run_at, task, priority in due],
    )
    row = batch.connection.one(NEXT_DUE)
    return None if row is None else int(row[0])


def pick(batch: Batch, tasks: Mapping[str, int | None], count: int) -> list[Row]:
    """The first ``count`` of the line, by priority and then age, of the tasks this worker knows.

    Each task has a line of its own, so that one that is at its limit is passed over without looking at its jobs.
    """
    heads: list[Row] = []
    running: dict[str, int] = dict(batch.connection.all(COUNT_RUNNING)) if any(tasks.values()) else {}
    for task, limit in tasks.items():
        room = count if limit is None else min(count, limit - running.get(task, 0))
        if room > 0:
            heads += batch.connection.all(HEAD_OF_LINE, task=task, count=room)
    heads.sort()
    return heads[:count]


def start(batch: Batch, picked: Sequence[Row], worker: str) -> tuple[Claimed, ...]:
    connection = batch.connection
    order = [job for _, _, job, _ in picked]
    found = {row[0]: row for row in connection.among(READ_CLAIMED, order)}
    claimed = []
    begun: list[dict[str, Any]] = []
    again: list[str] = []
    for job in order:
        _, task, owner, attempt, tries, max_tries, priority, seq, args = found[job]
        begun.append({"job": job, "attempt": attempt + 1, "seq": seq + 1, "now": batch.now})
        if attempt:
            again.append(job)
        batch.emit(job, seq + 1, owner, events.STARTED, f'{{"task":"{task}","attempt":{attempt + 1}}}')
        claimed.append((job, task, attempt + 1, tries, max_tries, owner, priority, args))
    connection.many(
        DELETE_READY,
        [{"task": task, "rank": rank, "since": since, "job": job} for rank, since, job, task in picked],
    )
    connection.many(
        INSERT_LEASE,
        [
            {"job_id": job, "attempt": attempt, "worker_id": worker, "task": task, "cancel_requested": False}
            for job, task, attempt, *_ in claimed
        ],
    )
    connection.many(START_JOB, begun)
    kept = _resume(batch, again, {row["job"]: row for row in begun}, {row[0]: row[5] for row in claimed})
    return tuple(Claimed(*row, steps=tuple(kept.get(row[0], ()))) for row in claimed)


def _resume(
    batch: Batch, again: Sequence[str], begun: Mapping[str, dict[str, Any]], owners: Mapping[str, str | None]
) -> dict[str, list[KeptStep]]:
    """Jobs that run again: void the text that no finished step stands behind, and bring the kept steps."""
    if not again:
        return {}
    connection = batch.connection
    void: dict[str, dict[str, int]] = defaultdict(dict)
    for job, channel, kept in connection.among(READ_VOID, again):
        void[job][channel] = kept
    for job, channels in void.items():
        seq = begun[job]["seq"] + 1
        data = {"attempt": begun[job]["attempt"], "channels": channels}
        batch.emit(job, seq, owners[job], events.RESET, encode(data))
        connection.run(RESET_CHANNELS, job=job)
        connection.run(SET_SEQ, job=job, seq_=seq)
    steps: dict[str, list[KeptStep]] = defaultdict(list)
    for job, name, occurrence, key, value, ends in connection.among(READ_STEPS, again):
        steps[job].append(KeptStep(name, occurrence, key, value, decode(ends) if ends else {}))
    return steps


def register(batch: Batch, operation: RegisterWorker) -> None:
    batch.connection.run(
        INSERT_WORKER,
        id=operation.worker,
        host=socket.gethostname(),
        pid=os.getpid(),
        tasks=encode(operation.tasks),
        started_at=batch.now,
        expires_at=batch.now + int(operation.lease * 1e6),
    )


def renew(batch: Batch, operation: Renew) -> bool:
    expires = batch.now + int(operation.lease * 1e6)
    return batch.connection.run(RENEW_WORKER, worker=operation.worker, expires_at=expires) == 1


def retire(batch: Batch, operation: Retire) -> None:
    """Whatever the worker still holds goes back into the line: nobody would look for it any more."""
    endings = [Ending.read(row) for row in batch.connection.among(READ_LOST, [operation.worker])]
    end_jobs(batch, [(ending, Released()) for ending in endings])
    batch.connection.run(DELETE_WORKER, worker=operation.worker)


def rescue(batch: Batch, operation: Rescue) -> int:
    lost = set(operation.workers)
    if operation.expired:
        lost |= {row[0] for row in batch.connection.all(EXPIRED_WORKERS, now=batch.now)}
    if not lost:
        return 0
    rows = batch.connection.among(READ_LOST, sorted(lost))
    endings = [Ending.read(row) for row in rows]
    end_jobs(batch, [(ending, _after_loss(ending, operation.cap)) for ending in endings])
    for worker in sorted(lost):
        batch.connection.run(DELETE_WORKER, worker=worker)
    return len(rows)


def _after_loss(ending: Ending, cap: int) -> Rescued | Give:
    if ending.rescues + 1 < cap:
        return Rescued()
    times = ending.rescues + 1
    return Give(
        JobError(
            "worker_died",
            "The job's worker died",
            f"Its worker died {times} times while running it. Look at the worker's log (out of memory is the usual "
            "cause), then retry the job.",
        )
    )


NEXT_DUE = Statement(select(scheduled.c.run_at).order_by(scheduled.c.run_at).limit(1))
FIND_DUE = Statement(
    select(scheduled.c.job_id, scheduled.c.run_at, jobs.c.task, jobs.c.priority)
    .join(jobs, jobs.c.id == scheduled.c.job_id)
    .where(scheduled.c.run_at <= bindparam("now"))
    .order_by(scheduled.c.run_at)
    .limit(100)
)
DELETE_SCHEDULED = Statement(delete(scheduled).where(scheduled.c.job_id == bindparam("job")))
COUNT_RUNNING = Statement(select(leases.c.task, func.count()).group_by(leases.c.task))
HEAD_OF_LINE = Statement(
    select(ready.c.rank, ready.c.since, ready.c.job_id, ready.c.task)
    .where(ready.c.task == bindparam("task"))
    .order_by(ready.c.rank, ready.c.since, ready.c.job_id)
    .limit(bindparam("count"))
)
READ_CLAIMED = Family(
    lambda ids: (
        select(
            jobs.c.id,
            jobs.c.task,
            jobs.c.owner,
            jobs.c.attempt,
            jobs.c.tries,
            jobs.c.max_tries,
            jobs.c.priority,
            jobs.c.seq,
            tables.job_args.c.body,
        )
        .join(tables.job_args, tables.job_args.c.job_id == jobs.c.id)
        .where(jobs.c.id.in_(ids))
    )
)
DELETE_READY = Statement(
    delete(ready).where(
        ready.c.task == bindparam("task"),
        ready.c.rank == bindparam("rank"),
        ready.c.since == bindparam("since"),
        ready.c.job_id == bindparam("job"),
    )
)
INSERT_LEASE = Statement(insert_all(leases, "job_id", "attempt", "worker_id", "task", "cancel_requested"))
START_JOB = Statement(
    update(jobs)
    .where(jobs.c.id == bindparam("job"))
    .values(
        status="running",
        attempt=bindparam("attempt"),
        seq=bindparam("seq"),
        started_at=func.coalesce(jobs.c.started_at, bindparam("now")),
        updated_at=bindparam("now"),
    )
)
READ_VOID = Family(
    lambda ids: (
        select(tables.channels.c.job_id, tables.channels.c.name, tables.channels.c.kept)
        .where(tables.channels.c.job_id.in_(ids), tables.channels.c.kept < tables.channels.c.length)
        .order_by(tables.channels.c.job_id, tables.channels.c.name)
    )
)
RESET_CHANNELS = Statement(
    update(tables.channels).where(tables.channels.c.job_id == bindparam("job")).values(length=tables.channels.c.kept)
)
SET_SEQ = Statement(update(jobs).where(jobs.c.id == bindparam("job")).values(seq=bindparam("seq_")))
READ_STEPS = Family(
    lambda ids: select(
        tables.steps.c.job_id,
        tables.steps.c.name,
        tables.steps.c.occurrence,
        tables.steps.c.key,
        tables.steps.c.value,
        tables.steps.c.channels,
    ).where(tables.steps.c.job_id.in_(ids))
)
INSERT_WORKER = Statement(insert_all(workers, "id", "host", "pid", "tasks", "started_at", "expires_at"))
RENEW_WORKER = Statement(
    update(workers).where(workers.c.id == bindparam("worker")).values(expires_at=bindparam("expires_at"))
)
DELETE_WORKER = Statement(delete(workers).where(workers.c.id == bindparam("worker")))
READ_WORKER = Statement(select(workers.c.expires_at).where(workers.c.id == bindparam("worker")))
EXPIRED_WORKERS = Statement(select(workers.c.id).where(workers.c.expires_at < bindparam("now")))
READ_LOST = Family(lambda ids: Ending.select().where(leases.c.worker_id.in_(ids)))
