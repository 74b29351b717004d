"""What goes over HTTP, as JSON and as the schemas that describe it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from ..delivery.sse import timestamp
from ..domain.batches import BatchRecord
from ..domain.budgets import MONEY
from ..domain.job import JobRecord, Status
from ..domain.notifications import Notification
from ..domain.operations import Usage as Taken
from ..domain.operations import UsageRecord
from ..domain.outlook import UNKNOWN, Outlook
from ..domain.questions import Question

PREFIX = "/backburner"
EPOCH = date(1970, 1, 1)
LONGEST_DELAY = 10 * 366 * 24 * 3600


class Exact(BaseModel):
    model_config = ConfigDict(extra="forbid")


def _written_out(value: Any) -> Any:
    """A bare number is no time that anybody would mean: of seconds or milliseconds, in which zone?"""
    if not isinstance(value, str | datetime) or (isinstance(value, str) and "-" not in value.strip().lstrip("-")):
        raise ValueError("write it as a time with a zone, as in 2030-01-01T03:00:00+01:00")
    return value


class Submission(Exact):
    """A job to be run. ``delay`` is in seconds; ``run_at`` needs a time zone.

    While a job of the caller and the task with the same ``key`` has not ended, it is the answer, or where the task
    wants that a 409.
    """

    task: str
    args: dict[str, Any] = {}
    priority: int | None = Field(None, description="1 (last) to 10 (first); others are brought into this range")
    delay: Annotated[float, Field(ge=0, le=LONGEST_DELAY, allow_inf_nan=False)] | None = None
    run_at: Annotated[AwareDatetime, BeforeValidator(_written_out)] | None = None
    key: Annotated[str, Field(min_length=1, max_length=255)] | None = None


class Progress(Exact):
    percent: float
    message: str


class Usage(Exact):
    """``cost`` is there where the models have prices, in the currency of these."""

    input_tokens: int
    output_tokens: int
    cost: float | None = None


class ErrorOut(Exact):
    """Why a job failed. ``retrying``: another try is under way."""

    type: str
    title: str
    detail: str
    retrying: bool


class Urls(Exact):
    self: str
    events: str
    cancel: str
    retry: str
    result: str


class QuestionShown(Exact):
    """A question as whoever has its token sees it. ``schema`` is the JSON Schema of the answer."""

    prompt: str
    answer_schema: Any = Field(alias="schema")
    asked_at: str
    expires_at: str | None
    open: bool = Field(description="whether somebody waits for the answer")


class QuestionOut(Exact):
    """What a job waits to be told, for its owner."""

    prompt: str
    answer_schema: Any = Field(alias="schema")
    token: str = Field(description="lets whoever has it answer this question, once")
    asked_at: str
    expires_at: str | None


class AnswerIn(Exact):
    answer: Any


class AnswerTo(AnswerIn):
    """``token`` says which question is meant, where the job has asked several."""

    token: str | None = None


class JobSummary(Exact):
    """A job as it stands, without its arguments and its result."""

    id: str
    task: str
    queue: str
    status: Status
    waiting_for: str | None = Field(description="what a pending job waits for: turn, time, limit, …")
    priority: int
    owner: str | None
    progress: Progress
    position: int | None = Field(description="in its queue's line, 1 being next; null beyond 20,000 or in no line")
    eta_seconds: float | None = Field(description="until it is expected to have ended; null where nobody knows")
    attempt: int
    tries: int
    max_tries: int
    can_retry: bool
    cancel_requested: bool
    created_at: str
    updated_at: str
    started_at: str | None
    finished_at: str | None
    duration_seconds: float | None
    usage: Usage
    error: ErrorOut | None
    batch: str | None
    parent: str | None = Field(description="the job that has submitted it, and whose cancellation cancels it")
    question: QuestionOut | None = Field(description="what it waits to be told")
    urls: Urls


class JobOut(JobSummary):
    """A job as it stands. ``result`` is null until it is completed."""

    args: Any
    result: Any


class JobPage(Exact):
    jobs: list[JobSummary]
    next: str | None = Field(description="the cursor of the next page")


class Retried(Exact):
    """How many jobs are run again."""

    retried: int


class Counts(Exact):
    """Jobs in each state."""

    pending: int
    running: int
    completed: int
    failed: int
    cancelled: int


class TaskStats(Exact):
    """Means over completed jobs, also those that have been removed since; ``success_rate`` is the completed part of
    those that completed or failed. Null where there are none."""

    counts: Counts
    mean_duration_seconds: float | None
    mean_wait_seconds: float | None
    success_rate: float | None


class JobStats(Exact):
    counts: Counts
    tasks: dict[str, TaskStats]


class BatchOut(Exact):
    """Jobs that belong together."""

    id: str
    title: str
    owner: str | None
    status: Status = Field(description="running, or once all have ended completed, failed or cancelled")
    total: int
    percent: float
    counts: Counts
    created_at: str
    finished_at: str | None = Field(description="when all had ended for the first time")


class BatchPage(Exact):
    batches: list[BatchOut]
    next: str | None = Field(description="the cursor of the next page")


class EventOut(Exact):
    """An event of the log, as its stream would tell it."""

    id: str
    event: str
    data: dict[str, Any]


class EventPage(Exact):
    events: list[EventOut]
    next: str = Field(description="the cursor behind the last of these events")


class NotificationOut(Exact):
    id: int
    kind: str
    title: str
    message: str
    data: dict[str, Any]
    job: str | None
    created_at: str
    read: bool


class InboxPage(Exact):
    notifications: list[NotificationOut]
    unread: int
    next: str | None = Field(description="the cursor of the next page")


class Unread(Exact):
    unread: int


class UsageTotal(Exact):
    """``cost`` is null where the models had no price."""

    calls: int
    input_tokens: int
    output_tokens: int
    cost: float | None


class UsageDay(UsageTotal):
    """What the model calls of one day (UTC) took."""

    day: date
    owner: str | None
    model: str


class UsagePage(Exact):
    """Each day and model, the latest day first, and all of it together."""

    usage: list[UsageDay]
    total: UsageTotal


class Health(Exact):
    status: str


class ProblemOut(BaseModel):
    """RFC 9457. ``errors`` names the fields that are wrong, ``job`` the id of the job that stands in the way."""

    type: str
    title: str
    status: int
    detail: str
    errors: dict[str, str] | None = None
    job: str | None = None


def job_json(record: JobRecord, result: Any = None, base: str = "", outlook: Outlook = UNKNOWN) -> dict[str, Any]:
    """A job as everyone is told of it. ``base`` stands before its addresses: the application's root path."""
    return {**job_summary(record, base, outlook), "args": record.args, "result": result}


def job_summary(record: JobRecord, base: str = "", outlook: Outlook = UNKNOWN) -> dict[str, Any]:
    """The same without arguments and result, for lists."""
    here = f"{base}{PREFIX}/jobs/{record.id}"
    error = record.error
    return {
        "id": record.id,
        "task": record.task,
        "queue": record.queue,
        "status": record.status.value,
        "waiting_for": record.waiting_for,
        "priority": record.priority,
        "owner": record.owner,
        "progress": {"percent": record.percent, "message": record.message},
        "position": outlook.position,
        "eta_seconds": outlook.eta_seconds,
        "attempt": record.attempt,
        "tries": record.tries,
        "max_tries": record.max_tries,
        "can_retry": record.can_retry,
        "cancel_requested": record.cancel_requested,
        "created_at": timestamp(record.created_at),
        "updated_at": timestamp(record.updated_at),
        "started_at": timestamp(record.started_at) if record.started_at is not None else None,
        "finished_at": timestamp(record.finished_at) if record.finished_at is not None else None,
        "duration_seconds": record.duration_seconds,
        "usage": _usage_json(record),
        "error": None
        if error is None
        else {"type": error.type, "title": error.title, "detail": error.detail, "retrying": error.retrying},
        "batch": record.batch,
        "parent": record.parent,
        "question": question_json(record.question) if record.question is not None else None,
        "urls": {
            "self": here,
            "events": f"{here}/events",
            "cancel": f"{here}/cancel",
            "retry": f"{here}/retry",
            "result": f"{here}/result",
        },
    }


def _usage_json(record: JobRecord) -> dict[str, Any]:
    tokens = {"input_tokens": record.input_tokens, "output_tokens": record.output_tokens}
    return tokens if record.cost is None else {**tokens, "cost": record.cost}


def usage_json(records: Sequence[UsageRecord]) -> dict[str, Any]:
    """See `UsagePage`."""
    total = sum((_usage_of(record) for record in records), Taken("", 0, 0, calls=0))
    return {
        "usage": [
            {
                "day": (EPOCH + timedelta(days=record.day)).isoformat(),
                "owner": record.owner or None,
                "model": record.model,
                **_taken_json(_usage_of(record)),
            }
            for record in records
        ],
        "total": _taken_json(total),
    }


def _usage_of(record: UsageRecord) -> Taken:
    return Taken(record.model, record.input_tokens, record.output_tokens, record.cost, record.calls)


def _taken_json(taken: Taken) -> dict[str, Any]:
    return {
        "calls": taken.calls,
        "input_tokens": taken.input_tokens,
        "output_tokens": taken.output_tokens,
        "cost": None if taken.cost is None else taken.cost / MONEY,
    }


def batch_json(record: BatchRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "title": record.title,
        "owner": record.owner,
        "status": record.status.value,
        "total": record.total,
        "percent": record.percent,
        "counts": {status.value: record.counts.get(status, 0) for status in Status},
        "created_at": timestamp(record.created_at),
        "finished_at": timestamp(record.finished_at) if record.finished_at is not None else None,
    }


def question_json(question: Question) -> dict[str, Any]:
    """For the owner of the job."""
    return {
        "prompt": question.prompt,
        "schema": question.schema,
        "token": question.token,
        "asked_at": timestamp(question.asked_at),
        "expires_at": timestamp(question.expires_at) if question.expires_at is not None else None,
    }


def question_shown(question: Question) -> dict[str, Any]:
    """For whoever has the token."""
    told = question_json(question)
    del told["token"]
    return {**told, "open": question.open}


def notification_json(notification: Notification) -> Mapping[str, Any]:
    return {
        "id": notification.id,
        "kind": notification.kind,
        "title": notification.title,
        "message": notification.message,
        "data": notification.data,
        "job": notification.job,
        "created_at": timestamp(notification.created_at),
        "read": notification.read_at is not None,
    }
