"""Who comes while others wait: as many as lately, and jobs like those."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import and_, bindparam, func, select

from ..domain.ids import is_execution
from ..domain.outlook import NOBODY_COMES, Arrivals, Newcomer
from . import tables
from .connection import Connection, Statement
from .scene import Scene

jobs, turns, clocks = tables.jobs, tables.turns, tables.clocks

NEWEST = 100
"""Jobs by which it is judged how many come."""
FEW = 10
"""So many tell nothing."""
MOST_TURNS = 1000


def arrivals(connection: Connection, scene: Scene, paused: Collection[str]) -> Arrivals:
    """They are taken to come evenly, and no more of them than the slots can serve: a crowd that came at once is not
    followed by crowds like it."""
    newest = connection.all(READ_NEWEST, count=NEWEST)
    came = [row for row in newest if row[1] is None or is_execution(row[0])]
    if len(came) <= FEW:
        return NOBODY_COMES
    like = [
        Newcomer(queue, task, -priority, owner or tables.NOBODY, seconds)
        for _, _, queue, task, priority, owner, size, _ in came
        if queue not in paused and (seconds := scene.expected(task, size)) is not None and scene.slots.known(task)
    ]
    if not like:
        return NOBODY_COMES
    period = max(scene.now - came[-1][-1], 1) / 1e6 / (len(came) - 1)
    served = sum(each.seconds for each in like) / len(like) / max(sum(pool.slots for pool in scene.slots.pools), 1)
    return Arrivals(
        max(period * len(came) / len(like), served),
        like,
        {(queue, rank, owner): finish for queue, rank, owner, finish in connection.all(READ_TURNS, count=MOST_TURNS)},
        {(queue, rank): time for queue, rank, time in connection.all(READ_TIMES)},
    )


READ_NEWEST = Statement(
    select(
        jobs.c.id,
        jobs.c.execution_id,
        jobs.c.queue,
        jobs.c.task,
        jobs.c.priority,
        jobs.c.owner,
        jobs.c.size,
        jobs.c.created_at,
    )
    .order_by(jobs.c.id.desc())
    .limit(bindparam("count"))
)
READ_TURNS = Statement(
    select(turns.c.queue, turns.c.rank, turns.c.owner, turns.c.finish)
    .outerjoin(clocks, and_(clocks.c.queue == turns.c.queue, clocks.c.rank == turns.c.rank))
    .where(turns.c.finish > func.coalesce(clocks.c.time, 0))
    .limit(bindparam("count"))
)
READ_TIMES = Statement(select(clocks.c.queue, clocks.c.rank, clocks.c.time))
