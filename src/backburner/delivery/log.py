"""The two logs that can be followed, and the cursors that name a place in them."""

from __future__ import annotations

import asyncio
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ..domain.events import TERMINAL, Event
from ..domain.operations import JobEvents, OwnerEvents, Query
from ..ports import Store
from .sse import encode, event_data

PAGE = 128
"""Events that are read at once: half of a stream's queue, so that one read never fills it."""

Ends = tuple[Mapping[str, int], Mapping[str, int]]
"""What `Tails` answers."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An event as it goes over the line. ``closing``: with nothing behind it, it is the last word of its log."""

    number: int
    text: bytes
    closing: bool


class Log(ABC):
    """A sequence of numbered events without an end. Its cursors are opaque to clients."""

    prefix: ClassVar[str]
    largest: ClassVar[int]
    """What the column of its numbers can hold: some databases do not even compare it with more."""
    __slots__ = ()

    @abstractmethod
    def query(self, after: int, limit: int = PAGE) -> Query[tuple[Event, ...]]:
        """Asks for the events behind ``after``, oldest first."""

    def read(self, store: Store, after: int, limit: int = PAGE) -> asyncio.Future[tuple[Event, ...]]:
        return store.read(self.query(after, limit))

    @abstractmethod
    def number(self, event: Event) -> int:
        """The event's place in this log."""

    @abstractmethod
    def closes(self, event: Event) -> bool:
        """Whether a stream ends behind this event when nothing follows it."""

    @abstractmethod
    def end(self, tails: Ends) -> int | None:
        """The number of its last event, None where the log is no more."""

    def cursor(self, number: int) -> str:
        return f"{self.prefix}{number}"

    def place(self, cursor: str) -> int | None:
        """The number that a cursor stands for, None where it is no cursor of this kind of log."""
        found = re.fullmatch(rf"{self.prefix}([0-9]{{1,18}})", cursor, re.ASCII)
        number = int(found[1]) if found else None
        return number if number is not None and number <= self.largest else None

    def entry(self, event: Event) -> Entry:
        number = self.number(event)
        return Entry(number, encode(event.kind, event_data(event), self.cursor(number)), self.closes(event))


@dataclass(frozen=True, slots=True)
class JobLog(Log):
    """Everything that happened to one job."""

    job: str
    prefix: ClassVar[str] = "j-"
    largest: ClassVar[int] = 2**31 - 1

    def query(self, after: int, limit: int = PAGE) -> Query[tuple[Event, ...]]:
        return JobEvents(self.job, after, limit)

    def number(self, event: Event) -> int:
        return event.seq

    def closes(self, event: Event) -> bool:
        return event.kind in TERMINAL

    def end(self, tails: Ends) -> int | None:
        return tails[0].get(self.job)


@dataclass(frozen=True, slots=True)
class OwnerLog(Log):
    """Everything that happened to the jobs and in the inbox of one owner."""

    owner: str
    prefix: ClassVar[str] = "o-"
    largest: ClassVar[int] = 2**63 - 1

    def query(self, after: int, limit: int = PAGE) -> Query[tuple[Event, ...]]:
        return OwnerEvents(self.owner, after, limit)

    def number(self, event: Event) -> int:
        assert event.position is not None, "an event in an owner's stream has a position"
        return event.position

    def closes(self, event: Event) -> bool:
        return False

    def end(self, tails: Ends) -> int | None:
        return tails[1].get(self.owner, 0)
