"""Executions end: the fence is passed, the lease is taken, and the job comes to its outcome."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete

from ..domain.errors import LeaseLost
from ..domain.job import Status
from ..domain.notifications import default_notice
from ..domain.operations import Execution, Failed, Interrupted, Parked, Settle
from . import tables
from .awaiting import WAITS_FOR_ITSELF, hold_children, waits_for_itself
from .batch import Batch
from .connection import Family
from .ending import Ending, end_jobs, status_after
from .limiting import bring_back

jobs, leases = tables.jobs, tables.leases


def settle(batch: Batch, operations: Sequence[Settle]) -> list[Status | Exception]:
    """All the settlements of a batch at once: six statements, however many jobs."""
    ids = [operation.execution.job for operation in operations]
    parks = [each.outcome for each in operations if isinstance(each.outcome, Parked)]
    hold_children(batch, ids, parks)
    if len(ids) > 1 and any(child in ids for park in parks for child in park.children):
        return [answer for operation in operations for answer in settle(batch, [operation])]  # each sees those before
    rows = batch.connection.among(READ_ENDINGS, ids)
    held = {row[0]: Ending.read(row) for row in rows}
    fenced = [_pass_fence(held, operation.execution) for operation in operations]
    take_leases(batch, [ending for ending in fenced if ending is not None])
    accepted: list[tuple[Ending, Any]] = []
    parking: dict[str, Parked] = {}
    answers: list[Status | Exception] = []
    for operation, ending in zip(operations, fenced, strict=True):
        if ending is None:
            answers.append(
                LeaseLost(f"job {operation.execution.job} is no longer at attempt {operation.execution.attempt}")
            )
            continue
        outcome = Interrupted() if ending.cancel_requested else operation.outcome
        if isinstance(outcome, Parked) and outcome.children:
            if waits_for_itself(batch, ending.job, outcome, parking):
                notice = default_notice(ending.task, "failed", WAITS_FOR_ITSELF.detail)
                outcome = Failed(WAITS_FOR_ITSELF, None, notice)
            else:
                parking[ending.job] = outcome
        accepted.append((ending, outcome))
        answers.append(status_after(outcome))
    end_jobs(batch, accepted)
    limited = {operation.execution.job for operation in operations if operation.limited}
    if limited:
        free_slots(batch, [ending for ending, _ in accepted if ending.job in limited])
        batch.work = True
    return answers


def _pass_fence(held: dict[str, Ending], execution: Execution) -> Ending | None:
    """None where another attempt holds the job, or none, or this one was settled a moment ago."""
    ending = held.get(execution.job)
    return held.pop(execution.job) if ending is not None and ending.attempt == execution.attempt else None


def take_leases(batch: Batch, endings: Sequence[Ending]) -> None:
    """The executions are over. Their jobs are held, so that nobody asks them to stop any more: who has asked before
    has the last word."""
    if endings:
        by_job = {ending.job: ending for ending in endings}
        for job, cancel_requested in batch.connection.among(TAKE_LEASES, list(by_job)):
            by_job[job].cancel_requested = bool(cancel_requested)


def free_slots(batch: Batch, endings: Sequence[Ending]) -> None:
    """Whoever was set aside for the slots of these executions may try again."""
    bring_back(batch, Counter((each.queue, each.task, each.owner or tables.NOBODY) for each in endings))


READ_ENDINGS = Family(
    lambda among: (
        Ending.select().where(among(jobs.c.id), jobs.c.status == "running").order_by(jobs.c.id.desc()).with_for_update()
    )
)
TAKE_LEASES = Family(
    lambda among: delete(leases).where(among(leases.c.job_id)).returning(leases.c.job_id, leases.c.cancel_requested)
)
