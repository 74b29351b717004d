"""What an operation and a query are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, NamedTuple, Self, TypeVar

T = TypeVar("T", covariant=True)


class Operation(Generic[T]):
    """A write. ``urgent`` ones overtake what waits; ``alone`` ones get a transaction of their own, and ``apart`` ones
    too where several may write at once: they count what others change."""

    __slots__ = ()
    urgent = False
    alone = False
    apart = False

    def repeated(self) -> Self:
        """The same, to be written once more because the answer was lost: it may be on disk already."""
        return self


class Query(Generic[T]):
    """A read."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that model calls took, as the endpoint counted them; ``cost`` in billionths, None without a price."""

    model: str
    input_tokens: int
    output_tokens: int
    cost: int | None = None
    calls: int = 1

    def __add__(self, other: Usage) -> Usage:
        costs = [cost for cost in (self.cost, other.cost) if cost is not None]
        return Usage(
            self.model,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            sum(costs) if costs else None,
            self.calls + other.calls,
        )


class Execution(NamedTuple):
    """The fence: every write of a running job names its attempt, and only the current one is obeyed."""

    job: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Limit:
    """How much of a task or a queue may go on at once, on all workers together.

    ``concurrency``: jobs that run at once; ``owner_concurrency``: the same for each owner; ``rate``: at most so many
    starts in so many seconds (tasks only). None is no limit.
    """

    concurrency: int | None = None
    owner_concurrency: int | None = None
    rate: tuple[int, float] | None = None

    def __bool__(self) -> bool:
        return self.concurrency is not None or self.owner_concurrency is not None or self.rate is not None


UNLIMITED = Limit()
