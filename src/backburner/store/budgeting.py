"""Budgets of model calls: taken before a call, corrected after it, all of a call's or none.

Rows are locked in one order: buckets, days' budgets, then the reservation itself.
"""

from __future__ import annotations

from sqlalchemy import bindparam, select

from ..domain.budgets import EVERYBODY
from ..domain.operations import (
    FreeBudgets,
    PauseModel,
    Remaining,
    Reservation,
    ReserveBudget,
    SettleBudget,
    Spent,
)
from . import tables
from .batch import Batch
from .bucket import Level, Turns
from .budget_rows import (
    TURNS,
    Key,
    Reserved,
    drop_reservation,
    find_reservation,
    hold_all_of,
    hold_buckets_of,
    hold_wanted,
    key_of,
    new_line,
    write_days,
    write_levels,
    write_reservation,
)
from .connection import Statement
from .hurrying import hurry
from .usage import DAY

reservations, pauses = tables.reservations, tables.model_pauses

SECOND = 1_000_000


def reserve(batch: Batch, operation: ReserveBudget) -> Reservation:
    held, used = hold_wanted(batch, operation)
    known = find_reservation(batch, operation.execution.job, operation.step)
    if known is not None and known.places is None:
        if known.attempt == operation.execution.attempt:
            return Reservation()  # the answer of its commit was lost
        drop_reservation(batch, known)
        _give_back(batch, known, held, used)
        write_levels(batch, held)
        known = None
    if (spent := _spent(batch, operation, used)) is not None:
        return Reservation(spent=spent)
    levels = {key_of(bucket): held[key_of(bucket)] for bucket in operation.buckets}
    places = known.in_line if known is not None else {}
    start = _start(batch, operation.model)
    times = {
        key: level.when(_needed(operation, key[2]), batch.now, start, places.get(key)) for key, level in levels.items()
    }
    if max([start, *times.values()]) > batch.now:
        return Reservation((_line_up(batch, operation, held, places, start, times) - batch.now) / SECOND)
    _take(batch, operation, levels, used, places)
    return Reservation()


def _spent(batch: Batch, operation: ReserveBudget, used: dict[Key, int]) -> Spent | None:
    for budget in operation.days:
        needed = _needed(operation, budget.kind)
        if used[key_of(budget)] + needed > budget.limit:
            return Spent(budget, used[key_of(budget)], needed, (batch.now // DAY + 1) * DAY, batch.now)
    return None


def _start(batch: Batch, model: str) -> int:
    """When the model's endpoint wants to hear of us again."""
    pause = batch.connection.one(READ_PAUSE, model=model)
    return batch.now if pause is None else max(batch.now, int(pause[0]))


def _line_up(
    batch: Batch,
    operation: ReserveBudget,
    held: dict[Key, Level],
    places: dict[Key, int],
    start: int,
    times: dict[Key, int],
) -> int:
    """Take a place in the slowest line alone: whoever waits there must not be in the way in the others.

    Answers when it is worth asking again.
    """
    slowest = max(times, key=lambda key: (times[key], key[1]), default=None)
    if slowest is None or times[slowest] <= start:
        return start
    if slowest in places:
        return times[slowest]
    amount = _needed(operation, slowest[2])
    lined = dict(places)
    due = times[slowest]
    if slowest[1] == EVERYBODY:
        due = _turn(batch, operation, slowest, held, lined, start, due)
    else:
        lined[slowest] = held[slowest].book(amount, start)
        write_levels(batch, {slowest: held[slowest]})
    write_reservation(batch, operation, lined)
    return due


def _turn(
    batch: Batch,
    operation: ReserveBudget,
    shared: Key,
    held: dict[Key, Level],
    places: dict[Key, int],
    start: int,
    due: int,
) -> int:
    """Wait among the owner's own calls first, then among the owners."""
    model, _, kind = shared
    amount = _needed(operation, kind)
    key = (model, operation.owner, kind + TURNS)
    turns = held.get(key) or new_line(batch, key, held[shared].per_minute)
    assert isinstance(turns, Turns)
    turns.per_minute = held[shared].per_minute
    if key not in places:
        places[key] = turns.book(amount, start)
    turn = turns.when(amount, batch.now, start, places[key])
    if turn <= batch.now:
        places[shared] = held[shared].book(amount, start)
        turns.served_in(due - batch.now, amount)
        turn = due
    write_levels(batch, {shared: held[shared], key: turns})
    return turn


def _take(
    batch: Batch,
    operation: ReserveBudget,
    levels: dict[Key, Level],
    used: dict[Key, int],
    places: dict[Key, int],
) -> None:
    for key, level in levels.items():
        level.take(_needed(operation, key[2]), batch.now, places.get(key))
    write_levels(batch, levels)
    write_days(batch, {key: before + _needed(operation, key[2]) for key, before in used.items()})
    write_reservation(batch, operation, None)


def settle_budget(batch: Batch, operation: SettleBudget) -> None:
    known = find_reservation(batch, operation.execution.job, operation.step)
    if known is None or known.places is not None or known.attempt != operation.execution.attempt:
        return
    levels, used = hold_all_of(batch, known)
    if not drop_reservation(batch, known):
        return
    _correct(batch, known, levels, used, operation.tokens, operation.cost)
    if operation.remaining is not None:
        _heed(batch, known.model, levels, operation.remaining)
    write_levels(batch, levels)
    hurry(batch, levels)


def pause_model(batch: Batch, operation: PauseModel) -> None:
    levels = hold_buckets_of(batch, operation.model, None)
    _pause(batch, operation.model, levels, operation.seconds)
    write_levels(batch, levels)


def free_budgets(batch: Batch, operation: FreeBudgets) -> int:
    """Those of one model and owner in a transaction, so that their budgets are locked in order."""
    over = [Reserved(*row) for row in batch.connection.all(OVER)]
    alike = [each for each in over if (each.model, each.owner) == (over[0].model, over[0].owner)]
    if alike:
        levels, used = hold_all_of(batch, alike[0])
        for known in alike:
            if drop_reservation(batch, known):
                _give_back(batch, known, levels, used)
        if any(known.places is not None for known in alike):
            _close_deserted_lines(batch, levels)
        write_levels(batch, levels)
        hurry(batch, levels)
    return len(alike)


def _close_deserted_lines(batch: Batch, levels: dict[Key, Level]) -> None:
    """What moved a line back while it had somebody is in nobody's way once it has not."""
    waiting = {key for row in batch.connection.all(WAITING) for key in Reserved(*row).in_line}
    for key, level in levels.items():
        if key not in waiting:
            level.desert()


def _give_back(batch: Batch, known: Reserved, levels: dict[Key, Level], used: dict[Key, int]) -> None:
    if known.places is None:
        _correct(batch, known, levels, used, 0, 0)
        return
    for key in known.in_line:
        if key in levels:
            levels[key].close_up(known.amount(key[2]))


def _correct(
    batch: Batch, known: Reserved, levels: dict[Key, Level], used: dict[Key, int], tokens: int, cost: int
) -> None:
    """The request itself was made, whatever came of it."""
    for (_, _, kind), level in levels.items():
        if kind.startswith("tokens"):
            level.correct(tokens - known.tokens, batch.now, known.at)
    if known.at // DAY != batch.now // DAY:
        return  # yesterday's budget is of no interest any more
    for key, before in used.items():
        more = tokens - known.tokens if key[2] == "tokens" else cost - known.cost
        used[key] = max(0, before + more)
    write_days(batch, used)


def _heed(batch: Batch, model: str, levels: dict[Key, Level], remaining: Remaining) -> None:
    """What the endpoint says comes before what we have counted, where it leaves less."""
    for kind, left, reset in (
        ("requests", remaining.requests, remaining.requests_reset),
        ("tokens", remaining.tokens, remaining.tokens_reset),
    ):
        if left is None:
            continue
        level = levels.get((model, EVERYBODY, kind))
        if level is not None:
            level.leave(left, batch.now)
        if left == 0 and reset:
            _pause(batch, model, levels, reset)


def _pause(batch: Batch, model: str, levels: dict[Key, Level], seconds: float) -> None:
    until = batch.now + int(seconds * SECOND)
    row = batch.connection.one(HOLD_PAUSE, model=model)
    before = max(batch.now, row[0]) if row is not None else batch.now
    if until <= before:
        return
    batch.connection.send(SET_PAUSE, model=model, until=until)
    for key, level in levels.items():
        if key[0] == model:
            level.hold_up(until - before)


def _needed(operation: ReserveBudget, kind: str) -> int:
    return {"requests": 1, "tokens": operation.tokens, "cost": operation.cost}[kind]


OVER = Statement(
    select(*reservations.columns)
    .outerjoin(
        tables.leases,
        (tables.leases.c.job_id == reservations.c.job_id) & (tables.leases.c.attempt == reservations.c.attempt),
    )
    .outerjoin(tables.jobs, tables.jobs.c.id == reservations.c.job_id)
    .where(
        (reservations.c.places.is_(None) & tables.leases.c.job_id.is_(None))
        | (tables.jobs.c.id.is_(None) | tables.jobs.c.finished_at.is_not(None))
    )
    .order_by(reservations.c.job_id, reservations.c.step)
)
WAITING = Statement(select(*reservations.columns).where(reservations.c.places.is_not(None)))
READ_PAUSE = Statement(select(pauses.c.until).where(pauses.c.model == bindparam("model")))
HOLD_PAUSE = Statement(select(pauses.c.until).where(pauses.c.model == bindparam("model")).with_for_update())
SET_PAUSE = Statement(
    lambda insert: (
        given := insert(pauses).values(model=bindparam("model"), until=bindparam("until"))
    ).on_conflict_do_update(index_elements=["model"], set_={"until": given.excluded.until})
)
