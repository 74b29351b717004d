"""Executions end: completed, failed, tried again, cancelled, given back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import Select, bindparam, delete, select, update

from ..domain import events
from ..domain.errors import LeaseLost
from ..domain.ids import is_execution
from ..domain.job import JobError, Status
from ..domain.json import encode
from ..domain.notifications import Notice, default_notice
from ..domain.operations import Completed, Execution, Failed, Interrupted, Parked, Released, Settle
from . import tables
from .asking import await_answers
from .awaiting import WAITS_FOR_ITSELF, await_children, hold_children, waits_for_itself
from .batch import Batch, Ended, insert_all
from .cancelling import cancel_jobs, children_of
from .connection import Family, Row, Statement
from .keying import LEAVE, key_of
from .limiting import bring_back
from .lining import Lined
from .submitting import INSERT_SCHEDULED

jobs, leases = tables.jobs, tables.leases


@dataclass(slots=True)
class Ending:
    """A running job as the store knows it at the moment it ends."""

    job: str
    attempt: int
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
    queue: str
    key: str | None
    batch_id: str | None
    awaited: bool | None
    size: float | None
    cancel_requested: bool = False
    """Known once its lease has been taken."""

    @classmethod
    def read(cls, row: Row) -> Ending:
        return cls(*row)

    @staticmethod
    def select() -> Select[Any]:
        return select(
            jobs.c.id,
            jobs.c.attempt,
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
            jobs.c.queue,
            jobs.c.key,
            jobs.c.batch_id,
            jobs.c.awaited,
            jobs.c.size,
        )


@dataclass(frozen=True, slots=True)
class Rescued:
    """Back into the line because the worker was lost."""


@dataclass(frozen=True, slots=True)
class Give:
    """Failed for good because no worker survived it."""

    error: JobError


def settle(batch: Batch, operations: Sequence[Settle]) -> list[Status | Exception]:
    """All the settlements of a batch at once: six statements, however many jobs."""
    ids = [operation.execution.job for operation in operations]
    parks = [each.outcome for each in operations if isinstance(each.outcome, Parked)]
    hold_children(batch, ids, parks)
    if len(ids) > 1 and any(child in ids for park in parks for child in park.children):
        return [answer for operation in operations for answer in settle(batch, [operation])]  # each sees those before
    rows = batch.connection.among(READ_ENDINGS, ids)
    held = {row[0]: Ending.read(row) for row in rows}
    fenced = [_pass_fence(held, operation.execution) for operation in operations]
    take_leases(batch, [ending for ending in fenced if ending is not None])
    accepted: list[tuple[Ending, Any]] = []
    parking: dict[str, Parked] = {}
    answers: list[Status | Exception] = []
    for operation, ending in zip(operations, fenced, strict=True):
        if ending is None:
            answers.append(
                LeaseLost(f"job {operation.execution.job} is no longer at attempt {operation.execution.attempt}")
            )
            continue
        outcome = Interrupted() if ending.cancel_requested else operation.outcome
        if isinstance(outcome, Parked) and outcome.children:
            if waits_for_itself(batch, ending.job, outcome, parking):
                notice = default_notice(ending.task, "failed", WAITS_FOR_ITSELF.detail)
                outcome = Failed(WAITS_FOR_ITSELF, None, notice)
            else:
                parking[ending.job] = outcome
        accepted.append((ending, outcome))
        answers.append(_status_after(outcome))
    end_jobs(batch, accepted)
    limited = {operation.execution.job for operation in operations if operation.limited}
    if limited:
        free_slots(batch, [ending for ending, _ in accepted if ending.job in limited])
        batch.work = True
    return answers


def _pass_fence(held: dict[str, Ending], execution: Execution) -> Ending | None:
    """None where another attempt holds the job, or none, or this one was settled a moment ago."""
    ending = held.get(execution.job)
    return held.pop(execution.job) if ending is not None and ending.attempt == execution.attempt else None


def take_leases(batch: Batch, endings: Sequence[Ending]) -> None:
    """The executions are over. Their jobs are held, so that nobody asks them to stop any more: who has asked before
    has the last word."""
    if endings:
        by_job = {ending.job: ending for ending in endings}
        for job, cancel_requested in batch.connection.among(TAKE_LEASES, list(by_job)):
            by_job[job].cancel_requested = bool(cancel_requested)


def free_slots(batch: Batch, endings: Sequence[Ending]) -> None:
    """Whoever was set aside for the slots of these executions may try again."""
    bring_back(batch, Counter((each.queue, each.task, each.owner or tables.NOBODY) for each in endings))


def end_jobs(batch: Batch, endings: Sequence[tuple[Ending, Any]]) -> None:
    """Executions whose lease has been taken come to these outcomes."""
    connection = batch.connection
    updates: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    later: list[dict[str, Any]] = []
    parked: list[dict[str, Any]] = []
    statuses: list[Status] = []
    for ending, outcome in endings:
        if ending.cancel_requested:
            outcome = Interrupted()
        status = _status_after(outcome)
        statuses.append(status)
        row = {
            "job": ending.job,
            "status": status.value,
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
                seconds = max(batch.now - ending.started_at, 0) / 1e6  # the clock may have been put back
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
                    batch.line_up(_line(ending, batch.now))
                _retrying(batch, ending, "failure", error=asdict(error), tries=ending.tries + 1, retry_at=run_at)
            case Rescued():
                row.update(rescues=ending.rescues + 1, finished_at=None)
                batch.line_up(_line(ending, ending.created_at))
                _retrying(batch, ending, "rescue")
            case Released():
                row["finished_at"] = None
                batch.line_up(_line(ending, ending.created_at))
                _retrying(batch, ending, "drain")
            case Parked(waiting_for, seconds):
                row["finished_at"] = None
                open_still, until = await_answers(batch, outcome.questions)
                if not open_still or not await_children(batch, ending.job, outcome):
                    batch.line_up(_line(ending, ending.created_at))
                else:
                    parked.append({"job_id": ending.job, "waiting_for": waiting_for})
                    ends = [] if until is None else [until]
                    if seconds is not None:
                        ends.append(batch.now + int(seconds * 1e6))
                    later += [{"job_id": ending.job, "run_at": min(ends)}] if ends else []
                _retrying(batch, ending, waiting_for)
            case Interrupted():
                _emit(batch, ending, events.CANCELLED, encode({"task": ending.task}))
        row["seq_"] = ending.seq
        updates.append(row)
    _count(batch, endings, statuses)
    connection.many(END_JOB, updates)
    connection.many(INSERT_RESULT, results)
    connection.many(INSERT_SCHEDULED, later)
    connection.many(INSERT_PARKED, parked)
    ended = [(ending, row) for (ending, _), row in zip(endings, updates, strict=True) if row["finished_at"] is not None]
    keyed = [each for each, _ in ended if each.key is not None]
    connection.many(LEAVE, [{"job_id_": each.job, **key_of(each.task, each.owner, each.key)} for each in keyed])
    batch.ended += [Ended(each.job, Status(row["status"]), bool(each.awaited), each.batch_id) for each, row in ended]
    cancelled = [each.job for each, row in ended if row["status"] == Status.CANCELLED]
    if cancelled:
        cancel_jobs(batch, children_of(batch, cancelled))
    batch.work = batch.work or bool(later)


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
    """The notification comes before the terminal event, which is a log's last word. A batch has one for all."""
    if ending.owner is not None and notice is not None and ending.batch_id is None:
        ending.seq += 1
        batch.notify(ending.job, ending.seq, ending.owner, kind, notice)


def _retrying(batch: Batch, ending: Ending, reason: str, **more: Any) -> None:
    _emit(
        batch,
        ending,
        events.RETRYING,
        encode({"task": ending.task, "reason": reason, "max_tries": ending.max_tries, **more}),
    )


def _line(ending: Ending, since: int) -> Lined:
    owner = ending.owner or tables.NOBODY
    return Lined(ending.job, ending.queue, ending.task, -ending.priority, owner, since, paid=True)


def _count(batch: Batch, endings: Sequence[tuple[Ending, Any]], statuses: Sequence[Status]) -> None:
    ended: Counter[tuple[str | None, str, str]] = Counter()
    for (ending, _), status in zip(endings, statuses, strict=True):
        place = ending.owner, ending.task, ending.queue
        ran = waited = 0
        if status is not Status.PENDING:
            ran, waited = max(batch.now - ending.started_at, 0), max(ending.started_at - ending.created_at, 0)
        if status is Status.COMPLETED:
            batch.measure(*place, ran / 1e6, ending.size)
        if not is_execution(ending.job):
            ended[place] += 1
            batch.count(*place, status.value, 1, ran, waited)
        elif status is Status.COMPLETED:  # the jobs that share it are counted
            batch.count(*place, status.value, 0)
    for place, count in ended.items():
        batch.count(*place, "running", -count)


READ_ENDINGS = Family(
    lambda among: (
        Ending.select().where(among(jobs.c.id), jobs.c.status == "running").order_by(jobs.c.id.desc()).with_for_update()
    )
)
TAKE_LEASES = Family(
    lambda among: delete(leases).where(among(leases.c.job_id)).returning(leases.c.job_id, leases.c.cancel_requested),
    volatile=True,
)
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
INSERT_PARKED = Statement(insert_all(tables.parked, "job_id", "waiting_for"))
