"""A request that reached the fake model, and a failure that was planned for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Call:
    """One request that reached the fake.

    ``headers`` have lower-case names. ``sent_at`` holds the Unix time at which each piece of the answer was
    sent, comparable with another process's ``time.time()``. ``outcome`` is ``"open"``, ``"answered"``,
    ``"failed"`` (an error by plan), ``"broken"`` (cut by plan) or ``"abandoned"`` (the client went away).
    """

    path: str
    body: dict[str, Any]
    headers: dict[str, str]
    sent_at: list[float] = field(default_factory=list)
    outcome: str = "open"

    @property
    def prompt(self) -> str:
        """The prompt, or all messages' texts with a line break between them."""
        if "messages" not in self.body:
            return str(self.body.get("prompt", ""))
        return "\n".join(str(message.get("content", "")) for message in self.body["messages"])

    @property
    def response_format(self) -> dict[str, Any]:
        """What the caller asked the answer to be; empty for plain text."""
        return self.body.get("response_format") or {}

    @property
    def streams(self) -> bool:
        return bool(self.body.get("stream"))


@dataclass(frozen=True, slots=True)
class Failure:
    """An answer by plan that is none: an HTTP error, or a stream cut after ``break_after`` pieces."""

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    code: str | None = None
    message: str = ""
    param: str | None = None
    break_after: int | None = None
