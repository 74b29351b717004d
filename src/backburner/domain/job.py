"""A job and its states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from .json import refuse_nul, storable
from .questions import Question


class Status(StrEnum):
    """``pending → running → completed | failed | cancelled``, and back to pending (see `MOVES`)."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def finished(self) -> bool:
        return self in FINISHED


FINISHED = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})

MOVES: dict[Status, frozenset[Status]] = {
    Status.PENDING: frozenset({Status.RUNNING, Status.CANCELLED, Status.FAILED}),
    Status.RUNNING: frozenset({Status.PENDING, Status.COMPLETED, Status.FAILED, Status.CANCELLED}),
    Status.COMPLETED: frozenset(),
    Status.FAILED: frozenset({Status.PENDING}),
    Status.CANCELLED: frozenset({Status.PENDING}),
}


def can_move(current: Status, target: Status) -> bool:
    return target in MOVES[current]


@dataclass(frozen=True, slots=True)
class JobError:
    """Why a job failed, in words its owner understands. ``retrying``: another try is under way."""

    type: str
    title: str
    detail: str
    retrying: bool = False


SHARED_FAILURE = JobError(
    "shared_work_failed",
    "The job failed",
    "The work was done once for several submits of the same, and it failed. Retry the job to have it done again.",
)
"""What others are told than whoever's arguments were executed: the reason may show them."""


@dataclass(frozen=True, slots=True)
class SharedWork:
    """What makes a job's work the same as another's, and how long its result answers others (``lasts``, in seconds).

    ``work`` is a hash of the task and the arguments that count; only jobs of one owner share it, unless it is the same
    for ``everyone`` and done on nobody's behalf. ``words`` maps the kinds of notifications that the job makes to what
    they say, as JSON text; null is the usual words.
    """

    work: str
    lasts: float
    everyone: bool = False
    words: str | None = None


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job that is about to be submitted; ``args`` is the JSON text of its arguments.

    ``delay`` is in seconds from the moment of the commit, ``run_at`` in microseconds since the epoch. ``key``: at most
    one live job of this owner and task has it; a second one is answered with the first, or with ``reject`` refused.
    ``expires``: seconds after which the job fails if it has not been started. ``size`` says how much work it is, in
    units of the task's own, for the estimate of its duration. ``parent``: the job whose cancellation cancels this one.
    ``shared``: one execution serves all submits of the same work.
    """

    id: str
    task: str
    args: str
    owner: str | None = None
    queue: str = "default"
    priority: int = 5
    max_tries: int = 1
    delay: float = 0.0
    run_at: int | None = None
    key: str | None = None
    reject: bool = False
    expires: float | None = None
    size: float | None = None
    batch: str | None = None
    parent: str | None = None
    shared: SharedWork | None = None

    def __post_init__(self) -> None:
        """Raises `InvalidArguments` for what some database could not hold, so that all refuse the same."""
        for field_name in ("task", "queue", "owner", "key"):
            text = getattr(self, field_name)
            if text is not None:
                storable(text, field_name)
        refuse_nul(self.args)


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job as it stands. Times are microseconds since the epoch (UTC) on the database's clock."""

    id: str
    task: str
    queue: str
    status: Status
    waiting_for: str | None
    priority: int
    owner: str | None
    attempt: int
    tries: int
    max_tries: int
    rescues: int
    seq: int
    percent: float
    message: str
    created_at: int
    updated_at: int
    started_at: int | None
    finished_at: int | None
    input_tokens: int
    output_tokens: int
    cancel_requested: bool
    error: JobError | None
    run_at: int | None = None
    key: str | None = None
    batch: str | None = None
    expires_at: int | None = None
    size: float | None = None
    parent: str | None = None
    cost: float | None = None
    args: Any = None
    question: Question | None = None
    """What it waits for an answer to."""

    @property
    def can_retry(self) -> bool:
        return can_move(self.status, Status.PENDING) and self.status.finished

    @property
    def duration_seconds(self) -> float | None:
        if self.started_at is None or self.finished_at is None:
            return None
        return max(self.finished_at - self.started_at, 0) / 1e6  # the clock may have been put back


def fresh(job: NewJob, now: int) -> JobRecord:
    """The record of a job that was submitted at ``now``."""
    run_at = job.run_at if job.run_at is not None else now + int(job.delay * 1e6)
    return JobRecord(
        id=job.id,
        task=job.task,
        queue=job.queue,
        status=Status.PENDING,
        waiting_for="time" if run_at > now else "turn",
        priority=job.priority,
        owner=job.owner,
        attempt=0,
        tries=0,
        max_tries=job.max_tries,
        rescues=0,
        seq=1,
        percent=0.0,
        message="",
        created_at=now,
        updated_at=now,
        started_at=None,
        finished_at=None,
        input_tokens=0,
        output_tokens=0,
        cancel_requested=False,
        error=None,
        run_at=run_at if run_at > now else None,
        key=job.key,
        batch=job.batch,
        expires_at=now + int(job.expires * 1e6) if job.expires is not None else None,
        size=job.size,
        parent=job.parent,
    )


def unseen(job: str) -> JobRecord:
    """The record of a job of which nothing but the id is known yet."""
    return fresh(NewJob(job, "", "{}"), 0)


@dataclass(frozen=True, slots=True)
class KeptStep:
    """The result of a finished step.

    ``key`` is the fingerprint of its arguments, ``value`` JSON text, ``channels`` where each channel of text it wrote
    to ended with it (code points).
    """

    name: str
    occurrence: int
    key: str
    value: str
    channels: Mapping[str, int] = field(default_factory=dict)


class Claimed(NamedTuple):
    """One execution that a worker has just been given: the job, its attempt and what is kept from before."""

    id: str
    task: str
    attempt: int
    tries: int
    max_tries: int
    owner: str | None
    priority: int
    args: str
    queue: str = "default"
    steps: tuple[KeptStep, ...] = ()
