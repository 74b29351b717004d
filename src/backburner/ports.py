"""What the inside needs from the outside. Contracts in the singular, implementations in the plural."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from .domain.deadline import Deadline
from .domain.job import Claimed
from .domain.notifications import Notice
from .domain.operations import Execution, Limit, Operation, Query, Remaining, Usage

__all__ = [
    "Execution",
    "Handler",
    "Hint",
    "Journal",
    "Meter",
    "Observer",
    "Outlet",
    "Signal",
    "Store",
    "TaskSpec",
    "Usage",
]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Hint:
    """Why a bell rings. Never truth: a lost or doubled hint is harmless."""

    work: bool = False
    events: bool = False
    cancel: bool = False

    def __or__(self, other: Hint) -> Hint:
        return Hint(self.work or other.work, self.events or other.events, self.cancel or other.cancel)

    def __bool__(self) -> bool:
        return self.work or self.events or self.cancel


class Store(Protocol):
    """The only truth. May be used from any number of threads and event loops at once."""

    @property
    def widest_claim(self) -> int:
        """Jobs that one claim should take at the most, just now."""
        ...

    def write(self, operation: Operation[T]) -> asyncio.Future[T]:
        """Apply an operation; the answer comes when it is on disk.

        Must be called from a running event loop. Raises what the operation says, `StoreUnavailable` where the
        database cannot be written.
        """
        ...

    def write_sync(self, operation: Operation[T]) -> T:
        """The same for threads without an event loop."""
        ...

    def read(self, query: Query[T]) -> asyncio.Future[T]: ...

    def read_sync(self, query: Query[T]) -> T: ...

    def lock_worker(self, worker: str) -> Callable[[], None]:
        """Take the lock that dies with this process; call the answer to give it back."""
        ...

    def dead_workers(self) -> tuple[str, ...]:
        """Workers of this machine (or connection) whose lock is free: they are gone for certain."""
        ...

    def close(self) -> None: ...


class Signal(Protocol):
    """Wake-up hints between the processes that share a store."""

    def ring(self, hint: Hint) -> None:
        """Tell everyone, this process included. Never blocks, never raises."""
        ...

    def at_commit(self, hint: Hint) -> tuple[str, str] | None:
        """The channel and the message with which PostgreSQL's NOTIFY, inside somebody's transaction, rings when that
        commits; None where there is no such way."""
        ...

    def subscribe(self, listener: Callable[[Hint], None]) -> Callable[[], None]:
        """Call ``listener`` for every hint, from a thread of the signal's; the answer unsubscribes."""
        ...

    def close(self) -> None: ...


class Outlet(Protocol):
    """A way to deliver a notification outside (e-mail, push, webhook)."""

    async def deliver(self, owner: str, notice: Notice) -> None: ...


class Journal(Protocol):
    """What a model call needs from the run it belongs to: it is a step, and it streams text."""

    async def keep(self, name: str, request: Any, make: Callable[[], Awaitable[tuple[Any, Usage | None]]]) -> Any:
        """Return the kept result of the step ``name``, or call ``make`` and commit what it returns.

        ``request`` (JSON) identifies the work: a kept result for another request is made anew. The result
        of ``make`` is a JSON value and the tokens it took; both are on disk when this returns.
        """
        ...

    async def text(self, delta: str, *, channel: str = "main") -> None:
        """Append ``delta`` to a channel of text; whoever watches the job sees it."""
        ...


class Meter(Protocol):
    """What a model call asks before it is made and tells afterwards, so that all workers share their budgets."""

    async def reserve(self, model: str, input_tokens: int, output_tokens: int, stay: bool) -> None:
        """Return when a call that is expected to take so many tokens may be made; one call of a step at a time.

        Raises `BudgetExceeded`, or unwinds the run (`Park`) where the wait is long, unless it must ``stay``.
        """
        ...

    def settle(self, model: str, input_tokens: int, output_tokens: int, remaining: Remaining | None) -> None:
        """The call took so much, whatever was reserved; ``remaining`` is what its endpoint says is left."""
        ...

    def pause(self, model: str, seconds: float) -> bool:
        """The endpoint asks that nobody calls the model for so long; whether `reserve` waits for that."""
        ...

    async def turned_away(self) -> int:
        """How often the endpoint has asked to wait with this very call by now, in executions before a park too."""
        ...

    def cost(self, model: str, input_tokens: int, output_tokens: int) -> int | None:
        """In billionths, None where the model has no price."""
        ...


class Handler(Protocol):
    """One execution, ready to be awaited: answers the JSON text of the result."""

    async def __call__(self) -> str: ...

    def interrupt(self) -> None:
        """Tell a handler that runs in a thread that it is cancelled."""
        ...

    @property
    def deadline(self) -> Deadline:
        """The worker starts it, and interrupts the execution when it ends."""
        ...

    @property
    def threads(self) -> tuple[str, ...]:
        """The names of its threads that still run, and go on when the event loop ends."""
        ...

    async def ended(self) -> None:
        """Wait until nothing of the execution runs any more: an abandoned thread keeps its slot until it ends."""
        ...


class Observer(Protocol):
    """Who works only as long as there is work (`backburner.testing.drain`)."""

    def around(self, job: Claimed, handler: Handler) -> Handler:
        """A job begins with this handler, or with what is answered."""
        ...

    async def idle(self, wait: float | None) -> None:
        """Nothing runs and nothing is ready; the next job or start is due in ``wait`` seconds, if any is."""
        ...


class TaskSpec(Protocol):
    """What a worker must know of a task."""

    @property
    def name(self) -> str: ...

    @property
    def timeout(self) -> float | None: ...

    @property
    def limit(self) -> Limit: ...

    @property
    def queue(self) -> str: ...

    def retry_after(self, error: BaseException, tries: int) -> float | None:
        """Seconds until the next try after the ``tries``-th failure, None where the job has failed for good."""
        ...

    def notice(self, kind: str, owner: str | None, args: str, detail: str | None) -> Notice | None:
        """The words for the owner's inbox, None where nothing is to be said."""
        ...
