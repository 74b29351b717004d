"""Writes by a worker."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

from ..job import Claimed, JobError, KeptStep, Status
from ..notifications import Notice
from .base import Execution, Limit, Operation, Usage


@dataclass(frozen=True, slots=True)
class RegisterWorker(Operation[None]):
    """``lease`` is in seconds; ``concurrency``: how many jobs it runs at once."""

    worker: str
    lease: float
    tasks: tuple[str, ...]
    concurrency: int = 1


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
    """Take up to ``count`` ready jobs of the known ``tasks``, within their limits and those of ``queues``."""

    worker: str
    tasks: Mapping[str, Limit]
    count: int
    queues: Mapping[str, Limit] = field(default_factory=dict)
    apart = True


@dataclass(frozen=True, slots=True)
class Claims:
    """What a claim brought.

    ``wait``: seconds until a delayed job is due or a rate allows the next start, None when nothing has a time.
    ``more``: there may be more at once.
    """

    jobs: tuple[Claimed, ...]
    wait: float | None = None
    more: bool = False


@dataclass(frozen=True, slots=True)
class Reclaim(Operation[int]):
    """Give back what this worker holds and does not know of: claims whose answer was lost. Answers how many."""

    worker: str
    known: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SetProgress(Operation[int]):
    """Answers the ``seq`` of its event. ``after`` is that of one that the job has said before this; it tells what is on
    disk already when an answer was lost, and this is said ``again``."""

    execution: Execution
    percent: float
    message: str
    notice: Notice | None = None
    after: int = 0
    again: bool = False

    def repeated(self) -> Self:
        return replace(self, again=True)


@dataclass(frozen=True, slots=True)
class Notify(Operation[None]):
    """Put a notification about a running job into its owner's inbox; one that is said ``again``, because an answer was
    lost, only where this attempt has not."""

    execution: Execution
    kind: str
    notice: Notice
    again: bool = False

    def repeated(self) -> Self:
        return replace(self, again=True)


@dataclass(frozen=True, slots=True)
class AppendText(Operation[None]):
    """``offset``: where ``delta`` belongs; what of it is on disk already, because an answer was lost, is left out."""

    execution: Execution
    channel: str
    delta: str
    offset: int | None = None


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


@dataclass(frozen=True, slots=True)
class Parked:
    """Back to pending without a slot and without costing a try, until what it waits for has come.

    ``seconds`` from now it goes on anyway; None: only when somebody wakes it. ``children`` do when all of them are
    completed, or when one has ended otherwise or is gone, ``questions`` (their tokens) when the first of them is
    answered or its time is over.
    """

    waiting_for: Literal["answer", "child", "budget"]
    seconds: float | None = None
    children: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()


Outcome = Completed | Failed | Interrupted | Released | Parked


@dataclass(frozen=True, slots=True)
class Settle(Operation[Status]):
    """End an execution. A cancel that was committed before wins over any outcome. Raises `LeaseLost`."""

    execution: Execution
    outcome: Outcome
    limited: bool = False
    """Whether the task has a limit, so that a worker of another process may be waiting for the slot."""
