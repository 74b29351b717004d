"""A job and a worker as the model knows them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from backburner.domain.job import NewJob, Status

Place = Literal["ready", "scheduled", "parked", "blocked", "leases"]


@dataclass(slots=True)
class Job:
    """``place`` is the table that has a row of it; ``log`` holds the kinds of its events."""

    new: NewJob
    created_at: int
    status: Status = Status.PENDING
    place: Place | None = None
    run_at: int | None = None
    waiting_for: str | None = None
    expires_at: int | None = None
    deadline: int | None = None
    attempt: int = 0
    tries: int = 0
    rescues: int = 0
    worker: str | None = None
    cancel_requested: bool = False
    announced: bool = True
    texts: dict[str, str] = field(default_factory=dict)
    kept: dict[str, int] = field(default_factory=dict)
    steps: dict[str, tuple[str, int]] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    waits: set[str] = field(default_factory=set)

    @property
    def owner(self) -> str:
        return self.new.owner or ""

    @property
    def key(self) -> tuple[str, str, str] | None:
        return None if self.new.key is None else (self.new.task, self.owner, self.new.key)

    @property
    def line(self) -> tuple[str, str]:
        return self.new.queue, self.new.task


@dataclass(slots=True)
class Worker:
    store: int
    tasks: tuple[str, ...]
    expires_at: int
