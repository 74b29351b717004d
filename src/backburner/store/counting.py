"""How many jobs there are in each state: changes are appended by everyone and added up now and then."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from sqlalchemy import bindparam, delete, select

from ..domain.operations import FoldCounts
from . import tables
from .batch import Batch
from .connection import Statement

counts, changes = tables.counts, tables.count_changes

AT_ONCE = 1000


def fold_counts(batch: Batch, operation: FoldCounts) -> bool:
    """Add up some of the changes; answers whether there are more."""
    rows = batch.connection.all(TAKE_CHANGES, count=AT_ONCE)
    sums: dict[tuple[str, ...], list[int]] = defaultdict(lambda: [0, 0, 0])
    for _, owner, task, queue, status, *amounts in rows:
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
    return len(rows) == AT_ONCE


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
