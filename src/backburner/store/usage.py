"""What model calls took: by job, and by owner, model and day of UTC, which outlives the job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, func, or_, select, update

from ..domain.operations import Usage, UsageByDay, UsageOfJob, UsageRecord
from . import tables
from .connection import Connection, Statement

if TYPE_CHECKING:
    from .batch import Batch

jobs, job_usage, usage_days = tables.jobs, tables.job_usage, tables.usage_days

DAY = 24 * 3600 * 1_000_000
OwnDay = tuple[str, int, str]
"""Owner, day, model."""


def spend(batch: Batch, job: str, owner: str | None, usage: Usage) -> None:
    """Count the tokens of a step that is being kept."""
    amounts = {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
    batch.connection.send(SPEND, job=job, **{f"{name}_": amount for name, amount in amounts.items()})
    if usage.cost is not None:
        batch.connection.send(PAY, job=job, cost_=usage.cost)
    batch.connection.send(
        ADD_TO_JOB,
        job_id=job,
        model=usage.model,
        day=batch.now // DAY,
        calls=usage.calls,
        cost=usage.cost,
        **amounts,
    )
    batch.spend(owner, batch.now // DAY, usage)


def add_to_days(connection: Connection, taken: Mapping[OwnDay, Usage]) -> None:
    """Everybody writes to these rows: in one order, and late in a transaction."""
    for owner, day, model in sorted(taken):
        usage = taken[owner, day, model]
        connection.send(
            ADD_TO_DAY,
            owner=owner,
            day=day,
            model=model,
            calls=usage.calls,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cost=usage.cost,
        )


def usage_by_day(connection: Connection, query: UsageByDay) -> tuple[UsageRecord, ...]:
    given = {"owner": query.owner, "model": query.model}
    given = {name: value for name, value in given.items() if value is not None}
    rows = connection.all(BY_DAY[tuple(given)], first=query.first, **given)
    return tuple(UsageRecord(*row) for row in rows)


def usage_of_job(connection: Connection, query: UsageOfJob) -> tuple[UsageRecord, ...]:
    return tuple(UsageRecord(*row) for row in connection.all(OF_JOB, job=query.job))


def _adding(table: Any, *key: str) -> Statement:
    """Insert a row, or add to the one that is there."""

    def build(insert: Any) -> Any:
        clause = insert(table).values({column.name: bindparam(column.name) for column in table.columns})
        given = clause.excluded
        sums: dict[str, Any] = {
            name: table.c[name] + given[name] for name in ("calls", "input_tokens", "output_tokens")
        }
        # Nothing has a price until something has one.
        sums["cost"] = func.coalesce(table.c.cost + given.cost, table.c.cost, given.cost)
        return clause.on_conflict_do_update(index_elements=list(key), set_=sums)

    return Statement(build)


def _by_day(*filters: str) -> Statement:
    columns = usage_days.c
    clause = select(
        columns.day,
        columns.owner,
        columns.model,
        columns.calls,
        columns.input_tokens,
        columns.output_tokens,
        columns.cost,
    ).where(columns.day >= bindparam("first"), *(columns[name] == bindparam(name) for name in filters))
    return Statement(clause.order_by(columns.day.desc(), columns.owner, columns.model))


SPEND = Statement(
    update(jobs)
    .where(jobs.c.id == bindparam("job"))
    .values(
        input_tokens=jobs.c.input_tokens + bindparam("input_tokens_"),
        output_tokens=jobs.c.output_tokens + bindparam("output_tokens_"),
    )
)
PAY = Statement(
    update(jobs)
    .where(jobs.c.id == bindparam("job"))
    .values(cost=func.coalesce(jobs.c.cost, 0) + bindparam("cost_", type_=jobs.c.cost.type))
)
ADD_TO_JOB = _adding(job_usage, "job_id", "model")
ADD_TO_DAY = _adding(usage_days, "owner", "day", "model")
BY_DAY: dict[tuple[str, ...], Statement] = {
    filters: _by_day(*filters) for filters in ((), ("owner",), ("model",), ("owner", "model"))
}
OF_JOB = Statement(
    select(
        job_usage.c.day,
        func.coalesce(jobs.c.owner, tables.NOBODY),
        job_usage.c.model,
        job_usage.c.calls,
        job_usage.c.input_tokens,
        job_usage.c.output_tokens,
        job_usage.c.cost,
    )
    .join(jobs, job_usage.c.job_id == tables.works_at)
    .where(
        jobs.c.id == bindparam("job"),
        # A result that was there already, and the work of another owner, took nothing of this one's.
        or_(jobs.c.execution_id.is_(None), jobs.c.input_tokens + jobs.c.output_tokens > 0, jobs.c.cost.is_not(None)),
    )
    .order_by(job_usage.c.model)
)
