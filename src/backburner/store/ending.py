"""What becomes of jobs whose execution is over: completed, failed, tried again, cancelled, given back, parked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import Select, bindparam, select, update

from ..domain import events
from ..domain.ids import is_execution
from ..domain.job import JobError, Status
from ..domain.json import encode
from ..domain.notifications import Notice, default_notice
from ..domain.operations import Completed, Failed, Interrupted, Parked, Released
from . import tables
from .asking import await_answers
from .awaiting import await_children
from .batch import Batch, Ended, insert_all
from .cancelling import cancel_jobs, children_of
from .connection import Row, Statement
from .keying import LEAVE, key_of
from .lining import Lined
from .submitting import INSERT_SCHEDULED

jobs = tables.jobs


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


def end_jobs(batch: Batch, endings: Sequence[tuple[Ending, Any]]) -> None:
    """Executions whose lease has been taken come to these outcomes."""
    completed: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    waits = Waits([], [])
    statuses: list[Status] = []
    for ending, outcome in endings:
        if isinstance(outcome, Completed) and not ending.cancel_requested:
            _notify(batch, ending, "completed", outcome.notice)
            seconds = max(batch.now - ending.started_at, 0) / 1e6  # the clock may have been put back
            _emit(batch, ending, events.COMPLETED, f'{{"task":"{ending.task}","duration_seconds":{seconds}}}')
            completed.append({"job": ending.job, "seq_": ending.seq})
            results.append({"job_id": ending.job, "body": outcome.result})
            statuses.append(Status.COMPLETED)
        else:
            outcome = Interrupted() if ending.cancel_requested else outcome
            others.append(_end_otherwise(batch, ending, outcome, waits))
            statuses.append(status_after(outcome))
    _count(batch, endings, statuses)
    connection = batch.connection
    connection.many(COMPLETE_JOB, completed, now=batch.now)
    connection.many(INSERT_RESULT, results)
    connection.many(END_JOB, others, now=batch.now)
    connection.many(INSERT_SCHEDULED, waits.scheduled)
    connection.many(INSERT_PARKED, waits.parked)
    batch.work = batch.work or bool(waits.scheduled)
    _leave(batch, [(ending, status) for (ending, _), status in zip(endings, statuses, strict=True)])


@dataclass(frozen=True, slots=True)
class Waits:
    """Rows of jobs that go on later."""

    scheduled: list[dict[str, Any]]
    parked: list[dict[str, Any]]


def _end_otherwise(batch: Batch, ending: Ending, outcome: Any, waits: Waits) -> dict[str, Any]:
    """All but a completion; answers what becomes of the job's row."""
    row: dict[str, Any] = {
        "job": ending.job,
        "status": status_after(outcome).value,
        "tries": ending.tries,
        "rescues": ending.rescues,
        "finished_at": batch.now,
        "error": None,
    }
    match outcome:
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
                waits.scheduled.append({"job_id": ending.job, "run_at": run_at})
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
        case Parked(waiting_for, _):
            row["finished_at"] = None
            _park(batch, ending, outcome, waits)
            _retrying(batch, ending, waiting_for)
        case Interrupted():
            _emit(batch, ending, events.CANCELLED, encode({"task": ending.task}))
    row["seq_"] = ending.seq
    return row


def _park(batch: Batch, ending: Ending, outcome: Parked, waits: Waits) -> None:
    """Unless what it waits for has come by now."""
    open_still, until = await_answers(batch, outcome.questions)
    if not open_still or not await_children(batch, ending.job, outcome):
        batch.line_up(_line(ending, ending.created_at))
        return
    waits.parked.append({"job_id": ending.job, "waiting_for": outcome.waiting_for})
    ends = [] if until is None else [until]
    if outcome.seconds is not None:
        ends.append(batch.now + int(outcome.seconds * 1e6))
    if ends:
        waits.scheduled.append({"job_id": ending.job, "run_at": min(ends)})


def _leave(batch: Batch, endings: Sequence[tuple[Ending, Status]]) -> None:
    """What the jobs that have ended leave behind: a key, parents and batches that wait for them, children."""
    ended = [(ending, status) for ending, status in endings if status is not Status.PENDING]
    keyed = [ending for ending, _ in ended if ending.key is not None]
    batch.connection.many(LEAVE, [{"job_id_": each.job, **key_of(each.task, each.owner, each.key)} for each in keyed])
    batch.ended += [
        Ended(ending.job, status, bool(ending.awaited), ending.batch_id)
        for ending, status in ended
        if ending.awaited or ending.batch_id is not None
    ]
    cancelled = [ending.job for ending, status in ended if status is Status.CANCELLED]
    if cancelled:
        cancel_jobs(batch, children_of(batch, cancelled))


def status_after(outcome: Any) -> Status:
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


COMPLETE_JOB = Statement(
    update(jobs)
    .where(jobs.c.id == bindparam("job"))
    .values(
        status="completed",
        seq=bindparam("seq_"),
        percent=100.0,
        updated_at=bindparam("now"),
        finished_at=bindparam("now"),
        error=None,
    ),
    same=("now",),
)
END_JOB = Statement(
    update(jobs)
    .where(jobs.c.id == bindparam("job"))
    .values(
        status=bindparam("status"),
        tries=bindparam("tries"),
        rescues=bindparam("rescues"),
        seq=bindparam("seq_"),
        updated_at=bindparam("now"),
        finished_at=bindparam("finished_at"),
        error=bindparam("error"),
    ),
    same=("now",),
)
INSERT_RESULT = Statement(insert_all(tables.job_results, "job_id", "body"))
INSERT_PARKED = Statement(insert_all(tables.parked, "job_id", "waiting_for"))
