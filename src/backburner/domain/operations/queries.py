"""Reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..events import Event
from ..job import JobRecord, Status
from ..notifications import Notification
from .base import Query


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
    batch: str | None = None


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
class CanResume(Query[bool]):
    """Whether everything that came ``after`` this place in the owner's stream is still there: not if it lies beyond the
    end, nor if jobs whose events were behind it have been pruned since."""

    owner: str
    after: int


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


@dataclass(frozen=True, slots=True)
class ListQueues(Query[tuple["QueueRecord", ...]]):
    """Every queue that has jobs or is paused."""


@dataclass(frozen=True, slots=True)
class QueueRecord:
    name: str
    paused: bool
    pending: int
    running: int


@dataclass(frozen=True, slots=True)
class CountJobs(Query[tuple["JobCount", ...]]):
    """How many jobs there are in each state, by task; of one owner, or of all with ``owner`` None."""

    owner: str | None = None


@dataclass(frozen=True, slots=True)
class JobCount:
    """``gone``: jobs that ended so and have been removed since, so that ``jobs + gone`` is a total. ``ran`` and
    ``waited`` are sums of seconds over both."""

    queue: str
    task: str
    status: Status
    jobs: int
    ran: float
    waited: float
    gone: int = 0
