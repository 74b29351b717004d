"""Crons: a row for each says when the next tick is due, and who moves that on submits the job."""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, delete, select, update

from ..domain.crons import Cron, CronRecord
from ..domain.operations import DeclareCrons, FireCrons, ForgetCron, ListCrons, NextTick
from . import tables
from .batch import Batch
from .connection import Connection, Statement
from .submitting import enter

crons = tables.crons

PUNCTUAL = 60_000_000
"""Microseconds: a tick that is noticed later than that was missed."""


def declare(batch: Batch, operation: DeclareCrons) -> None:
    for cron in sorted(operation.crons, key=lambda cron: cron.name):
        row = batch.connection.one(HOLD_CRON, name=cron.name)
        next_at = cron.schedule.after(batch.now)
        if row is None:
            batch.connection.run(INSERT_CRON, **_declared(cron), next_at=next_at)
        elif row[:4] != tuple(_declared(cron)[column] for column in ("task", "expression", "zone", "missed")):
            if _follows(cron, row[1], row[2]):
                next_at = row[4]
            batch.connection.run(CHANGE_CRON, **{**_declared(cron), "name_": cron.name}, next_at=next_at)


def fire(batch: Batch, operation: FireCrons) -> int:
    fired = 0
    due = {name: row for name, *row in batch.connection.all(FIND_DUE, now=batch.now)}
    for cron, job in sorted(operation.crons, key=lambda each: each[0].name):
        if cron.name not in due or not _follows(cron, *due[cron.name][:2]):
            continue
        seen = due[cron.name][2]
        tick = max(cron.schedule.latest(batch.now) or seen, seen)
        following = cron.schedule.after(batch.now)
        if cron.missed == "skip" and tick < batch.now - PUNCTUAL:
            batch.connection.run(PASS, name_=cron.name, seen=seen, next_at=following)
        elif batch.connection.run(TICK, name_=cron.name, seen=seen, next_at=following, last_at=tick, last_job=job.id):
            enter(batch, [job])
            fired += 1
    return fired


def next_tick(connection: Connection, query: NextTick) -> float | None:
    known = {cron.name: cron for cron in query.crons}
    times = [
        next_at
        for name, expression, zone, next_at in connection.all(READ_TIMES)
        if name in known and _follows(known[name], expression, zone)
    ]
    return (min(times) - connection.now()) / 1e6 if times else None


def list_crons(connection: Connection, query: ListCrons) -> tuple[CronRecord, ...]:
    return tuple(CronRecord(*row) for row in connection.all(READ_CRONS))


def forget(batch: Batch, operation: ForgetCron) -> bool:
    return batch.connection.run(DELETE_CRON, name=operation.name) == 1


def _declared(cron: Cron) -> dict[str, Any]:
    return {
        "name": cron.name,
        "task": cron.task,
        "expression": cron.schedule.expression,
        "zone": cron.schedule.zone,
        "missed": cron.missed,
    }


def _follows(cron: Cron, expression: str, zone: str) -> bool:
    """Whether the row was declared with the schedule that this worker has."""
    return (cron.schedule.expression, cron.schedule.zone) == (expression, zone)


HOLD_CRON = Statement(
    select(crons.c.task, crons.c.expression, crons.c.zone, crons.c.missed, crons.c.next_at)
    .where(crons.c.name == bindparam("name"))
    .with_for_update()
)
DECLARED = ("name", "task", "expression", "zone", "missed", "next_at")
INSERT_CRON = Statement(
    lambda insert: (
        insert(crons)
        .values({name: bindparam(name) for name in DECLARED})
        .on_conflict_do_nothing(index_elements=["name"])
    )
)
CHANGE_CRON = Statement(
    update(crons)
    .where(crons.c.name == bindparam("name_"))
    .values({name: bindparam(name) for name in DECLARED if name != "name"})
)
FIND_DUE = Statement(
    select(crons.c.name, crons.c.expression, crons.c.zone, crons.c.next_at)
    .where(crons.c.next_at <= bindparam("now"))
    .order_by(crons.c.name)
)
_seen = update(crons).where(crons.c.name == bindparam("name_"), crons.c.next_at == bindparam("seen"))
PASS = Statement(_seen.values(next_at=bindparam("next_at")))
TICK = Statement(
    _seen.values(next_at=bindparam("next_at"), last_at=bindparam("last_at"), last_job=bindparam("last_job"))
)
READ_TIMES = Statement(
    select(crons.c.name, crons.c.expression, crons.c.zone, crons.c.next_at).where(crons.c.next_at.is_not(None))
)
READ_CRONS = Statement(select(*(crons.c[name] for name in (*DECLARED, "last_at", "last_job"))).order_by(crons.c.name))
DELETE_CRON = Statement(delete(crons).where(crons.c.name == bindparam("name")))
