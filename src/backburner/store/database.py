"""What a store needs from a database: how it is opened, who may write when, and what its errors mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

from ..domain.errors import StoreUnavailable
from .connection import Clock, Connection, Language

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine


class Turn(Protocol):
    """One writer's place in the line, where only one may write at a time. Not to be shared between threads."""

    def take(self) -> None:
        """Wait for the turn. Raises `StoreUnavailable` after 5 s."""
        ...

    def give_back(self) -> None: ...

    def pause_for_others(self) -> bool:
        """Let somebody who waits have it, and say whether anybody did; costs nothing while nobody does."""
        ...

    def close(self) -> None: ...


CLOSED = "submit_in was given a connection that is closed: open another one."


class Database(Protocol):
    language: Language
    concurrent: bool
    """Whether several may write at once, so that rows have to be locked."""
    widest_claim: int
    """Jobs in a claim; while it is made, nobody else writes where only one may."""
    widest_batch: int
    """Operations in a transaction, unless somebody waits for the turn."""
    shift: int
    """Microseconds that the clock is ahead of the database's own: tests move time by it."""
    stands_at: int | None
    """The time at which the clock stands still, for tests; None: it runs."""

    @property
    def address(self) -> str:
        """What it is opened by."""
        ...

    @property
    def place(self) -> str:
        """Where it is, for people: no password in it."""
        ...

    def prepare(self) -> None:
        """Make what must be there before it can be opened."""
        ...

    def turn(self) -> Turn: ...

    def open_writer(self) -> Any:
        """A driver's connection that is in no transaction; every commit is on disk when it returns."""
        ...

    def open_reader(self) -> Any: ...

    def close(self, raw: Any) -> None: ...

    def begin(self, raw: Any) -> Clock:
        """Begin a write transaction; answers what reads the time of its beginning. Whether the connection still stands
        may show only at the first answer."""
        ...

    def lend(self, raw: Any) -> None:
        """From here to the end of the transaction an application's statements are executed: each is answered before the
        next is sent, and planned as the database's own settings say."""
        ...

    def commit(self, raw: Any) -> None: ...

    def roll_back(self, raw: Any) -> None:
        """Never raises: a connection on which it fails `is_lost`."""
        ...

    def is_lost(self, raw: Any) -> bool: ...

    def snapshot(self, raw: Any) -> AbstractContextManager[None]:
        """Several reads of one moment."""
        ...

    def now(self, raw: Any) -> int:
        """The time, outside a write transaction."""
        ...

    def repeatable(self, error: BaseException) -> bool:
        """Whether the same transaction may succeed when it is tried again at once: a deadlock."""
        ...

    def translate(self, error: BaseException) -> BaseException:
        """The driver's error in backburner's words, or itself where it is a mistake of ours."""
        ...

    def outage(self, error: BaseException) -> StoreUnavailable | None:
        """What a driver's error in an application's own statement says about the database; None where the statement is
        what is wrong."""
        ...

    def join(self, connection: Connection, driver: Any) -> int:
        """Make sure that somebody else's connection is in a transaction of this very database; answers the time.

        ``driver`` is the driver's own connection behind it. Raises `ConfigurationError`.
        """
        ...

    def bare(self, given: Any) -> Any:
        """What executes on a bare connection of the driver whatever its owner has set, None for something else."""
        ...

    def bare_async(self, given: Any) -> Any:
        """The same for the driver's own asyncio connection; to be used inside a greenlet."""
        ...

    def create_engine(self, read_only: bool) -> Engine:
        """For the application's own tables."""
        ...

    def create_async_engine(self, read_only: bool) -> AsyncEngine: ...

    def lock_worker(self, worker: str) -> Callable[[], None]:
        """Take the lock that dies with this process; call the answer to give it back."""
        ...

    def dead_among(self, workers: Sequence[str]) -> tuple[str, ...]:
        """Those whose lock is free."""
        ...

    def has_table(self, raw: Any, table: str) -> bool: ...

    def lock_schema(self, raw: Any) -> None:
        """Until the end of the transaction nobody else migrates."""
        ...

    def preparing(self) -> AbstractContextManager[None]:
        """While an application brings its own tables up to date, nobody else does."""
        ...

    def tune(self, raw: Any) -> None:
        """What a fresh schema wants beyond its tables."""
        ...

    def dispose(self) -> None:
        """Close what it holds for itself."""
        ...
