"""The rows of budgets and reservations: locked, read and written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, delete, func, select, update

from ..domain.budgets import ANY, EVERYBODY, Bucket, DayBudget
from ..domain.json import decode, encode
from ..domain.operations import ReserveBudget
from . import tables
from .batch import Batch, insert_all
from .bucket import MINUTE, Level, Turns
from .connection import Statement
from .usage import DAY

buckets, days, reservations = tables.buckets, tables.day_budgets, tables.reservations

Key = tuple[str, str, str]
"""Model, owner and kind."""
TURNS = ">"
"""Marks the kind of an owner's line before a shared bucket, which is locked first."""


@dataclass(frozen=True, slots=True)
class Reserved:
    """A call that is under way, or with ``places`` one that waits in line."""

    job: str
    step: str
    attempt: int
    model: str
    owner: str
    tokens: int
    cost: int
    at: int
    places: str | None

    def amount(self, kind: str) -> int:
        return 1 if kind.startswith("requests") else self.tokens

    @property
    def in_line(self) -> dict[Key, int]:
        """Its places; empty for one that is under way."""
        if self.places is None:
            return {}
        return {(model, owner, kind): place for model, owner, kind, place in decode(self.places)}


def hold_wanted(batch: Batch, operation: ReserveBudget) -> tuple[dict[Key, Level], dict[Key, int]]:
    """The rows of the buckets and of all lines before them, locked, and what is used today of the days' budgets.

    New buckets are full and have no line.
    """
    return _wanted_levels(batch, operation), _wanted_days(batch, operation) if operation.days else {}


def _wanted_levels(batch: Batch, operation: ReserveBudget) -> dict[Key, Level]:
    if not operation.buckets:
        return {}
    levels = hold_buckets_of(batch, operation.model, operation.owner)
    missing = [bucket for bucket in operation.buckets if key_of(bucket) not in levels]
    for bucket in sorted(missing, key=key_of):
        _insert_bucket(batch, key_of(bucket), bucket.per_minute)
    if missing:
        levels = hold_buckets_of(batch, operation.model, operation.owner)
    for bucket in operation.buckets:
        levels[key_of(bucket)].per_minute = bucket.per_minute
    return levels


def _wanted_days(batch: Batch, operation: ReserveBudget) -> dict[Key, int]:
    today = batch.now // DAY
    used = _hold_days_of(batch, operation.model, operation.owner)
    missing = [budget for budget in operation.days if key_of(budget) not in used]
    for budget in sorted(missing, key=key_of):
        batch.connection.send(
            INSERT_DAY,
            model=budget.model,
            owner=budget.owner,
            kind=budget.kind,
            day=today,
            used=_used_before(batch, budget, today),
        )
    if missing:
        used = _hold_days_of(batch, operation.model, operation.owner)
    return {key_of(budget): used[key_of(budget)] for budget in operation.days}


def new_line(batch: Batch, key: Key, per_minute: int) -> Turns:
    """Of an owner, before a shared bucket."""
    _insert_bucket(batch, key, per_minute)
    model, owner, kind = key
    row = batch.connection.one(HOLD_BUCKET, model_=model, owner_=owner, kind_=kind)
    assert row is not None
    turns = _level(kind, row)
    assert isinstance(turns, Turns)
    return turns


def _insert_bucket(batch: Batch, key: Key, per_minute: int) -> None:
    model, owner, kind = key
    full = batch.now - MINUTE
    batch.connection.send(
        INSERT_BUCKET,
        model=model,
        owner=owner,
        kind=kind,
        per_minute=per_minute,
        empty_at=full,
        booked_until=full,
        moved=0,
        seen_at=batch.now,
        gaps="[]",
    )


def _used_before(batch: Batch, budget: DayBudget, today: int) -> int:
    """A budget that is set in the middle of the day counts from its beginning."""
    statement = USED_OF_ALL if budget.model == ANY else USED_OF_MODEL
    model = {} if budget.model == ANY else {"model": budget.model}
    row = batch.connection.one(statement, owner=budget.owner, day=today, **model)
    assert row is not None
    return int(row[0] if budget.kind == "tokens" else row[1])


def hold_all_of(batch: Batch, known: Reserved) -> tuple[dict[Key, Level], dict[Key, int]]:
    """Every budget that the call may have been taken from."""
    return hold_buckets_of(batch, known.model, known.owner), _hold_days_of(batch, known.model, known.owner)


def _hold_days_of(batch: Batch, model: str, owner: str) -> dict[Key, int]:
    """What is used of them today."""
    today = batch.now // DAY
    rows = batch.connection.all(HOLD_DAYS_OF, model=model, owner=owner)
    return {(name, whose, kind): int(used) if day == today else 0 for name, whose, kind, day, used in rows}


def hold_buckets_of(batch: Batch, model: str, owner: str | None) -> dict[Key, Level]:
    """Those of the model and, for an owner, of all models; without one, all of the model's. They follow the clock."""
    if owner is None:
        rows = batch.connection.all(HOLD_BUCKETS_OF_MODEL, model=model)
    else:
        rows = batch.connection.all(HOLD_BUCKETS_OF, model=model, owner=owner)
    levels = {(row[0], row[1], row[2]): _level(row[2], row[3:]) for row in rows}
    behind = {key: level for key, level in levels.items() if level.follow(batch.now)}
    if behind:
        write_levels(batch, behind)
    return levels


def _level(kind: str, values: Sequence[Any]) -> Level:
    per_minute, empty_at, booked_until, moved, seen_at, gaps = values
    known = [(at, gap) for at, gap in decode(gaps)]
    return (Turns if kind.endswith(TURNS) else Level)(per_minute, empty_at, booked_until, moved, seen_at, known)


def find_reservation(batch: Batch, job: str, step: str) -> Reserved | None:
    row = batch.connection.one(READ_RESERVATION, job=job, step_=step)
    return None if row is None else Reserved(*row)


def write_levels(batch: Batch, levels: Mapping[Key, Level]) -> None:
    rows = [
        {
            **_named(key),
            "per_minute": level.per_minute,
            "empty_at": level.empty_at,
            "booked_until": level.booked_until,
            "moved": level.moved,
            "seen_at": level.seen_at,
            "gaps": encode(level.gaps),
        }
        for key, level in levels.items()
    ]
    batch.connection.many(SET_BUCKET, rows)


def write_days(batch: Batch, used: Mapping[Key, int]) -> None:
    """Of today."""
    rows = [{**_named(key), "day": batch.now // DAY, "used": amount} for key, amount in used.items()]
    batch.connection.many(SET_DAY, rows)


def _named(key: Key) -> dict[str, str]:
    model, owner, kind = key
    return {"model_": model, "owner_": owner, "kind_": kind}


def write_reservation(batch: Batch, operation: ReserveBudget, places: Mapping[Key, int] | None) -> None:
    job, step = operation.execution.job, operation.step
    batch.connection.send(DELETE_RESERVATION, job=job, step_=step)
    batch.connection.send(
        INSERT_RESERVATION,
        job_id=job,
        step=step,
        attempt=operation.execution.attempt,
        model=operation.model,
        owner=operation.owner,
        tokens=operation.tokens,
        cost=operation.cost,
        at=batch.now,
        places=None if places is None else encode([[*key, place] for key, place in places.items()]),
    )


def drop_reservation(batch: Batch, known: Reserved) -> bool:
    """False when somebody else did it while the rows were waited for."""
    return batch.connection.run(DELETE_RESERVATION, job=known.job, step_=known.step) == 1


def key_of(budget: Bucket | DayBudget) -> Key:
    return budget.model, budget.owner, budget.kind


def _is(table: Any) -> Any:
    names = ("model", "owner", "kind")
    return [table.c[name] == bindparam(f"{name}_") for name in names]


LEVEL = [buckets.c[name] for name in ("per_minute", "empty_at", "booked_until", "moved", "seen_at", "gaps")]
BUCKET_KEY = (buckets.c.model, buckets.c.owner, buckets.c.kind)
HOLD_BUCKET = Statement(select(*LEVEL).where(*_is(buckets)).with_for_update())
HOLD_BUCKETS_OF = Statement(
    select(*BUCKET_KEY, *LEVEL)
    .where(buckets.c.model.in_([bindparam("model"), ANY]), buckets.c.owner.in_([bindparam("owner"), EVERYBODY]))
    .order_by(*BUCKET_KEY)
    .with_for_update()
)
HOLD_BUCKETS_OF_MODEL = Statement(
    select(*BUCKET_KEY, *LEVEL).where(buckets.c.model == bindparam("model")).order_by(*BUCKET_KEY).with_for_update()
)
INSERT_BUCKET = Statement(
    lambda insert: (
        insert(buckets)
        .values({column.name: bindparam(column.name) for column in buckets.columns})
        .on_conflict_do_nothing(index_elements=["model", "owner", "kind"])
    )
)
SET_BUCKET = Statement(
    update(buckets).where(*_is(buckets)).values({column.name: bindparam(column.name) for column in LEVEL})
)
HOLD_DAYS_OF = Statement(
    select(days.c.model, days.c.owner, days.c.kind, days.c.day, days.c.used)
    .where(days.c.model.in_([bindparam("model"), ANY]), days.c.owner == bindparam("owner"))
    .order_by(days.c.model, days.c.owner, days.c.kind)
    .with_for_update()
)
INSERT_DAY = Statement(
    lambda insert: (
        insert(days)
        .values({column.name: bindparam(column.name) for column in days.columns})
        .on_conflict_do_nothing(index_elements=["model", "owner", "kind"])
    )
)
SET_DAY = Statement(update(days).where(*_is(days)).values(day=bindparam("day"), used=bindparam("used")))
used_of_owner = select(
    func.coalesce(func.sum(tables.usage_days.c.input_tokens + tables.usage_days.c.output_tokens), 0),
    func.coalesce(func.sum(tables.usage_days.c.cost), 0),
).where(tables.usage_days.c.owner == bindparam("owner"), tables.usage_days.c.day == bindparam("day"))
USED_OF_ALL = Statement(used_of_owner)
USED_OF_MODEL = Statement(used_of_owner.where(tables.usage_days.c.model == bindparam("model")))
READ_RESERVATION = Statement(
    select(*reservations.columns).where(
        reservations.c.job_id == bindparam("job"), reservations.c.step == bindparam("step_")
    )
)
DELETE_RESERVATION = Statement(
    delete(reservations).where(reservations.c.job_id == bindparam("job"), reservations.c.step == bindparam("step_"))
)
INSERT_RESERVATION = Statement(insert_all(reservations, *(column.name for column in reservations.columns)))
