"""Calls that wait for a budget and are parked go on sooner when others took less than was reserved for them."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import bindparam, select, update

from . import tables
from .batch import Batch
from .bucket import Level
from .budget_rows import TURNS, Key, Reserved
from .connection import Statement

reservations, scheduled, parked = tables.reservations, tables.scheduled, tables.parked

AT_ONCE = 8
"""Of those who wait longest; each that goes on settles too, and calls the next ones."""
WORTH_IT = 500_000
"""Microseconds: a job is called from its top again, which is not done for less."""


def hurry(batch: Batch, levels: Mapping[Key, Level]) -> None:
    """Bring the time of the first in line forward, who stand before these buckets."""
    if not any(level.booked_until > level.empty_at for level in levels.values()):
        return  # nobody is in line
    sooner = []
    for run_at, *row in batch.connection.all(FIRST_WAITING, count=AT_ONCE):
        known = Reserved(*row)
        due = _due(known, levels, batch.now)
        if due is not None and due < run_at - WORTH_IT:
            sooner.append({"job": known.job, "due": due})
    if sooner:
        batch.connection.many(BRING_FORWARD, sooner)
        batch.work = True


def _due(known: Reserved, levels: Mapping[Key, Level], now: int) -> int | None:
    """When it is worth asking again by what is known here; None where it waits for buckets of others, or behind the
    calls of another owner, which have a say of their own."""
    places = known.in_line
    if any(not key[2].endswith(TURNS) for key in places):  # its turn among the owner's calls has come
        places = {key: place for key, place in places.items() if not key[2].endswith(TURNS)}
    if not places or not places.keys() <= levels.keys():
        return None
    return max(levels[key].when(known.amount(key[2]), now, now, place) for key, place in places.items())


FIRST_WAITING = Statement(
    select(scheduled.c.run_at, *reservations.columns)
    .join(scheduled, scheduled.c.job_id == reservations.c.job_id)
    .join(parked, parked.c.job_id == reservations.c.job_id)
    .where(reservations.c.places.is_not(None), parked.c.waiting_for == "budget")
    .order_by(scheduled.c.run_at, scheduled.c.job_id)
    .limit(bindparam("count"))
    .with_for_update(of=scheduled, skip_locked=True)
)
BRING_FORWARD = Statement(
    update(scheduled).where(scheduled.c.job_id == bindparam("job")).values(run_at=bindparam("due"))
)
