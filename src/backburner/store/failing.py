"""Waiting jobs that fail without having been started: nobody knows their task, or their time is over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import bindparam, delete, exists, select, update

from ..domain import events
from ..domain.ids import is_execution
from ..domain.job import JobError, Status
from ..domain.json import decode, encode
from ..domain.notifications import default_notice
from ..domain.operations import ExpireWaiting, FailUnknown
from . import tables
from .batch import Batch, Ended, insert_all
from .cancelling import detach
from .connection import Family, Statement
from .keying import leave_key
from .leaving import LEAVE_LINE
from .sharing import hold_all
from .submitting import announce, is_unannounced

jobs, ready, workers, unknown = tables.jobs, tables.ready, tables.workers, tables.unknown_tasks

AT_ONCE = 500


def fail_unknown(batch: Batch, operation: FailUnknown) -> int:
    """Fail what has waited in vain for longer than ``patience``; answers how many jobs."""
    announce(batch)
    known = {task for (tasks,) in batch.connection.all(LIVE_WORKERS, now=batch.now) for task in decode(tasks)}
    since: dict[str, int] = dict(batch.connection.all(READ_UNKNOWN))
    waiting = {task for (task,) in batch.connection.all(TASKS_IN_LINE)} - known
    for task in since.keys() - waiting:
        batch.connection.run(FORGET, task=task)
    failed = 0
    for task in sorted(waiting):
        if task not in since:
            batch.connection.run(REMEMBER, task=task, since=batch.now)
        elif batch.now - since[task] >= operation.patience * 1e6:
            failed += _fail_strangers(batch, task, operation.patience)
    return failed


def expire_waiting(batch: Batch, operation: ExpireWaiting) -> int:
    """Fail some of those whose time is over; answers how many."""
    announce(batch)
    late = [job for (job,) in batch.connection.all(FIND_LATE, now=batch.now, count=AT_ONCE)]
    hold_all(batch, late)
    return expire(batch, late)


def expire(batch: Batch, ids: Sequence[str]) -> int:
    """Fail those of these jobs that have not been started."""
    if not ids:
        return 0
    error = JobError(
        "expired",
        "The job came too late",
        "It was not started before the time that its submit had set. Start more workers, give it a higher priority or "
        "more time, then retry it.",
    )
    return fail(batch, ids, error)


def fail(batch: Batch, ids: Sequence[str], error: JobError) -> int:
    """Fail these jobs straight from pending; answers how many were."""
    rows = batch.connection.among(READ_PENDING, ids) if ids else []
    body = encode(asdict(error))
    updates: list[dict[str, Any]] = []
    for job, owner, task, queue, key, seq, awaited, batch_id, _ in rows:
        if owner is not None and batch_id is None:
            seq += 1
            batch.notify(job, seq, owner, "failed", default_notice(task, "failed", error.detail))
        batch.emit(job, seq + 1, owner, events.FAILED, encode({"task": task, "error": asdict(error)}))
        if not is_execution(job):
            batch.count(owner, task, queue, "pending", -1)
            batch.count(owner, task, queue, "failed", 1)
        batch.ended.append(Ended(job, Status.FAILED, bool(awaited), batch_id))
        updates.append({"job": job, "seq_": seq + 1, "now": batch.now, "error_": body})
        leave_key(batch, job, task, owner, key)
        batch.leave_line(job)
    gone = [{"job": row["job"]} for row in updates]
    for statement in LEAVE_LINE:
        batch.connection.many(statement, gone)
    batch.connection.many(FAIL, updates)
    detach(batch, {row[-1] for row in rows if row[-1] is not None})
    return len(rows)


def _fail_strangers(batch: Batch, task: str, patience: float) -> int:
    error = JobError(
        "unknown_task",
        "No worker knows the task",
        f"No live worker has known the task {task!r} for {patience / 60:g} minutes. Start a worker whose application "
        "registers it, then retry the job.",
    )
    rows = batch.connection.all(WAITING_FOR, task=task, count=AT_ONCE)
    return fail(batch, [job for (job,) in rows], error)


LIVE_WORKERS = Statement(select(workers.c.tasks).where(workers.c.expires_at >= bindparam("now")))
READ_UNKNOWN = Statement(select(unknown.c.task, unknown.c.since))
TASKS_IN_LINE = Statement(
    select(tables.lines.c.task).where(
        exists(select(ready.c.job_id).where(ready.c.queue == tables.lines.c.queue, ready.c.task == tables.lines.c.task))
    )
)
FORGET = Statement(delete(unknown).where(unknown.c.task == bindparam("task")))
REMEMBER = Statement(insert_all(unknown, "task", "since"))
WAITING_FOR = Statement(
    select(ready.c.job_id)
    .join(tables.lines, (tables.lines.c.queue == ready.c.queue) & (tables.lines.c.task == ready.c.task))
    .where(tables.lines.c.task == bindparam("task"))
    .limit(bindparam("count"))
)
FIND_LATE = Statement(
    select(tables.deadlines.c.job_id)
    .where(tables.deadlines.c.at <= bindparam("now"), ~is_unannounced(tables.deadlines.c.job_id))
    .order_by(tables.deadlines.c.at)
    .limit(bindparam("count"))
)
READ_PENDING = Family(
    lambda among: (
        select(
            jobs.c.id,
            jobs.c.owner,
            jobs.c.task,
            jobs.c.queue,
            jobs.c.key,
            jobs.c.seq,
            jobs.c.awaited,
            jobs.c.batch_id,
            jobs.c.execution_id,
        )
        .where(among(jobs.c.id), jobs.c.status == "pending")
        .with_for_update(skip_locked=True)
    )
)
FAIL = Statement(
    update(jobs)
    .where(jobs.c.id == bindparam("job"))
    .values(
        status="failed",
        seq=bindparam("seq_"),
        updated_at=bindparam("now"),
        finished_at=bindparam("now"),
        error=bindparam("error_"),
    )
)
