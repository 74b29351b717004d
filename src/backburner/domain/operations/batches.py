"""Jobs that belong together."""

from __future__ import annotations

from dataclasses import dataclass

from ..batches import BatchRecord, NewBatch
from ..job import NewJob
from .base import Operation, Query
from .owning import Submitted


@dataclass(frozen=True, slots=True)
class SubmitBatch(Operation[Submitted]):
    """Put a batch and its jobs on disk, all or none. One whose id exists already is left as it is.

    A job for which another one stands (see `Submitted.instead`) is not part of it.
    """

    batch: NewBatch
    jobs: tuple[NewJob, ...]
    apart = True


@dataclass(frozen=True, slots=True)
class CancelMembers(Operation[bool]):
    """Cancel some of a batch's jobs that wait; once there are none, ask all that run to stop. Answers whether there are
    more. Raises `BatchNotFound`."""

    batch: str
    owner: str | None
    apart = True


@dataclass(frozen=True, slots=True)
class EraseMembers(Operation[bool]):
    """Remove some of the jobs of a batch that has ended, and with the last of them the batch; answers whether there are
    more. Raises `BatchNotFound`, `IllegalTransition`."""

    batch: str
    owner: str | None
    apart = True


@dataclass(frozen=True, slots=True)
class PruneBatches(Operation[int]):
    """Remove some of the batches that ended ``age`` seconds ago and have no jobs any more; answers how many."""

    age: float
    apart = True


@dataclass(frozen=True, slots=True)
class GetBatch(Query["BatchRecord | None"]):
    batch: str
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class ListBatches(Query[tuple[BatchRecord, ...]]):
    """Newest first; ``before`` is the id behind which the page starts."""

    owner: str | None = None
    before: str | None = None
    limit: int = 50
