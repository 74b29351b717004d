"""How a task's jobs run, and what one submit says otherwise."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from datetime import timedelta
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal

from .domain.backoff import Backoff
from .domain.errors import (
    ConfigurationError,
)
from .domain.notifications import Notice
from .domain.operations import (
    UNLIMITED,
    Limit,
)
from .domain.retention import NOTIFICATIONS, Retention, parse_retention

if TYPE_CHECKING:
    pass

Words = Callable[[str, dict[str, Any], str | None], Notice | None]
"""What a task says in the inbox: called with the kind of event, the job's arguments and the reason of a failure."""

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,254}")
LONGEST_DELAY = 100 * 366 * 86_400.0


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """How a task's jobs run. ``timeout`` is in seconds for each attempt, ``retries`` the failures it may survive,
    ``priority`` 1 to 10 (10 first), ``detached`` whether it outlives the cancellation of the job that submitted it,
    ``limit`` what may run at once anywhere, ``on_duplicate`` what becomes of a submit
    whose key a live job has, ``expires`` the seconds after which a job that was not started fails."""

    timeout: float | None = 3600.0
    retries: int = 3
    priority: int = 5
    limit: Limit = UNLIMITED
    queue: str = "default"
    on_duplicate: Literal["return", "reject"] = "return"
    expires: float | None = None
    retry_on: tuple[type[Exception], ...] | None = None
    give_up_on: tuple[type[Exception], ...] = ()
    cache: Cache | None = None
    public: bool = False
    detached: bool = False
    process: bool = False
    backoff: Backoff = field(default_factory=Backoff)
    notify: frozenset[str] = frozenset({"asked", "completed", "failed"})
    words: Words | None = None
    retention: Retention = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 1 <= self.priority <= 10:
            raise ConfigurationError(f"priority is {self.priority}: choose 1 (last) to 10 (first)")
        if self.retries < 0:
            raise ConfigurationError(f"retries is {self.retries}: choose 0 or more")
        for name, kinds in (("retry_on", self.retry_on or ()), ("give_up_on", self.give_up_on)):
            if not all(isinstance(kind, type) and issubclass(kind, Exception) for kind in kinds):
                raise ConfigurationError(f"{name} is {kinds}: name classes of exceptions, as in (TimeoutError,)")
        if self.on_duplicate not in ("return", "reject"):
            raise ConfigurationError(f"on_duplicate is {self.on_duplicate!r}: choose 'return' or 'reject'")
        if self.expires is not None and not 0 < self.expires <= LONGEST_DELAY:
            raise ConfigurationError(f"expires is {self.expires}: choose seconds above 0, or None for no limit")
        if not NAME.fullmatch(self.queue):
            raise ConfigurationError(f"{self.queue!r} is no name for a queue: use letters, digits, and . _ : -")
        if self.timeout is not None and self.timeout <= 0:
            raise ConfigurationError(f"timeout is {self.timeout}: choose seconds above 0, or None for no limit")


@dataclass(frozen=True, slots=True)
class Cache:
    """How submits of the same work share it: a result answers others for ``seconds``, of the same owner or of
    ``everyone``; ``args`` are the arguments that make work the same, None is all of them."""

    seconds: float
    everyone: bool = False
    args: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class SubmitOptions:
    """For one submit. ``delay`` and ``expires`` in seconds, ``run_at`` in microseconds since the epoch; None is the
    task's own."""

    owner: str | None = None
    priority: int | None = None
    delay: float = 0.0
    run_at: int | None = None
    key: str | None = None
    queue: str | None = None
    expires: float | None = None
    size: float | None = None
    detached: bool | None = None


def known_kinds(kinds: Iterable[str]) -> frozenset[str]:
    """Which events make a notification. Raises `ConfigurationError`."""
    chosen = frozenset(kinds)
    unknown = chosen - {"started", "progress", "asked", "completed", "failed"}
    if unknown:
        raise ConfigurationError(
            f"notify has {sorted(unknown)}: choose among started, progress, asked, completed, failed"
        )
    return chosen


def known_retention(given: float | timedelta | str | None) -> Retention:
    """How long a task's ended jobs are kept, by status. Raises `ConfigurationError`."""
    if given is None:
        return {}
    try:
        if isinstance(given, str):
            found = parse_retention(given)
        else:
            seconds = given.total_seconds() if isinstance(given, timedelta) else float(given)
            found = parse_retention(f"{seconds:f}")
        if NOTIFICATIONS in found:
            raise ValueError("notifications are kept alike for all tasks: set BACKBURNER_RETENTION")
    except ValueError as error:
        raise ConfigurationError(f"retention is {given!r}: {error}") from None
    return found


def known_cache(cache: timedelta | None, scope: str, args: Sequence[str] | None) -> Cache | None:
    """Raises `ConfigurationError` for a cache that makes no sense."""
    if scope not in ("owner", "everyone"):
        raise ConfigurationError(f"cache_scope is {scope!r}: choose 'owner' or 'everyone'")
    if cache is None:
        if args is not None or scope != "owner":
            raise ConfigurationError("cache_scope and cache_args mean nothing without cache: add cache=timedelta(…)")
        return None
    seconds = cache.total_seconds()
    if not 0 < seconds <= LONGEST_DELAY:
        raise ConfigurationError(f"cache is {cache}: choose a timedelta above 0, up to 100 years")
    if isinstance(args, str):
        raise ConfigurationError(f"cache_args is {args!r}: pass a tuple of names, as in ({args!r},)")
    return Cache(seconds, scope == "everyone", None if args is None else tuple(args))


def known_limit(concurrency: int | None, owner_concurrency: int | None, rate: tuple[int, float] | None) -> Limit:
    """Raises `ConfigurationError` for a limit that makes no sense."""
    for name, value in (("concurrency", concurrency), ("owner_concurrency", owner_concurrency)):
        if value is not None and value < 1:
            raise ConfigurationError(f"{name} is {value}: choose 1 or more, or None for no limit")
    if rate is not None and not (len(rate) == 2 and rate[0] >= 1 and rate[1] > 0):
        raise ConfigurationError(f"rate is {rate}: choose (starts, seconds), as in (10, 60.0)")
    return Limit(concurrency, owner_concurrency, rate)


def refuse_unknown(options: Iterable[str]) -> None:
    """Raises `ConfigurationError` for what `Backburner.task` does not know, with what it may have meant."""
    kept = {option.name for option in fields(TaskOptions)} - {"limit"}
    for name in set(options) - kept:
        known = sorted(kept | {"name", "concurrency", "owner_concurrency", "rate", "cache_scope", "cache_args"})
        near = get_close_matches(name, known, 1)
        meant = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known)}"
        raise ConfigurationError(f"bb.task has no option {name!r}: {meant}")
