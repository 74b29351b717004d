"""When a waiting job's turn comes, as far as the line and the slots tell; see docs/decisions/0010-waiting-time.md."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from statistics import NormalDist

LEAST_LEFT = 0.1
"""The part of its usual time that a running job is given at least, however long it runs already."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """``position`` in the line, 1 being next; ``eta_seconds`` until the job is expected to have ended. None is unknown,
    or that there is no such thing: nobody knows when a person answers."""

    position: int | None = None
    eta_seconds: float | None = None


UNKNOWN = Outlook()


@dataclass(frozen=True, slots=True)
class Busy:
    """A running job: the slot's pool, and the seconds until the slot is free, None when nobody knows."""

    queue: str
    task: str
    pool: int | None
    left: float | None


@dataclass(frozen=True, slots=True)
class Queued:
    """A job in the line; ``order`` is rank, turn and id, ``seconds`` what it is going to take."""

    order: tuple[int, int, str]
    queue: str
    task: str
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A job that nobody has submitted yet."""

    queue: str
    task: str
    rank: int
    owner: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Who is going to come: jobs ``like`` these in turn, one ``every`` so many seconds.

    ``turns`` are those behind the last job of an owner, by queue, rank and owner, ``times`` how far the lines are, by
    queue and rank: what decides whether a newcomer goes first.
    """

    every: float
    like: Sequence[Newcomer]
    turns: Mapping[tuple[str, int, str], int] = field(default_factory=dict)
    times: Mapping[tuple[str, int], int] = field(default_factory=dict)


NOBODY_COMES = Arrivals(1.0, ())


@dataclass(frozen=True, slots=True)
class Pool:
    """The slots of workers that know the same tasks."""

    tasks: frozenset[str]
    slots: int


@dataclass(frozen=True, slots=True)
class Rate:
    """At most ``count`` starts of a task in ``seconds``; ``recent`` is how many seconds ago the last of them were, the
    longest ago first."""

    count: int
    seconds: float
    recent: Sequence[float] = ()

    def opens(self, ahead: int) -> float:
        """Seconds until another may start after so many before it."""
        rounds, place = divmod(len(self.recent) + ahead, self.count)
        if not rounds:
            return 0.0
        first = -self.recent[place] if place < len(self.recent) else 0.0
        return max(first + rounds * self.seconds, 0.0)


@dataclass(frozen=True, slots=True)
class Slots:
    """What may run at once: the workers' slots, the limits of tasks and queues by their scopes, and how often a task
    may start."""

    pools: Sequence[Pool]
    limits: Mapping[str, int]
    rates: Mapping[str, Rate] = field(default_factory=dict)

    def known(self, task: str) -> int:
        """Slots in which a job of the task may run."""
        return sum(pool.slots for pool in self.pools if task in pool.tasks)


def scopes_of(queue: str, task: str) -> tuple[str, str]:
    return f"task:{task}", f"queue:{queue}"


def time_left(expected: float | None, elapsed: float, percent: float, scatter: float = 0.0) -> float | None:
    """Seconds that a running job still takes: from what its like took, and the more it has reported, from its own
    progress. ``scatter``: by which part of ``expected`` its like differ."""
    share = min(max(percent / 100, 0.0), 1.0)
    by_progress = elapsed * (1 - share) / share if share else None
    if expected is None:
        return by_progress
    by_others = max(_median_end(expected, elapsed, scatter) - elapsed, LEAST_LEFT * expected)
    if by_progress is None:
        return by_others
    weight = share if elapsed > expected else share * share  # a first few percent are often reported at once
    return weight * by_progress + (1 - weight) * by_others


def _median_end(expected: float, elapsed: float, scatter: float) -> float:
    """The duration that half of those like it do not exceed that have run so long already, if durations have a
    logarithmic normal distribution."""
    if not scatter or not expected:
        return expected
    variance = math.log1p(scatter**2)
    deviation, middle = math.sqrt(variance), math.log(expected) - variance / 2
    normal = _normal()
    ended = normal.cdf((math.log(elapsed) - middle) / deviation) if elapsed > 0 else 0.0
    share = (1 + ended) / 2
    return math.exp(middle + deviation * normal.inv_cdf(share)) if share < 1 else elapsed


@cache
def _normal() -> NormalDist:
    """Loaded where it is used: by whoever is asked, which a worker is not."""
    from statistics import NormalDist

    return NormalDist()


def flow(slots: Slots, queue: str, task: str, loads: Mapping[tuple[str, str], float]) -> float | None:
    """The same for a line too long to play out: seconds until work of ``loads`` (seconds, by queue and task) has passed
    through the slots, and what is of the job's own task and queue through their limits."""
    pools = [pool for pool in slots.pools if task in pool.tasks]
    width = sum(pool.slots for pool in pools)
    if not width:
        return None
    known = {task for pool in pools for task in pool.tasks}
    shared = {place: load for place, load in loads.items() if place[1] in known}
    by_scope: dict[str, float] = defaultdict(float)
    for (its_queue, its_task), load in shared.items():
        for scope in scopes_of(its_queue, its_task):
            by_scope[scope] += load
    own = max(
        (by_scope[scope] / slots.limits[scope] for scope in scopes_of(queue, task) if slots.limits.get(scope)),
        default=0.0,
    )
    return max(own, _passing(slots.limits, width, shared, by_scope))


def _passing(
    limits: Mapping[str, int], width: int, loads: Mapping[tuple[str, str], float], by_scope: Mapping[str, float]
) -> float:
    """A task at its limit takes no more slots than that and lets others pass: until when do all slots together have
    enough to do? Found from above, where all of the load is in the way."""
    time = sum(loads.values()) / width
    for _ in range(20):
        in_the_way = 0.0
        for (queue, task), load in loads.items():
            for scope in scopes_of(queue, task):
                if scope in limits and by_scope[scope] > 0:
                    load = min(load, limits[scope] * time * load / by_scope[scope])
            in_the_way += load
        if in_the_way >= time * width * 0.999:
            break
        time = in_the_way / width
    return time
