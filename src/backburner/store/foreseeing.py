"""What waiting jobs may expect: their position in the line, and when jobs are likely to have ended."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, bindparam, func, select, tuple_, union_all

from ..domain.operations import Outlooks
from ..domain.outlook import Outlook, Queued, flow, scopes_of
from ..domain.playing import play_out
from . import tables
from .arriving import arrivals
from .connection import Connection, Family, Statement
from .merging import Line
from .scene import PLAYED_OUT, Running, Scene

jobs, ready, blocked, leases, lines = tables.jobs, tables.ready, tables.blocked, tables.leases, tables.lines

FARTHEST = 20_000
"""Positions behind that are not told: counting them would take longer than a look at a job may."""

MOST_AT_ONCE = 20
MOST_COUNTS = 200
"""Waiting jobs of one question whose outlook is told, the first in the line, and the counts they may take."""

Order = tuple[int, int, str]
FRONT: Order = (-(2**31), 0, "")


@dataclass(frozen=True, slots=True)
class Asked:
    """A job that has not ended, or the execution that it shares with others, and where that stands."""

    job: str
    task: str
    queue: str
    status: str
    size: float | None
    percent: float
    started_at: int | None
    run_at: int | None
    parked: str | None
    rank: int | None
    turn: int | None
    scope: str | None
    owner: str | None
    blocked_rank: int | None
    blocked_turn: int | None

    @property
    def order(self) -> Order | None:
        """Its place in the line, or the one it will have when its owner has room; None where it is in none."""
        if self.parked is not None:
            return None
        if self.rank is not None and self.turn is not None:
            return self.rank, self.turn, self.job
        if self.blocked_rank is not None and self.blocked_turn is not None:
            return self.blocked_rank, self.blocked_turn, self.job
        return None


def outlooks(connection: Connection, query: Outlooks) -> dict[str, Outlook]:
    rows = connection.among(READ_ASKED, sorted(set(query.jobs)))
    if not rows:
        return {}
    found = _foreseen(connection, list({row[1]: Asked(*row[1:]) for row in rows}.values()))
    return {job: found[work] for job, work, *_ in rows if work in found}


def _foreseen(connection: Connection, asked: Sequence[Asked]) -> dict[str, Outlook]:
    scene = Scene(connection)
    found: dict[str, Outlook] = {}
    placed: list[tuple[Order, Asked]] = []
    for each in asked:
        if each.status == "running":
            found[each.job] = Outlook(None, scene.left(each.task, each.size, each.started_at, each.percent))
        elif each.order is not None:
            placed.append((each.order, each))
        elif each.run_at is not None and each.parked is None:
            found[each.job] = Outlook(None, _delayed(scene, each, each.run_at))
    return found | _in_line(connection, scene, sorted(placed, key=lambda place: place[0])[:MOST_AT_ONCE])


def _delayed(scene: Scene, job: Asked, run_at: int) -> float | None:
    """Of one whose time has not come: nobody knows the line that it will find then."""
    seconds = scene.expected(job.task, job.size)
    if seconds is None or not scene.slots.known(job.task):
        return None
    return max(run_at - scene.now, 0) / 1e6 + seconds


def _in_line(connection: Connection, scene: Scene, placed: Sequence[tuple[Order, Asked]]) -> dict[str, Outlook]:
    if not placed:
        return {}
    paused = {queue for (queue,) in connection.all(READ_PAUSED)}
    open_lines = [Line(queue, task) for queue, task in connection.all(READ_LINES)]
    busy = scene.busy()
    ahead = _read_ahead(connection, scene, open_lines, placed[-1][0])
    if ahead is not None and busy is not None:
        found = _played_out(connection, scene, placed, ahead, busy, paused)
    else:
        found = _reckoned(connection, scene, placed, open_lines, paused)
    return {
        each.job: _behind_owner(connection, scene, order, each, found[each.job], busy)
        if each.rank is None and each.job in found
        else found.get(each.job, Outlook())
        for order, each in placed
    }


def _read_ahead(connection: Connection, scene: Scene, open_lines: Sequence[Line], last: Order) -> list[Queued] | None:
    """The jobs of all lines up to ``last``, None when they are too many to look at one by one."""
    found: list[Queued] = []
    for line in open_lines:
        count = PLAYED_OUT + 1 - len(found)
        rank, turn, job = last
        for row in connection.all(
            READ_QUEUED, queue=line.queue, task=line.task, rank=rank, turn=turn, job=job, count=count
        ):
            found.append(Queued((row[0], row[1], row[2]), line.queue, line.task, scene.expected(line.task, row[3])))
        if len(found) > PLAYED_OUT:
            return None
    return found


def _played_out(
    connection: Connection,
    scene: Scene,
    placed: Sequence[tuple[Order, Asked]],
    ahead: Sequence[Queued],
    busy: Sequence[Running],
    paused: set[str],
) -> dict[str, Outlook]:
    line = [each for each in ahead if each.queue not in paused]
    starts = play_out(scene.slots, [each.busy for each in busy], line, arrivals(connection, scene, paused))
    found: dict[str, Outlook] = {}
    for order, each in placed:
        position = 1 + sum(other.queue == each.queue and other.order < order for other in ahead)
        seconds, start = scene.expected(each.task, each.size), starts.get(each.job)
        eta = start + seconds if start is not None and seconds is not None else None
        found[each.job] = Outlook(position, eta)
    return found


def _reckoned(
    connection: Connection,
    scene: Scene,
    placed: Sequence[tuple[Order, Asked]],
    open_lines: Sequence[Line],
    paused: set[str],
) -> dict[str, Outlook]:
    """The line is counted from one job to the next, so that all of them together take no longer than the last."""
    slots = scene.slots
    running: Counter[tuple[str, str]] = Counter(
        {(queue, task): count for queue, task, count in connection.all(COUNT_BUSY)}
    )
    ahead: Counter[tuple[str, str]] = Counter()
    found: dict[str, Outlook] = {}
    before = FRONT
    for order, each in placed[: max(MOST_COUNTS // max(len(open_lines), 1), 1)]:
        for line in open_lines:
            place = line.queue, line.task
            if ahead[place] <= FARTHEST:
                ahead[place] += _count_between(connection, line, before, order)
        before = order
        position = 1 + sum(count for (queue, _), count in ahead.items() if queue == each.queue)
        if position > FARTHEST:
            break
        loads = _loads(scene, ahead, running, paused, {task for pool in slots.pools for task in pool.tasks})
        start = flow(slots, each.queue, each.task, loads) if loads is not None and each.queue not in paused else None
        if start is not None and each.task in slots.rates:
            of_task = sum(count for (_, task), count in ahead.items() if task == each.task)
            start = max(start, slots.rates[each.task].opens(of_task))
        seconds = scene.expected(each.task, each.size)
        found[each.job] = Outlook(position, start + seconds if start is not None and seconds is not None else None)
    return found


def _loads(
    scene: Scene,
    ahead: Counter[tuple[str, str]],
    running: Counter[tuple[str, str]],
    paused: Iterable[str],
    known: set[str],
) -> dict[tuple[str, str], float] | None:
    """Seconds of work by queue and task, None where some of it was never measured.

    What runs is half done on average, and when the next slot is free all others are still taken: only one such half is
    in the way.
    """
    half = 0.5 / max(running.total(), 1)
    loads: dict[tuple[str, str], float] = {}
    for place in ahead.keys() | running.keys():
        queue, task = place
        if task not in known:
            continue
        waiting = 0 if queue in paused else ahead[place]
        if not waiting and not running[place]:
            continue
        seconds = scene.expected(task)
        if seconds is None:
            return None
        loads[place] = (waiting + running[place] * half) * seconds
    return loads


def _count_between(connection: Connection, line: Line, low: Order, high: Order) -> int:
    row = connection.one(
        COUNT_BETWEEN,
        queue=line.queue,
        task=line.task,
        low_rank=low[0],
        low_turn=low[1],
        low_job=low[2],
        rank=high[0],
        turn=high[1],
        job=high[2],
        count=FARTHEST + 1,
    )
    assert row is not None
    return int(row[0])


def _behind_owner(
    connection: Connection, scene: Scene, order: Order, job: Asked, outlook: Outlook, busy: Sequence[Running] | None
) -> Outlook:
    """Of a job that was moved aside: its owner's jobs that were moved aside before it come first, one for each of the
    owner's slots that becomes free."""
    row = connection.one(
        COUNT_BLOCKED, scope=job.scope, owner=job.owner, rank=order[0], turn=order[1], job=order[2], count=FARTHEST + 1
    )
    assert row is not None
    assert outlook.position is not None
    position = outlook.position + int(row[0])
    theirs = [
        each.busy.left
        for each in busy or ()
        if each.owner == job.owner and job.scope in scopes_of(each.busy.queue, each.busy.task)
    ]
    free = [left for left in theirs if left is not None]
    seconds = scene.expected(job.task, job.size)
    if position > FARTHEST or seconds is None or not free or not scene.slots.known(job.task):
        return Outlook(position if position <= FARTHEST else None, None)
    heapq.heapify(free)
    usual = scene.expected(job.task) or seconds
    for _ in range(int(row[0])):
        heapq.heappush(free, heapq.heappop(free) + usual)
    return Outlook(position, free[0] + seconds)


works = jobs.alias()
READ_ASKED = Family(
    lambda among: (
        select(
            jobs.c.id,
            works.c.id,
            works.c.task,
            works.c.queue,
            works.c.status,
            works.c.size,
            works.c.percent,
            works.c.started_at,
            tables.scheduled.c.run_at,
            tables.parked.c.waiting_for,
            ready.c.rank,
            ready.c.turn,
            blocked.c.scope,
            blocked.c.owner,
            blocked.c.rank,
            blocked.c.turn,
        )
        .select_from(
            jobs.join(works, works.c.id == tables.works_at)
            .outerjoin(tables.scheduled, tables.scheduled.c.job_id == works.c.id)
            .outerjoin(tables.parked, tables.parked.c.job_id == works.c.id)
            .outerjoin(ready, ready.c.job_id == works.c.id)
            .outerjoin(blocked, blocked.c.job_id == works.c.id)
        )
        .where(among(jobs.c.id), jobs.c.finished_at.is_(None))
    )
)
READ_PAUSED = Statement(select(tables.paused_queues.c.queue))
READ_LINES = Statement(
    select(lines.c.queue, lines.c.task).where(
        # A look at the first of each line; an EXISTS may be planned as a join with all of them.
        select(ready.c.job_id)
        .where(ready.c.queue == lines.c.queue, ready.c.task == lines.c.task)
        .limit(1)
        .scalar_subquery()
        .is_not(None)
    )
)
COUNT_BUSY = Statement(select(leases.c.queue, leases.c.task, func.count()).group_by(leases.c.queue, leases.c.task))
_line = (ready.c.queue == bindparam("queue"), ready.c.task == bindparam("task"))
_behind_low = tuple_(ready.c.rank, ready.c.turn, ready.c.job_id) >= tuple_(
    bindparam("low_rank"), bindparam("low_turn"), bindparam("low_job")
)


def _first(table: Any, *conditions: Any, inclusive: bool = False) -> Any:
    """The rows before a place in the order of the claim, ``count`` of them at least.

    By rank and then within the rank: PostgreSQL does not end a scan where a comparison of whole rows does, only where
    that of their first columns does.
    """
    columns = table.c.rank, table.c.turn, table.c.job_id
    within, bound = tuple_(table.c.turn, table.c.job_id), tuple_(bindparam("turn"), bindparam("job"))
    places = (
        table.c.rank < bindparam("rank"),
        and_(table.c.rank == bindparam("rank"), within <= bound if inclusive else within < bound),
    )
    parts = [select(*columns).where(*conditions, place).order_by(*columns) for place in places]
    return union_all(*(select(part.limit(bindparam("count")).subquery()) for part in parts)).subquery()


_queued = _first(ready, *_line, inclusive=True)
READ_QUEUED = Statement(
    select(_queued.c.rank, _queued.c.turn, _queued.c.job_id, jobs.c.size).join(jobs, jobs.c.id == _queued.c.job_id)
)
COUNT_BETWEEN = Statement(select(func.count()).select_from(_first(ready, *_line, _behind_low)))
COUNT_BLOCKED = Statement(
    select(func.count()).select_from(
        _first(blocked, blocked.c.scope == bindparam("scope"), blocked.c.owner == bindparam("owner"))
    )
)
