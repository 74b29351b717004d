"""The model's line: priority, turns among owners, limits, what is set aside."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backburner.domain.operations import UNLIMITED, Limit

if TYPE_CHECKING:
    from .job import Job
    from .model import Model

HIGHEST = -10


@dataclass(slots=True)
class Spot:
    """Where a job stands, in the line or set aside from it: ``scope`` says for which limit."""

    rank: int
    turn: int
    since: int
    scope: str | None = None


class Line:
    def __init__(self, model: Model, tasks: dict[str, Limit], queues: dict[str, Limit]) -> None:
        self._model = model
        self.tasks, self.queues = tasks, queues
        self.spots: dict[str, Spot] = {}
        self.paused: set[str] = set()
        self.rate_wait: float | None = None
        self.drawn: set[str] = set()
        self.starts: dict[str, list[int]] = defaultdict(list)
        self._clocks: dict[tuple[str, int], int] = {}
        self._finish: dict[tuple[str, int, str], int] = {}

    def enter(self, job: Job, since: int, paid: bool = False, rank: int | None = None) -> None:
        """``paid``: it stood in the line before, and does not cost its owner another turn."""
        rank = -job.new.priority if rank is None else rank
        time = self._clocks.get((job.new.queue, rank), 0)
        turn = time
        if not paid:
            place = job.new.queue, rank, job.owner
            turn = max(time, self._finish.get(place, 0))
            self._finish[place] = turn + 1
            self.drawn.add(job.new.id)
        job.place, job.run_at = "ready", None
        self.spots[job.new.id] = Spot(rank, turn, since)

    def move_due(self) -> None:
        due = [job for job in self._model.jobs.values() if job.run_at is not None and job.run_at <= self._model.now]
        for job in sorted(due, key=lambda job: job.run_at or 0):
            job.waiting_for = None
            job.waits.clear()
            self.enter(job, job.run_at or 0, paid=job.attempt > 0)

    def next_due(self) -> int | None:
        return min((job.run_at for job in self._model.jobs.values() if job.run_at is not None), default=None)

    def pick(self, known: Iterable[str], count: int, expire: Callable[[list[Job]], int]) -> list[Job]:
        """The first by priority, turn and age for which all limits have room."""
        inside = [job for job in self._model.jobs.values() if job.place == "ready"]
        inside = [job for job in inside if job.new.task in known and job.new.queue not in self.paused]
        rooms = Rooms(self, {job.line for job in inside}, self._model)
        picked: list[Job] = []
        late: list[Job] = []
        for job in sorted(inside, key=self._order):
            if not rooms.open(job):
                continue
            if job.expires_at is not None and job.expires_at <= self._model.now and job.attempt == 0:
                late.append(job)
            elif (scope := rooms.full_for(job)) is not None:
                job.place, self.spots[job.new.id].scope = "blocked", scope
            else:
                rooms.take(job)
                picked.append(job)
            if len(picked) == count:
                break
        expire(late)
        for job in picked:
            spot = self.spots.pop(job.new.id)
            place = job.new.queue, spot.rank
            self._clocks[place] = max(spot.turn, self._clocks.get(place, 0))
        self.rate_wait = rooms.rate_wait()
        return picked

    def bring_back(self, slots: Counter[tuple[str, str, str]]) -> None:
        """Of each freed slot one job of the same owner that waits aside for it."""
        free: Counter[tuple[str, str]] = Counter()
        for (queue, task, owner), count in slots.items():
            free[f"task:{task}", owner] += count
            free[f"queue:{queue}", owner] += count
        for (scope, owner), count in sorted(free.items()):
            self._return(self.aside(scope, owner)[:count])

    def free_blocked(self) -> int:
        places = {(self.spots[job.new.id].scope or "", job.owner) for job in self._blocked()}
        brought = 0
        for scope, owner in sorted(places):
            if not any(scope in scopes(job) and job.owner == owner for job in self._running()):
                brought += self._return(self.aside(scope, owner)[:1])
        return brought

    def raise_old(self, patience: float) -> int:
        wait, now = int(patience * 1e6), self._model.now
        raised = 0
        for name, job in sorted(self._model.jobs.items()):
            if job.place == "ready" and (spot := self.spots[name]).since <= now - wait:
                target = max(HIGHEST, -job.new.priority - (now - spot.since) // wait)
                if target < spot.rank:
                    self.enter(job, spot.since, rank=target)
                    raised += 1
        return raised

    def aside(self, scope: str, owner: str) -> list[Job]:
        found = [job for job in self._blocked() if job.owner == owner and self.spots[job.new.id].scope == scope]
        return sorted(found, key=self._order)

    def _return(self, jobs: list[Job]) -> int:
        for job in jobs:
            job.place, self.spots[job.new.id].scope = "ready", None
        return len(jobs)

    def _order(self, job: Job) -> tuple[int, int, str]:
        spot = self.spots[job.new.id]
        return spot.rank, spot.turn, job.new.id

    def _blocked(self) -> list[Job]:
        return [job for job in self._model.jobs.values() if job.place == "blocked"]

    def _running(self) -> list[Job]:
        return [job for job in self._model.jobs.values() if job.place == "leases"]


class Rooms:
    """What one claim may still start."""

    def __init__(self, line: Line, lines: set[tuple[str, str]], model: Model) -> None:
        self._limits = {f"task:{task}": line.tasks.get(task, UNLIMITED) for _, task in lines}
        self._limits |= {f"queue:{queue}": line.queues.get(queue, UNLIMITED) for queue, _ in lines}
        self._now = model.now
        running = [job for job in model.jobs.values() if job.place == "leases"]
        self._running = Counter(scope for job in running for scope in scopes(job))
        self._theirs = Counter((scope, job.owner) for job in running for scope in scopes(job))
        self._starts = line.starts
        for scope, limit in self._limits.items():
            if limit.rate is not None:
                since = self._now - int(limit.rate[1] * 1e6)
                self._starts[scope] = [min(at, self._now) for at in self._starts[scope] if at > since]

    def open(self, job: Job) -> bool:
        for scope in scopes(job):
            limit = self._limits[scope]
            if limit.concurrency is not None and self._running[scope] >= limit.concurrency:
                return False
            if limit.rate is not None and len(self._starts[scope]) >= limit.rate[0]:
                return False
        return True

    def full_for(self, job: Job) -> str | None:
        for scope in scopes(job):
            most = self._limits[scope].owner_concurrency
            if most is not None and self._theirs[scope, job.owner] >= most:
                return scope
        return None

    def take(self, job: Job) -> None:
        for scope in scopes(job):
            self._running[scope] += 1
            self._theirs[scope, job.owner] += 1
            if self._limits[scope].rate is not None:
                self._starts[scope].append(self._now)

    def rate_wait(self) -> float | None:
        waits = [
            max((min(self._starts[scope]) + int(limit.rate[1] * 1e6) - self._now) / 1e6, 0.001)
            for scope, limit in self._limits.items()
            if limit.rate is not None and len(self._starts[scope]) >= limit.rate[0]
        ]
        return min(waits, default=None)


def scopes(job: Job) -> tuple[str, str]:
    return f"task:{job.new.task}", f"queue:{job.new.queue}"
