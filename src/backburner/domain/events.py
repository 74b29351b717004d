"""The entries of a job's log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

SUBMITTED = "job.submitted"
STARTED = "job.started"
PROGRESS = "job.progress"
TEXT = "text.delta"
RESET = "attempt.reset"
STEP = "step.completed"
RETRYING = "job.retrying"
ASKED = "job.asked"
ANSWERED = "job.answered"
COMPLETED = "job.completed"
FAILED = "job.failed"
CANCELLED = "job.cancelled"
NOTIFICATION = "notification"

TERMINAL = frozenset({COMPLETED, FAILED, CANCELLED})


@dataclass(frozen=True, slots=True)
class Event:
    """One entry. ``seq`` counts within the job from 1, ``position`` within the owner's stream.

    Both are free of gaps and in the order of commits; ``position`` is None for a job without an owner. ``at`` is in
    microseconds since the epoch.
    """

    job: str
    seq: int
    position: int | None
    kind: str
    at: int
    data: dict[str, Any]


def apply_text(texts: dict[str, str], event: Event) -> None:
    """Bring ``texts`` (channel → text) up to date with an event of the job."""
    if event.kind == TEXT:
        channel, offset = event.data["channel"], event.data["offset"]
        texts[channel] = texts.get(channel, "")[:offset] + event.data["delta"]
    elif event.kind == RESET:
        for channel, offset in event.data["channels"].items():
            texts[channel] = texts.get(channel, "")[:offset]
