"""Executions end: completed, failed, tried again, cancelled, given back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import Select, bindparam, delete, select, update

from ..domain import events
from ..domain.errors import LeaseLost
from ..domain.job import JobError, Status
from ..domain.json import encode
from ..domain.notifications import Notice, default_notice
from ..domain.operations import Completed, Failed, Interrupted, Released, Settle
from . import tables
from .batch import Batch, insert_all
from .connection import Family, Row, Statement
from .submitting import INSERT_READY, INSERT_SCHEDULED

jobs, leases = tables.jobs, tables.leases


@dataclass(slots=True)
class Ending:
    """A running job as the store knows it at the moment it ends."""

    job: str
    attempt: int
    cancel_requested: bool
    owner: str | None
    task: str
    priority: int
    tries: int
    max_tries: int
    rescues: int
    seq: int
    percent: float
    created_at: int
    started_at: int

    @classmethod
    def read(cls, row: Row) -> Ending:
        return cls(*row)

    @staticmethod
    def select() -> Select[Any]:
        return select(
            leases.c.job_id,
            leases.c.attempt,
            leases.c.cancel_requested,
            jobs.c.owner,
            jobs.c.task,
            jobs.c.priority,
            jobs.c.tries,
            jobs.c.max_tries,
            jobs.c.rescues,
            jobs.c.seq,
            jobs.c.percent,
            jobs.c.created_at,
            jobs.c.started_at,
        ).join(jobs, jobs.c.id == leases.c.job_id)


@dataclass(frozen=True, slots=True)
class Rescued:
    """Back into the line because the worker was lost."""


@dataclass(frozen=True, slots=True)
class Give:
    """Failed for good because no worker survived it."""

    error: JobError


def settle(batch: Batch, operations: Sequence[Settle]) -> list[Status | Exception]:
    """All the settlements of a batch at once: seven statements, however many jobs."""
    rows = batch.connection.among(READ_ENDINGS, [operation.execution.job for operation in operations])
    held = {row[0]: Ending.read(row) for row in rows}
    accepted: list[tuple[Ending, Any]] = []
    answers: list[Status | Exception] = []
    for operation in operations:
        ending = held.pop(operation.execution.job, None)
        if ending is None or ending.attempt != operation.execution.attempt:
            answers.append(
                LeaseLost(f"job {operation.execution.job} is no longer at attempt {operation.execution.attempt}")
            )
            continue
        outcome = Interrupted() if ending.cancel_requested else operation.outcome
        accepted.append((ending, outcome))
        answers.append(_status_after(outcome))
    end_jobs(batch, accepted)
    batch.work = batch.work or any(operation.limited for operation in operations)
    return answers


def end_jobs(batch: Batch, endings: Sequence[tuple[Ending, Any]]) -> None:
    connection = batch.connection
    updates: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    lined: list[dict[str, Any]] = []
    later: list[dict[str, Any]] = []
    for ending, outcome in endings:
        if ending.cancel_requested:
            outcome = Interrupted()
        row = {
            "job": ending.job,
            "status": _status_after(outcome).value,
            "tries": ending.tries,
            "rescues": ending.rescues,
            "percent": ending.percent,
            "now": batch.now,
            "finished_at": batch.now,
            "error": None,
        }
        match outcome:
            case Completed(result, notice):
                row["percent"] = 100.0
                results.append({"job_id": ending.job, "body": result})
                _notify(batch, ending, "completed", notice)
                seconds = (batch.now - ending.started_at) / 1e6
                _emit(
                    batch,
                    ending,
                    events.COMPLETED,
                    f'{{"task":"{ending.task}","duration_seconds":{seconds}}}',
                )
            case Failed(error, None, notice):
                row["tries"] = ending.tries + 1
                row["error"] = encode(asdict(error))
                _notify(batch, ending, "failed", notice)
                _emit(batch, ending, events.FAILED, encode({"task": ending.task, "error": asdict(error)}))
            case Give(error):
                row["rescues"] = ending.rescues + 1
                row["error"] = encode(asdict(error))
                _notify(batch, ending, "failed", default_notice(ending.task, "failed", error.detail))
                _emit(batch, ending, events.FAILED, encode({"task": ending.task, "error": asdict(error)}))
            case Failed(error, float() | int() as wait, _):
                error = replace(error, retrying=True)
                row.update(tries=ending.tries + 1, error=encode(asdict(error)), finished_at=None)
                run_at = batch.now + int(wait * 1e6)
                if run_at > batch.now:
                    later.append({"job_id": ending.job, "run_at": run_at})
                else:
                    lined.append(_line(ending, batch.now))
                _retrying(batch, ending, "failure", error=asdict(error), tries=ending.tries + 1, retry_at=run_at)
            case Rescued():
                row.update(rescues=ending.rescues + 1, finished_at=None)
                lined.append(_line(ending, ending.created_at))
                _retrying(batch, ending, "rescue")
            case Released():
                row["finished_at"] = None
                lined.append(_line(ending, ending.created_at))
                _retrying(batch, ending, "drain")
            case Interrupted():
                _emit(batch, ending, events.CANCELLED, encode({"task": ending.task}))
        row["seq_"] = ending.seq
        updates.append(row)
    connection.many(DELETE_LEASE, [{"job": row["job"]} for row in updates])
    connection.many(END_JOB, updates)
    connection.many(INSERT_RESULT, results)
    connection.many(INSERT_READY, lined)
    connection.many(INSERT_SCHEDULED, later)
    batch.work = batch.work or bool(lined or later)


def _status_after(outcome: Any) -> Status:
    match outcome:
        case Completed():
            return Status.COMPLETED
        case Failed(retry_after=None) | Give():
            return Status.FAILED
        case Interrupted():
            return Status.CANCELLED
        case _:
            return Status.PENDING


def _emit(batch: Batch, ending: Ending, kind: str, data: str) -> None:
    ending.seq += 1
    batch.emit(ending.job, ending.seq, ending.owner, kind, data)


def _notify(batch: Batch, ending: Ending, kind: str, notice: Notice | None) -> None:
    """The notification comes before the terminal event, which is a log's last word."""
    if ending.owner is not None and notice is not None:
        ending.seq += 1
        batch.notify(ending.job, ending.seq, ending.owner, kind, notice)


def _retrying(batch: Batch, ending: Ending, reason: str, **more: Any) -> None:
    _emit(
        batch,
        ending,
        events.RETRYING,
        encode({"task": ending.task, "reason": reason, "max_tries": ending.max_tries, **more}),
    )


def _line(ending: Ending, since: int) -> dict[str, Any]:
    return {"task": ending.task, "rank": -ending.priority, "since": since, "job_id": ending.job}


READ_ENDINGS = Family(lambda ids: Ending.select().where(leases.c.job_id.in_(ids)))
DELETE_LEASE = Statement(delete(leases).where(leases.c.job_id == bindparam("job")))
END_JOB = Statement(
    update(jobs)
    .where(jobs.c.id == bindparam("job"))
    .values(
        status=bindparam("status"),
        tries=bindparam("tries"),
        rescues=bindparam("rescues"),
        seq=bindparam("seq_"),
        percent=bindparam("percent"),
        updated_at=bindparam("now"),
        finished_at=bindparam("finished_at"),
        error=bindparam("error"),
    )
)
INSERT_RESULT = Statement(insert_all(tables.job_results, "job_id", "body"))
