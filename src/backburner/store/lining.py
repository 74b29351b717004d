"""Jobs enter the line: each owner's jobs take turns with the others'.

Start-time fair queueing (Goyal, Vin and Cheng, "Start-time Fair Queuing", SIGCOMM 1996) within a queue and a rank: a
job gets the turn max(time of the line, turn behind the owner's last job), so that an owner with ten thousand waiting
jobs delays another owner's single one by no more than what runs already.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, bindparam, case, select

from . import tables
from .connection import Connection, Statement

turns, clocks = tables.turns, tables.clocks


@dataclass(slots=True)
class Lined:
    """A job that becomes ready. ``turn`` None is drawn when it enters the line.

    One that was in the line before (``paid``) does not cost its owner another turn.
    """

    job: str
    queue: str
    task: str
    rank: int
    owner: str
    since: int
    paid: bool = False
    turn: int | None = None


def line_up(
    connection: Connection, jobs: Sequence[Lined], known: set[tuple[str, str]], now: int
) -> set[tuple[str, str]]:
    """Put jobs into the line, in this order; answers the lines that are not ``known`` yet."""
    new = {(each.queue, each.task) for each in jobs} - known
    for queue, task in sorted(new):
        connection.send(INSERT_LINE, queue=queue, task=task, now=now)
    _draw_turns(connection, [each for each in jobs if each.turn is None])
    connection.many(INSERT_READY, [_row(each) for each in jobs])
    return new


def _draw_turns(connection: Connection, jobs: Sequence[Lined]) -> None:
    if not jobs:
        return
    times = {
        (queue, rank): time
        for queue in {each.queue for each in jobs}
        for rank, time in connection.all(READ_CLOCKS, queue=queue)
        for queue in (queue,)
    }
    for queue, rank in sorted({(each.queue, each.rank) for each in jobs} - times.keys()):
        connection.send(INSERT_CLOCK, queue=queue, rank=rank, time=0)
    payers: dict[tuple[str, int, str], list[Lined]] = defaultdict(list)
    for each in jobs:
        if each.paid:
            each.turn = times.get((each.queue, each.rank), 0)
        else:
            payers[each.queue, each.rank, each.owner].append(each)
    for queue, rank, owner in sorted(payers):  # in one order everywhere, or two transactions would wait in a ring
        theirs = payers[queue, rank, owner]
        time = times.get((queue, rank), 0)
        row = connection.one(TAKE_TURNS, queue=queue, rank=rank, owner=owner, time=time, count=len(theirs))
        assert row is not None
        for turn, each in enumerate(theirs, int(row[0]) - len(theirs)):
            each.turn = turn


def _row(job: Lined) -> dict[str, Any]:
    return {
        "queue": job.queue,
        "task": job.task,
        "rank": job.rank,
        "turn": job.turn,
        "job_id": job.job,
        "owner": job.owner,
        "since": job.since,
    }


def _take_turns(insert: Any) -> Any:
    time, count = bindparam("time", type_=BigInteger), bindparam("count", type_=BigInteger)
    clause = insert(turns).values(
        queue=bindparam("queue"), rank=bindparam("rank"), owner=bindparam("owner"), finish=time + count
    )
    behind = case((turns.c.finish > time, turns.c.finish), else_=time)
    return clause.on_conflict_do_update(
        index_elements=["queue", "rank", "owner"], set_={"finish": behind + count}
    ).returning(turns.c.finish)


TAKE_TURNS = Statement(_take_turns)
READ_CLOCKS = Statement(select(clocks.c.rank, clocks.c.time).where(clocks.c.queue == bindparam("queue")))
INSERT_CLOCK = Statement(
    lambda insert: (
        insert(clocks)
        .values(queue=bindparam("queue"), rank=bindparam("rank"), time=bindparam("time"))
        .on_conflict_do_nothing(index_elements=["queue", "rank"])
    )
)
INSERT_LINE = Statement(
    lambda insert: (
        insert(tables.lines)
        .values(queue=bindparam("queue"), task=bindparam("task"), seen_at=bindparam("now"))
        .on_conflict_do_update(index_elements=["queue", "task"], set_={"seen_at": bindparam("now")})
    )
)
INSERT_READY = Statement(
    tables.ready.insert().values({column.name: bindparam(column.name) for column in tables.ready.columns})
)
