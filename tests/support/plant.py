"""A simulated day at a real store: jobs arrive and end by a moved clock, nobody sleeps."""

from __future__ import annotations

import heapq
import itertools
import math
import random
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from backburner.domain.ids import new_id
from backburner.domain.job import NewJob
from backburner.domain.operations import (
    Claim,
    Completed,
    Execution,
    FoldCounts,
    Limit,
    Outlooks,
    RegisterWorker,
    Settle,
    Submit,
)
from backburner.domain.outlook import Outlook
from backburner.store.store import SQLStore

Occasion = Literal["submit", "half-way"]
URGENT = 9
"""The priority of some of the jobs, where the others have the usual one."""


@dataclass(frozen=True)
class Kind:
    """A task: mean seconds between submits, and how a job's size and seconds are drawn."""

    task: str
    every: float
    draw: Callable[[random.Random], tuple[float | None, float]]
    limit: int | None = None
    rate: tuple[int, float] | None = None


@dataclass
class Guess:
    task: str
    occasion: Occasion
    at: float
    eta: float | None
    waited: float = 0.0
    """Seconds in the line from then on."""
    really: float = 0.0
    """Seconds that it really still took."""

    @property
    def error(self) -> float:
        """In parts of the time that it really still took, to its end: never near zero, because a job runs last of all.
        Below zero where it was told too little."""
        assert self.eta is not None
        return (self.eta - self.really) / self.really


@dataclass
class Plant:
    """Workers with so many slots each, and the load on them. Afterwards ``guesses`` holds what was told."""

    store: SQLStore
    kinds: Sequence[Kind]
    slots: Sequence[int]
    owners: Sequence[str]
    seed: int
    urgent: float = 0.0
    """The part of the jobs that have a higher priority."""
    guesses: list[Guess] = field(default_factory=list)
    now: float = 0.0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._start = time.time_ns() // 1000
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._seconds: dict[str, float] = {}
        self._told: dict[str, list[Guess]] = defaultdict(list)
        self._limits = {kind.task: Limit(kind.limit, rate=kind.rate) for kind in self.kinds}
        self._free: dict[str, int] = {}
        self._started: dict[str, float] = {}
        for slots in self.slots:
            worker = new_id()
            self.store.write_sync(RegisterWorker(worker, 1e7, tuple(self._limits), slots))
            self._free[worker] = slots

    def run(self, seconds: float) -> None:
        """So long jobs arrive; then what is there is finished."""
        for kind in self.kinds:
            self._arrive_later(kind, seconds)
        self._at(10.0, self._fold)
        while self._agenda:
            self.now, _, happen = heapq.heappop(self._agenda)
            self._set_clock()
            happen()

    def errors(self, occasion: Occasion, *, after: float, waited: float | None = None) -> list[float]:
        """Of all jobs, or of those that waited longer than so many seconds for their turn when they had been told."""
        return [
            guess.error
            for guess in self.guesses
            if guess.occasion == occasion and guess.at >= after and (waited is None or guess.waited > waited)
        ]

    def _at(self, when: float, happen: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (when, next(self._numbers), happen))

    def _set_clock(self) -> None:
        self.store.database.shift = self._start + int(self.now * 1e6) - time.time_ns() // 1000

    def _arrive_later(self, kind: Kind, until: float) -> None:
        when = self.now + self._random.expovariate(1 / kind.every)
        if when < until:
            self._at(when, lambda: self._arrive(kind, until))

    def _arrive(self, kind: Kind, until: float) -> None:
        size, seconds = kind.draw(self._random)
        priority = URGENT if self._random.random() < self.urgent else 5
        job = NewJob(new_id(), kind.task, "{}", priority=priority, owner=self._random.choice(self.owners), size=size)
        self._seconds[job.id] = seconds
        self.store.write_sync(Submit((job,)))
        guess = self._ask(job.id, kind.task, "submit")
        if guess.eta is not None:
            self._at(self.now + guess.eta / 2, lambda: self._ask_again(job.id, kind.task))
        self._claim()
        self._arrive_later(kind, until)

    def _ask_again(self, job: str, task: str) -> None:
        if job in self._seconds:
            self._ask(job, task, "half-way")

    def _ask(self, job: str, task: str, occasion: Occasion) -> Guess:
        told: Mapping[str, Outlook] = self.store.read_sync(Outlooks((job,)))
        guess = Guess(task, occasion, self.now, told[job].eta_seconds)
        self._told[job].append(guess)
        return guess

    def _claim(self) -> None:
        for worker, free in self._free.items():
            if free:
                for claimed in self.store.write_sync(Claim(worker, self._limits, free)).jobs:
                    self._free[worker] -= 1
                    self._started[claimed.id] = self.now
                    self._end_later(worker, Execution(claimed.id, claimed.attempt))

    def _end_later(self, worker: str, execution: Execution) -> None:
        self._at(self.now + self._seconds[execution.job], lambda: self._end(worker, execution))

    def _end(self, worker: str, execution: Execution) -> None:
        self.store.write_sync(Settle(execution, Completed("null")))
        del self._seconds[execution.job]
        for guess in self._told.pop(execution.job):
            guess.really = self.now - guess.at
            guess.waited = max(self._started[execution.job] - guess.at, 0.0)
            self.guesses.append(guess)
        self._free[worker] += 1
        self._claim()

    def _fold(self) -> None:
        self.store.write_sync(FoldCounts())
        if self._agenda:
            self._at(self.now + 10.0, self._fold)


def office(utilisation: float, slots: int, scatter: float, limit: int | None = None) -> tuple[Kind, Kind]:
    """Half of the load are names of 12 seconds, half summaries, whose reading takes 6 seconds and each of 1 to 20 pages
    3.5. ``scatter`` is the standard deviation of the logarithm of a job's duration about that."""

    def about(chance: random.Random, seconds: float) -> float:
        return seconds * math.exp(chance.gauss(-(scatter**2) / 2, scatter))

    def name(chance: random.Random) -> tuple[None, float]:
        return None, about(chance, 12.0)

    def summarize(chance: random.Random) -> tuple[float, float]:
        size = chance.uniform(1.0, 20.0)
        return size, about(chance, 6.0 + 3.5 * size)

    load = utilisation * slots / 2
    return Kind("name", 12.0 / load, name), Kind("summarize", 42.75 / load, summarize, limit)
