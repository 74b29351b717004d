"""Jobs that nobody can run: their task is known to no live worker."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sqlalchemy import bindparam, delete, select, update

from ..domain import events
from ..domain.job import JobError
from ..domain.json import decode, encode
from ..domain.notifications import default_notice
from ..domain.operations import FailUnknown
from . import tables
from .batch import Batch, insert_all
from .connection import Statement
from .submitting import announce

jobs, ready, workers, unknown = tables.jobs, tables.ready, tables.workers, tables.unknown_tasks

AT_ONCE = 500


def fail_unknown(batch: Batch, operation: FailUnknown) -> int:
    """Fail what has waited in vain for longer than ``patience``; answers how many jobs."""
    announce(batch)
    known = {task for (tasks,) in batch.connection.all(LIVE_WORKERS, now=batch.now) for task in decode(tasks)}
    since: dict[str, int] = dict(batch.connection.all(READ_UNKNOWN))
    waiting = _tasks_in_line(batch) - known
    for task in since.keys() - waiting:
        batch.connection.run(FORGET, task=task)
    failed = 0
    for task in sorted(waiting):
        if task not in since:
            batch.connection.run(REMEMBER, task=task, since=batch.now)
        elif batch.now - since[task] >= operation.patience * 1e6:
            failed += _fail_all(batch, task, operation.patience)
    return failed


def _tasks_in_line(batch: Batch) -> set[str]:
    """One look a task, however many jobs wait."""
    tasks: set[str] = set()
    row = batch.connection.one(NEXT_TASK, after="")
    while row is not None:
        tasks.add(row[0])
        row = batch.connection.one(NEXT_TASK, after=row[0])
    return tasks


def _fail_all(batch: Batch, task: str, patience: float) -> int:
    error = JobError(
        "unknown_task",
        "No worker knows the task",
        f"No live worker has known the task {task!r} for {patience / 60:g} minutes. Start a worker whose application "
        "registers it, then retry the job.",
    )
    rows = batch.connection.all(WAITING_FOR, task=task, count=AT_ONCE)
    updates: list[dict[str, Any]] = []
    for job, owner, seq in rows:
        if owner is not None:
            seq += 1
            batch.notify(job, seq, owner, "failed", default_notice(task, "failed", error.detail))
        batch.emit(job, seq + 1, owner, events.FAILED, encode({"task": task, "error": asdict(error)}))
        updates.append({"job": job, "seq_": seq + 1, "now": batch.now, "error_": encode(asdict(error))})
    batch.connection.many(LEAVE_LINE, [{"job": row["job"]} for row in updates])
    batch.connection.many(FAIL, updates)
    return len(rows)


LIVE_WORKERS = Statement(select(workers.c.tasks).where(workers.c.expires_at >= bindparam("now")))
READ_UNKNOWN = Statement(select(unknown.c.task, unknown.c.since))
NEXT_TASK = Statement(select(ready.c.task).where(ready.c.task > bindparam("after")).order_by(ready.c.task).limit(1))
FORGET = Statement(delete(unknown).where(unknown.c.task == bindparam("task")))
REMEMBER = Statement(insert_all(unknown, "task", "since"))
WAITING_FOR = Statement(
    select(jobs.c.id, jobs.c.owner, jobs.c.seq)
    .join(ready, ready.c.job_id == jobs.c.id)
    .where(ready.c.task == bindparam("task"))
    .limit(bindparam("count"))
)
LEAVE_LINE = Statement(delete(ready).where(ready.c.job_id == bindparam("job")))
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
