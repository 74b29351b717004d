"""Writes by whoever submits or owns a job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..batches import NewBatch
from ..job import JobRecord, NewJob
from .base import Execution, Operation


@dataclass(frozen=True, slots=True)
class Submit(Operation["Submitted"]):
    """Put jobs on disk, all or none. A job whose id exists already is left as it is. Raises `DuplicateJob`."""

    jobs: tuple[NewJob, ...]


@dataclass(frozen=True, slots=True)
class SubmitStep(Operation["Submitted"]):
    """Put jobs, or a batch of them, on disk together with a step of the run that submits them.

    The step keeps their ids, behind that of the batch.
    """

    execution: Execution
    name: str
    occurrence: int
    key: str
    jobs: tuple[NewJob, ...]
    again: bool = False
    batch: NewBatch | None = None


@dataclass(frozen=True, slots=True)
class Submitted:
    """``at``: the time of the submit, in microseconds since the epoch.

    ``instead`` holds, by the id that was submitted, the record of each job that is not simply a fresh one: another that
    has the same key, or one that was answered at once.
    """

    at: int
    instead: Mapping[str, JobRecord] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cancel(Operation[JobRecord]):
    """Cancel a pending job, ask a running one to stop. Raises `JobNotFound`. ``owner`` None is everybody's."""

    job: str
    owner: str | None


@dataclass(frozen=True, slots=True)
class Retry(Operation[JobRecord]):
    """Give a failed or cancelled job fresh tries and all the time to wait; finished steps stay.

    Raises `IllegalTransition`.
    """

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


@dataclass(frozen=True, slots=True)
class PauseQueue(Operation[None]):
    """Stop taking jobs from a queue, on all workers, or take them again. What runs goes on."""

    queue: str
    paused: bool
