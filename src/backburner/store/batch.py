"""One transaction in the making: its clock, the events it has to log, the hints it owes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import bindparam, insert, update

from ..domain import events
from ..domain.ids import is_execution
from ..domain.job import Status
from ..domain.json import encode
from ..domain.notifications import Notice
from ..domain.operations import Usage
from ..domain.timing import Timing
from ..ports import Hint
from . import tables
from .connection import Clock, Connection, Statement
from .lining import Lined, line_up
from .usage import OwnDay, add_to_days

COUNTED = ("owner", "task", "queue", "status")


KnownLines = Callable[[int], set[tuple[str, str]]]
"""From the time to the lines that are known to be in the store."""
Entry = tuple[str, str]
"""A kind of event and its data, as JSON text."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A job that has come to its end, and who wants to know: a parked one, a batch."""

    job: str
    status: Status
    awaited: bool
    batch_id: str | None


class Batch:
    """Operations write through a batch; `flush` lines up what became ready and logs what was emitted, last thing before
    the commit: what many transactions write to is locked last, and in one order.

    ``careful`` is set when the operations of a failed batch are replayed one at a time: one of them may already be
    on disk. Whoever ends jobs adds them to ``ended``;
    ``batches`` is by how many the unfinished jobs of each batch change otherwise.
    """

    def __init__(
        self, connection: Connection, clock: Clock, careful: bool = False, lines: KnownLines = lambda now: set()
    ) -> None:
        self.connection = connection
        self._clock = clock
        self.careful = careful
        self.work = False
        self.cancel = False
        self.new_lines: set[tuple[str, str]] = set()
        self.ended: list[Ended] = []
        self.batches: Counter[str] = Counter()
        self.untold: dict[str, list[Entry]] = {}
        """What shared executions have emitted and those who share them have not been told."""
        self._known_lines = lines
        self._events: list[dict[str, Any]] = []
        self._lined: list[Lined] = []
        self._counts: dict[tuple[str, str, str, str], list[int]] = {}
        self._taken: dict[OwnDay, Usage] = {}
        self._measured: dict[tuple[str, str, str, str], Timing] = {}

    @cached_property
    def now(self) -> int:
        """When the transaction began, microseconds since the epoch."""
        return self._clock()

    def line_up(self, job: Lined) -> None:
        """Put a job into the line; workers are told."""
        self._lined.append(job)
        self.work = True

    def leave_line(self, job: str) -> None:
        """Forget a job that was lined up in this very transaction."""
        self._lined = [each for each in self._lined if each.job != job]

    def count(
        self, owner: str | None, task: str, queue: str, status: str, jobs: int, ran: int = 0, waited: int = 0
    ) -> None:
        """``jobs`` more (or fewer) in this state; ``ran`` and ``waited`` in microseconds."""
        place = owner or tables.NOBODY, task, queue, status
        amounts = self._counts.get(place)
        if amounts is None:
            amounts = self._counts[place] = [0, 0, 0]
        amounts[0] += jobs
        amounts[1] += ran
        amounts[2] += waited

    def spend(self, owner: str | None, day: int, usage: Usage) -> None:
        """Add to what an owner's model calls took on a day."""
        key = (owner or tables.NOBODY, day, usage.model)
        before = self._taken.get(key)
        self._taken[key] = usage if before is None else before + usage

    def measure(self, owner: str | None, task: str, queue: str, seconds: float, size: float | None) -> None:
        """A job was completed that ran so long."""
        place = owner or tables.NOBODY, task, queue, "completed"
        timing = self._measured.get(place)
        if timing is None:
            timing = self._measured[place] = Timing()
        timing.note(seconds, size)

    def emit(self, job: str, seq: int, owner: str | None, kind: str, data: str) -> None:
        """Log an event. ``data`` is JSON text; the caller has taken ``seq`` from the job's row."""
        if is_execution(job):
            self.untold.setdefault(job, []).append((kind, data))
            owner = None
        self.log(job, seq, owner, kind, data)

    def log(self, job: str, seq: int, owner: str | None, kind: str, data: str) -> None:
        """The same, with nobody else told."""
        self._events.append(
            {
                "job_id": job,
                "seq": seq,
                "owner": owner,
                "position": None,
                "kind": kind,
                "data": data,
            }
        )

    def notify(self, job: str, seq: int, owner: str, kind: str, notice: Notice) -> None:
        """Put a notification into the inbox and log it, in the transaction of the event that causes it.

        Of a shared execution nobody is told in these words: each job that shares it has its own.
        """
        if not is_execution(job):
            self._notify(job, job, seq, owner, kind, notice)

    def notify_of_batch(self, batch: str, owner: str, kind: str, notice: Notice) -> None:
        """The log of a batch is this one event."""
        self._notify(None, batch, 1, owner, kind, notice)

    def _notify(self, about: str | None, log: str, seq: int, owner: str, kind: str, notice: Notice) -> None:
        row = self.connection.one(
            INSERT_NOTIFICATION,
            owner=owner,
            job_id=about,
            kind=kind,
            title=notice.title,
            message=notice.message,
            data=encode(notice.data, "a notification's data"),
            created_at=self.now,
        )
        assert row is not None
        data = {
            "id": row[0],
            "kind": kind,
            "title": notice.title,
            "message": notice.message,
            "data": notice.data,
        }
        self.emit(log, seq, owner, events.NOTIFICATION, encode(data))

    def flush_line(self) -> bool:
        """What was lined up so far is in the line; answers whether there was anything."""
        lined, self._lined = self._lined, []
        if lined:
            self.new_lines |= line_up(self.connection, lined, self._known_lines(self.now) | self.new_lines, self.now)
        return bool(lined)

    def unwritten(self, job: str) -> list[Entry]:
        """What was logged of a job in this transaction."""
        return [(event["kind"], event["data"]) for event in self._events if event["job_id"] == job]

    def forget(self, erased: Sequence[str]) -> None:
        """Nothing more is to be written of jobs that were erased in this transaction."""
        if self._events:
            gone = set(erased)
            self._events = [event for event in self._events if event["job_id"] not in gone]

    def flush(self) -> None:
        self.flush_line()
        if self._counts:
            self._write_counts()
        if self._taken:
            add_to_days(self.connection, self._taken)
        if self._events:
            self._write_events()

    def _write_counts(self) -> None:
        rows = [
            {
                **dict(zip(COUNTED, key, strict=True)),
                "jobs": jobs,
                "ran": ran,
                "waited": waited,
                "measured": encode(timing.sums) if timing else None,
            }
            for key, (jobs, ran, waited) in self._counts.items()
            for timing in (self._measured.get(key),)
            if jobs or ran or waited or timing
        ]
        self.connection.many(INSERT_COUNT, rows)

    def _write_events(self) -> None:
        owners: dict[str, list[dict[str, Any]]] = {}
        for event in self._events:
            if event["owner"] is not None:
                owners.setdefault(event["owner"], []).append(event)
        for owner in sorted(owners):
            theirs = owners[owner]
            first = self._advance(owner, len(theirs)) - len(theirs) + 1
            for position, event in enumerate(theirs, first):
                event["position"] = position
        self.connection.many(INSERT_EVENT, self._events, at=self.now)

    def _advance(self, owner: str, count: int) -> int:
        row = self.connection.one(ADVANCE_STREAM, owner_=owner, count=count)
        if row is not None:
            return int(row[0])
        self.connection.run(INSERT_STREAM, owner=owner, position=count)
        return count

    @property
    def hint(self) -> Hint:
        return Hint(work=self.work, events=bool(self._events), cancel=self.cancel)


def insert_all(table: Any, *names: str) -> Any:
    """An insert of the named columns, each from a parameter of the same name."""
    return insert(table).values({name: bindparam(name) for name in names})


INSERT_COUNT = Statement(insert_all(tables.count_changes, *COUNTED, "jobs", "ran", "waited", "measured"))
INSERT_EVENT = Statement(
    insert_all(tables.events, "job_id", "seq", "owner", "position", "kind", "at", "data"), same=("at",)
)
INSERT_NOTIFICATION = Statement(
    insert_all(tables.notifications, "owner", "job_id", "kind", "title", "message", "data", "created_at").returning(
        tables.notifications.c.id
    )
)
INSERT_STREAM = Statement(insert_all(tables.streams, "owner", "position"))
ADVANCE_STREAM = Statement(
    update(tables.streams)
    .where(tables.streams.c.owner == bindparam("owner_"))
    .values(position=tables.streams.c.position + bindparam("count"))
    .returning(tables.streams.c.position)
)
