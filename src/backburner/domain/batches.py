"""Jobs that belong together: one progress, one notification, one callback, one cancel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .job import NewJob, Status
from .notifications import Notice


@dataclass(frozen=True, slots=True)
class NewBatch:
    """``callback`` is submitted by whoever ends the last job. ``notify``: its end goes into the owner's inbox."""

    id: str
    title: str
    owner: str | None = None
    notify: bool = True
    callback: NewJob | None = None


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """A batch as it stands. ``counts``: how many of its jobs are in each state; those that were erased are in none.

    Times are microseconds since the epoch, UTC; ``finished_at`` is when all had ended for the first time.
    """

    id: str
    title: str
    owner: str | None
    total: int
    created_at: int
    finished_at: int | None
    counts: Mapping[Status, int]

    @property
    def live(self) -> int:
        return self.counts.get(Status.PENDING, 0) + self.counts.get(Status.RUNNING, 0)

    @property
    def percent(self) -> float:
        return 100.0 if not self.total else round(100.0 * (self.total - self.live) / self.total, 2)

    @property
    def status(self) -> Status:
        """Running while a job is live; else failed where one has, cancelled where one was, or completed."""
        if self.live:
            return Status.RUNNING
        for status in (Status.FAILED, Status.CANCELLED):
            if self.counts.get(status):
                return status
        return Status.COMPLETED


def batch_notice(batch: BatchRecord) -> tuple[str, Notice]:
    """The kind and the words of its one notification."""
    counts = {status.value: number for status, number in batch.counts.items() if number}
    told = ", ".join(f"{number} {status}" for status, number in sorted(counts.items())) or "it was empty"
    data = {"batch": batch.id, "total": batch.total, **counts}
    if batch.status is Status.COMPLETED:
        return "completed", Notice(f"{batch.title} is done", told, data)
    return "failed", Notice(f"{batch.title} has ended incompletely", told, data)
