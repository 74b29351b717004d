"""Parked jobs that wait for others: whoever ends one of those looks for them.

A child's row is the lock between the two: the parent marks it as awaited, the end reads the mark.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import bindparam, delete, select, update

from ..domain.job import JobError, Status
from ..domain.operations import Parked
from . import tables
from .batch import Batch, Ended, insert_all
from .connection import Family, Statement
from .erasing import READ_POINTERS
from .leaving import LEAVE_PARKED, LEAVE_SCHEDULED, LEAVE_WAITS
from .lining import Lined

jobs, waits = tables.jobs, tables.waits

WAITS_FOR_ITSELF = JobError(
    "waits_for_itself",
    "The job waits for itself",
    "It waits for a job that waits for it, directly or through others, or that shares its own work: none of them could "
    "ever end. Let the task wait for other work than its own.",
)


def hold_children(batch: Batch, parents: Sequence[str], outcomes: Sequence[Parked]) -> None:
    """Lock jobs that are about to be parked together with those that they wait for.

    Wherever several jobs are held, the younger are locked first: children before their parents.
    """
    children = {child for outcome in outcomes for child in outcome.children}
    if children:
        shared = {execution for (execution,) in batch.connection.among(READ_POINTERS, sorted(children))}
        batch.connection.among(HOLD, sorted(shared - set(parents), reverse=True))
        batch.connection.among(HOLD, sorted(children.union(parents), reverse=True))


def waits_for_itself(batch: Batch, job: str, outcome: Parked, parking: Mapping[str, Parked]) -> bool:
    """Whether nothing could ever wake the job, because those that it waits for wait for it, directly or through others.

    ``parking`` are those that are about to be parked in this very transaction. All of them are held.
    """
    seen: set[str] = set()
    level = _only_children(outcome)
    while level:
        seen |= level
        rows = batch.connection.among(FOLLOW, sorted(level))
        if any(place == job for place, *_ in rows):
            return True
        level = {child for _, child, waiting_for, run_at in rows if waiting_for == "child" and run_at is None}
        for place in {place for place, *_ in rows} & parking.keys():
            level |= _only_children(parking[place])
        level -= seen
    return False


def _only_children(outcome: Parked) -> set[str]:
    """Those without whom the job does not go on."""
    return set(outcome.children) if outcome.seconds is None and not outcome.questions else set()


def await_children(batch: Batch, job: str, outcome: Parked) -> bool:
    """Note who wakes the job; False when there is nothing to wait for any more. The children are held."""
    if not outcome.children:
        return True
    states: dict[str, str] = dict(batch.connection.among(READ_STATES, outcome.children))
    ended = [Status(status) for status in states.values() if Status(status).finished]
    if len(states) < len(outcome.children) or len(ended) == len(states) or set(ended) - {Status.COMPLETED}:
        return False
    live = [child for child, status in states.items() if not Status(status).finished]
    batch.connection.many(MARK_AWAITED, [{"job": child} for child in live])
    batch.connection.many(INSERT_WAIT, [{"job_id": job, "child_id": child} for child in live])
    return True


def wake_parents(batch: Batch, ended: Sequence[Ended]) -> None:
    """Let parents go on that have nobody left to wait for, or one that did not end well."""
    connection = batch.connection
    status = {each.job: each.status for each in ended if each.awaited}
    rows = connection.among(READ_WAITS, list(status)) if status else []
    if not rows:
        return
    bad = {parent for parent, child in rows if status[child] is not Status.COMPLETED}
    held = connection.among(HOLD_PARENTS, sorted({parent for parent, _ in rows}, reverse=True))
    connection.many(DELETE_WAIT, [{"job": parent, "child": child} for parent, child in rows])
    still = {parent for (parent,) in connection.among(STILL_WAITING, [row[0] for row in held])}
    for job, owner, task, queue, priority in held:
        if job in bad or job not in still:
            wake(batch, job, owner, task, queue, priority)


def wake(batch: Batch, job: str, owner: str | None, task: str, queue: str, priority: int) -> bool:
    """Let a parked job go on; False when it is not parked (any more). Its row is held."""
    if batch.connection.run(LEAVE_PARKED, job=job) == 0:
        return False
    batch.connection.run(LEAVE_SCHEDULED, job=job)
    batch.connection.run(LEAVE_WAITS, job=job)
    batch.line_up(Lined(job, queue, task, -priority, owner or tables.NOBODY, batch.now, paid=True))
    return True


HOLD = Family(lambda among: select(jobs.c.id).where(among(jobs.c.id)).order_by(jobs.c.id.desc()).with_for_update())
HOLD_PARENTS = Family(
    lambda among: (
        select(jobs.c.id, jobs.c.owner, jobs.c.task, jobs.c.queue, jobs.c.priority)
        .where(among(jobs.c.id))
        .order_by(jobs.c.id.desc())
        .with_for_update()
    )
)
FOLLOW = Family(
    lambda among: (
        select(tables.works_at, waits.c.child_id, tables.parked.c.waiting_for, tables.scheduled.c.run_at)
        .select_from(
            jobs.outerjoin(waits, waits.c.job_id == tables.works_at)
            .outerjoin(tables.parked, tables.parked.c.job_id == waits.c.job_id)
            .outerjoin(tables.scheduled, tables.scheduled.c.job_id == waits.c.job_id)
        )
        .where(among(jobs.c.id), jobs.c.finished_at.is_(None))
    )
)
READ_STATES = Family(lambda among: select(jobs.c.id, jobs.c.status).where(among(jobs.c.id)))
MARK_AWAITED = Statement(update(jobs).where(jobs.c.id == bindparam("job")).values(awaited=True))
INSERT_WAIT = Statement(insert_all(waits, "job_id", "child_id"))
READ_WAITS = Family(lambda among: select(waits.c.job_id, waits.c.child_id).where(among(waits.c.child_id)))
DELETE_WAIT = Statement(delete(waits).where(waits.c.job_id == bindparam("job"), waits.c.child_id == bindparam("child")))
STILL_WAITING = Family(lambda among: select(waits.c.job_id).where(among(waits.c.job_id)).distinct())
