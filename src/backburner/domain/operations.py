"""What can be written to a store and what can be asked of it: plain values.

An operation carries every id it needs, so that a failed batch can be replayed one operation at a time. The type
parameter is what the store answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from .events import Event
from .job import Claimed, JobError, JobRecord, KeptStep, NewJob, Status
from .notifications import Notice, Notification

T = TypeVar("T", covariant=True)


class Operation(Generic[T]):
    """A write. ``urgent`` ones overtake what waits; ``alone`` ones get a transaction of their own."""

    __slots__ = ()
    urgent = False
    alone = False


class Query(Generic[T]):
    """A read."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that one model call took, as the endpoint counted them."""

    model: str
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Execution:
    """The fence: every write of a running job names its attempt, and only the current one is obeyed."""

    job: str
    attempt: int


# Writes by whoever submits or owns a job


@dataclass(frozen=True, slots=True)
class Submit(Operation[int]):
    """Put jobs on disk, all or none; answers the time. A job whose id exists already is left as it is."""

    jobs: tuple[NewJob, ...]


@dataclass(frozen=True, slots=True)
class Cancel(Operation[JobRecord]):
    """Cancel a pending job, ask a running one to stop. Raises `JobNotFound`. ``owner`` None is everybody's."""

    job: str
    owner: str | None


@dataclass(frozen=True, slots=True)
class Retry(Operation[JobRecord]):
    """Give a failed or cancelled job fresh tries; finished steps stay. Raises `IllegalTransition`."""

    job: str
    owner: str | None


@dataclass(frozen=True, slots=True)
class Erase(Operation[None]):
    """Remove a finished job and all that belongs to it. Raises `IllegalTransition`, `JobNotFound`."""

    job: str
    owner: str | None


@dataclass(frozen=True, slots=True)
class MarkRead(Operation[int]):
    """Mark one notification, or with ``id`` None all of an owner's, as read; answers how many changed."""

    owner: str
    id: int | None


# Writes by a worker


@dataclass(frozen=True, slots=True)
class RegisterWorker(Operation[None]):
    """``lease`` is in seconds."""

    worker: str
    lease: float
    tasks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Renew(Operation[bool]):
    """Prolong the lease of all of a worker's jobs; False when the worker was given up meanwhile."""

    worker: str
    lease: float
    urgent = True


@dataclass(frozen=True, slots=True)
class Retire(Operation[None]):
    """Sign a worker off; jobs that it still holds go back into the line as if it had `Released` them."""

    worker: str


@dataclass(frozen=True, slots=True)
class Rescue(Operation[int]):
    """Take the jobs of lost workers back into the line; answers how many.

    ``workers`` are known dead. With ``expired`` the workers whose lease ran out count as lost too.
    """

    workers: tuple[str, ...]
    expired: bool
    cap: int


@dataclass(frozen=True, slots=True)
class FailUnknown(Operation[int]):
    """Fail waiting jobs whose task no live worker has known for ``patience`` seconds; answers how many."""

    patience: float


@dataclass(frozen=True, slots=True)
class Claim(Operation["Claims"]):
    """Take up to ``count`` ready jobs. ``tasks`` maps each known task to the most that may run at once."""

    worker: str
    tasks: Mapping[str, int | None]
    count: int


@dataclass(frozen=True, slots=True)
class Claims:
    """``next_due``: microseconds since the epoch of the next delayed job, None when none waits."""

    jobs: tuple[Claimed, ...]
    next_due: int | None


@dataclass(frozen=True, slots=True)
class SetProgress(Operation[None]):
    execution: Execution
    percent: float
    message: str
    notice: Notice | None = None


@dataclass(frozen=True, slots=True)
class Notify(Operation[None]):
    """Put a notification about a running job into its owner's inbox."""

    execution: Execution
    kind: str
    notice: Notice


@dataclass(frozen=True, slots=True)
class AppendText(Operation[None]):
    execution: Execution
    channel: str
    delta: str


@dataclass(frozen=True, slots=True)
class KeepStep(Operation[None]):
    """Keep a step's result; the text it wrote to ``channels`` stands from now on."""

    execution: Execution
    step: KeptStep
    channels: tuple[str, ...] = ()
    usage: Usage | None = None
    again: bool = False


@dataclass(frozen=True, slots=True)
class Transact(Operation[str]):
    """Call ``work(session)`` and commit its rows, its result as a step, and the fence together.

    ``work`` answers the JSON text of its result.
    """

    execution: Execution
    name: str
    occurrence: int
    key: str
    work: Callable[[Any], str]
    alone = True


@dataclass(frozen=True, slots=True)
class Completed:
    result: str
    notice: Notice | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """``retry_after`` in seconds, None when the job has failed for good."""

    error: JobError
    retry_after: float | None
    notice: Notice | None = None


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The job was cancelled."""


@dataclass(frozen=True, slots=True)
class Released:
    """Back into the line without costing a try: the worker is shutting down."""


Outcome = Completed | Failed | Interrupted | Released


@dataclass(frozen=True, slots=True)
class Settle(Operation[Status]):
    """End an execution. A cancel that was committed before wins over any outcome. Raises `LeaseLost`."""

    execution: Execution
    outcome: Outcome
    limited: bool = False
    """Whether the task has a limit, so that a worker of another process may be waiting for the slot."""


# Reads


@dataclass(frozen=True, slots=True)
class GetJob(Query[JobRecord | None]):
    job: str
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class GetResult(Query[str | None]):
    """The JSON text of a completed job's result."""

    job: str


@dataclass(frozen=True, slots=True)
class ListJobs(Query[tuple[JobRecord, ...]]):
    """Newest first; ``before`` is the id behind which the page starts, ``since`` a time in microseconds."""

    owner: str | None = None
    status: Status | None = None
    task: str | None = None
    queue: str | None = None
    since: int | None = None
    before: str | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class JobEvents(Query[tuple[Event, ...]]):
    job: str
    after: int = 0
    limit: int = 500


@dataclass(frozen=True, slots=True)
class OwnerEvents(Query[tuple[Event, ...]]):
    owner: str
    after: int = 0
    limit: int = 500


@dataclass(frozen=True, slots=True)
class Tails(Query[tuple[Mapping[str, int], Mapping[str, int]]]):
    """Where the logs of these jobs and the streams of these owners end now."""

    jobs: Sequence[str]
    owners: Sequence[str]


@dataclass(frozen=True, slots=True)
class JobSnapshot(Query["Snapshot | None"]):
    """A job with its text so far, as of one moment."""

    job: str
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    job: JobRecord
    texts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class OwnerSnapshot(Query["OwnerView"]):
    """An owner's unfinished jobs with their texts, the latest finished ones, and the inbox's unread count."""

    owner: str
    recent: int = 50


@dataclass(frozen=True, slots=True)
class OwnerView:
    position: int
    jobs: tuple[Snapshot, ...]
    unread: int


@dataclass(frozen=True, slots=True)
class ListNotifications(Query[tuple[Notification, ...]]):
    """Newest first."""

    owner: str
    unread_only: bool = False
    before: int | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class CountUnread(Query[int]):
    owner: str


@dataclass(frozen=True, slots=True)
class CancelRequests(Query[tuple[str, ...]]):
    """The jobs of this worker that somebody wants cancelled."""

    worker: str


@dataclass(frozen=True, slots=True)
class ListWorkers(Query[tuple["WorkerRecord", ...]]):
    pass


@dataclass(frozen=True, slots=True)
class WorkerRecord:
    id: str
    host: str
    pid: int
    tasks: tuple[str, ...]
    started_at: int
    expires_at: int
    running: int
