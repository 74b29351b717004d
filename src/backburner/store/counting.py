"""How many jobs there are in each state: changes are appended by everyone and added up now and then."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from sqlalchemy import bindparam, delete, select, update

from ..domain.json import decode
from ..domain.operations import FoldCounts
from ..domain.timing import Timing
from . import tables
from .batch import Batch
from .connection import Family, Statement

counts, changes, timings = tables.counts, tables.count_changes, tables.timings
SUMS = tuple(field.name for field in fields(Timing))

AT_ONCE = 1000


def fold_counts(batch: Batch, operation: FoldCounts) -> bool:
    """Add up some of the changes; answers whether there are more."""
    rows = batch.connection.all(TAKE_CHANGES, count=AT_ONCE)
    sums: dict[tuple[str, ...], list[int]] = defaultdict(lambda: [0, 0, 0])
    measured: dict[str, Timing] = defaultdict(Timing)
    for _, owner, task, queue, status, *amounts, timing in rows:
        if timing is not None:
            measured[task] += Timing(*decode(timing))
        total = sums[owner, task, queue, status]
        for place, amount in enumerate(amounts):
            total[place] += amount
    batch.connection.many(DELETE_CHANGE, [{"number": row[0]} for row in rows])
    for owner, task, queue, status in sorted(sums):
        jobs, ran, waited = sums[owner, task, queue, status]
        if jobs or ran or waited:
            batch.connection.run(
                ADD, owner=owner, task=task, queue=queue, status=status, jobs=jobs, ran=ran, waited=waited
            )
    _remember(batch, measured)
    return len(rows) == AT_ONCE


def _remember(batch: Batch, measured: Mapping[str, Timing]) -> None:
    tasks = sorted(measured)
    known = {task: Timing(*sums) for task, *sums in batch.connection.among(HOLD_TIMINGS, tasks)}
    for task in tasks:
        row = dict(zip(SUMS, known.get(task, Timing()).followed_by(measured[task]).sums, strict=True))
        if task in known:
            batch.connection.run(SET_TIMING, task_=task, **row)
        else:
            batch.connection.run(NEW_TIMING, task=task, **row)


def _add(insert: Any) -> Any:
    clause = insert(counts).values({column.name: bindparam(column.name) for column in counts.columns})
    return clause.on_conflict_do_update(
        index_elements=["owner", "task", "queue", "status"],
        set_={name: counts.c[name] + clause.excluded[name] for name in ("jobs", "ran", "waited")},
    )


TAKE_CHANGES = Statement(
    select(*changes.columns).order_by(changes.c.id).limit(bindparam("count")).with_for_update(skip_locked=True)
)
DELETE_CHANGE = Statement(delete(changes).where(changes.c.id == bindparam("number")))
ADD = Statement(_add)
HOLD_TIMINGS = Family(
    lambda among: (
        select(timings.c.task, *(timings.c[name] for name in SUMS))
        .where(among(timings.c.task))
        .order_by(timings.c.task)
        .with_for_update()
    )
)
NEW_TIMING = Statement(
    lambda insert: (  # where somebody else measured the task first just now, that will do
        insert(timings)
        .values({column.name: bindparam(column.name) for column in timings.columns})
        .on_conflict_do_nothing(index_elements=["task"])
    )
)
SET_TIMING = Statement(
    update(timings).where(timings.c.task == bindparam("task_")).values({name: bindparam(name) for name in SUMS})
)
