"""How a task's jobs run, and what one submit says otherwise."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any, Literal

from . import given
from .domain.backoff import Backoff
from .domain.errors import ConfigurationError
from .domain.notifications import Notice
from .domain.operations import UNLIMITED, Limit
from .domain.retention import NOTIFICATIONS, Retention, parse_retention

Words = Callable[[str, dict[str, Any], str | None], Notice | None]
"""What a task says in the inbox: called with the kind of event, the job's arguments and the reason of a failure."""

wrong = given.configuration

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,254}")
LONGEST_PERIOD = 366 * 86_400.0
"""Seconds: starts are remembered no longer (see `store.pruning`)."""


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
        """Raises `ConfigurationError` naming what makes no sense; durations may be timedeltas."""
        given.whole(wrong, "priority", self.priority, "choose 1 (last) to 10 (first)", 1, 10)
        given.whole(wrong, "retries", self.retries, "choose 0 or more", 0, given.LARGEST - 1)
        for name in ("timeout", "expires"):
            if (value := getattr(self, name)) is not None:
                choose = "choose seconds above 0, or None for no limit"
                object.__setattr__(self, name, given.seconds(wrong, name, value, choose))
        if self.retry_on is not None:
            object.__setattr__(self, "retry_on", given.exceptions(wrong, "retry_on", self.retry_on))
        object.__setattr__(self, "give_up_on", given.exceptions(wrong, "give_up_on", self.give_up_on))
        if self.on_duplicate not in ("return", "reject"):
            raise wrong("on_duplicate", self.on_duplicate, "choose 'return' or 'reject'")
        for name in ("public", "detached", "process"):
            given.truth(wrong, name, getattr(self, name))
        given.instance(wrong, "backoff", self.backoff, Backoff, "give a Backoff, as in Backoff(first=2.0)")
        if self.words is not None and not callable(self.words):
            raise wrong("words", self.words, "give a function of the kind, the arguments and the reason")
        known_name("queue", self.queue)


def known_name(what: str, name: str) -> str:
    """Of a task, a queue or a cron. Raises `ConfigurationError`."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ConfigurationError(f"{given.shown(name)} is no name for a {what}: use letters, digits, and . _ : -")
    return name


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
    if isinstance(kinds, str) or not isinstance(kinds, Iterable):
        raise wrong("notify", kinds, "give a tuple of kinds, as in ('completed', 'failed')")
    chosen = frozenset(kinds)
    unknown = chosen - {"started", "progress", "asked", "completed", "failed"}
    if unknown:
        raise ConfigurationError(
            f"notify has {sorted(map(str, unknown))}: choose among started, progress, asked, completed, failed"
        )
    return chosen


def known_retention(kept: float | timedelta | str | None) -> Retention:
    """How long a task's ended jobs are kept, by status. Raises `ConfigurationError`."""
    if kept is None:
        return {}
    try:
        if isinstance(kept, str):
            found = parse_retention(kept)
        else:
            seconds = kept.total_seconds() if isinstance(kept, timedelta) else float(kept)
            found = parse_retention(f"{seconds:f}")
        if NOTIFICATIONS in found:
            raise ValueError("notifications are kept alike for all tasks: set BACKBURNER_RETENTION")
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"retention is {given.shown(kept)}: {error}") from None
    return found


def known_cache(cache: timedelta | None, scope: str, args: Sequence[str] | None) -> Cache | None:
    """Raises `ConfigurationError` for a cache that makes no sense."""
    if scope not in ("owner", "everyone"):
        raise ConfigurationError(f"cache_scope is {scope!r}: choose 'owner' or 'everyone'")
    if cache is None:
        if args is not None or scope != "owner":
            raise ConfigurationError("cache_scope and cache_args mean nothing without cache: add cache=timedelta(…)")
        return None
    given.instance(wrong, "cache", cache, timedelta, "choose a timedelta, as in timedelta(hours=1)")
    seconds = given.seconds(wrong, "cache", cache, "choose a timedelta above 0, up to 100 years")
    if isinstance(args, str) or not (args is None or isinstance(args, Iterable)):
        raise wrong("cache_args", args, f"pass a tuple of names, as in ({args!r},)")
    return Cache(seconds, scope == "everyone", None if args is None else tuple(args))


def known_limit(concurrency: int | None, owner_concurrency: int | None, rate: tuple[int, float] | None) -> Limit:
    """Raises `ConfigurationError` for a limit that makes no sense."""
    for name, value in (("concurrency", concurrency), ("owner_concurrency", owner_concurrency)):
        if value is not None:
            given.whole(wrong, name, value, "choose 1 or more, or None for no limit")
    if rate is not None:
        choose = "choose (starts, seconds), as in (10, 60.0)"
        if not isinstance(rate, tuple | list) or len(rate) != 2:
            raise wrong("rate", rate, choose)
        starts, period = rate
        given.whole(wrong, "rate", starts, choose)
        rate = starts, given.seconds(wrong, "rate", period, f"{choose}; at most a year", most=LONGEST_PERIOD)
    return Limit(concurrency, owner_concurrency, rate)


def refuse_unknown(options: Iterable[str]) -> None:
    """Raises `ConfigurationError` for what `Backburner.task` does not know, with what it may have meant."""
    from difflib import get_close_matches

    kept = {option.name for option in fields(TaskOptions)} - {"limit"}
    for name in set(options) - kept:
        known = sorted(kept | {"name", "concurrency", "owner_concurrency", "rate", "cache_scope", "cache_args"})
        near = get_close_matches(name, known, 1)
        meant = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known)}"
        raise ConfigurationError(f"bb.task has no option {name!r}: {meant}")
