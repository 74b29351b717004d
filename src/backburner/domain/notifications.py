"""What an owner finds in the inbox."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from .json import encode, well_formed


@dataclass(frozen=True, slots=True)
class Notice:
    """The words of a notification: what a task says of its own end."""

    title: str
    message: str = ""
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Notification:
    """One row of an inbox. Times are microseconds since the epoch, UTC."""

    id: int
    owner: str
    job: str | None
    kind: str
    title: str
    message: str
    data: dict[str, Any]
    created_at: int
    read_at: int | None


def default_notice(task: str, kind: str, reason: str | None = None) -> Notice:
    """The words for a task that brings none of its own."""
    titles = {
        "started": f"{task} has started",
        "progress": f"{task} is making progress",
        "asked": f"{task} has a question",
        "completed": f"{task} is done",
        "failed": f"{task} has failed",
    }
    return Notice(titles[kind], reason or "")


def proper(notice: Notice) -> Notice:
    """The notice as it can be stored. Raises `TypeError`, `InvalidArguments`."""
    if not (isinstance(notice, Notice) and isinstance(notice.title, str) and isinstance(notice.message, str)):
        raise TypeError(f"a notification is a Notice with a title and a message, not {notice!r}")
    encode(notice.data, "a notification's data")
    return replace(notice, title=well_formed(notice.title), message=well_formed(notice.message))
