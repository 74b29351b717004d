"""Identical work is done once: each submit has a job of its own, which points to the one execution.

The execution is a job like any other for those who claim, run and settle it; it is hidden from everyone else (see
`is_execution`), and what happens to it is told to the jobs that share it (`spreading`). Rows are locked in this order:
the work, its execution, the jobs that share it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import BigInteger, bindparam, delete, literal, null, select, update

from ..domain import events
from ..domain.ids import new_execution_id
from ..domain.job import Status
from ..domain.json import encode
from . import tables
from .batch import Batch, Entry
from .connection import Family, Row, Statement
from .erasing import READ_POINTERS
from .leaving import LEAVE_BLOCKED, LEAVE_READY
from .lining import Lined
from .retelling import retell, story_of
from .spreading import (
    FACADE,
    MIRROR,
    STATE,
    Facade,
    State,
    facade_of,
    read_lead,
    spread,
    tell,
)

jobs, shares, works, leases = tables.jobs, tables.shares, tables.works, tables.leases


@dataclass(slots=True)
class Joining:
    """A job that is to share an execution. ``execution`` is the one it had before: it is run again."""

    facade: Facade
    priority: int
    max_tries: int
    execution: str | None
    work: str
    lasts: int

    @classmethod
    def read(cls, row: Row) -> Joining:
        return cls(facade_of(row), *row[len(FACADE) :])

    @property
    def scope(self) -> str | None:
        """On whose behalf the work is done."""
        return None if self.facade.everyone else self.facade.owner


@dataclass(slots=True)
class Standing:
    """The execution that a work has now. ``state`` None: there is none yet."""

    execution: str
    state: State | None = None
    priority: int = 0
    seq: int = 0
    cancelled: bool = False
    kept: bool = False
    """Whether its result is there."""


def connect(batch: Batch, ids: Sequence[str]) -> int:
    """Let jobs that are on disk as pending join the execution of their work, or begin one, or have its result.

    Answers how many of them share their work at all.
    """
    joining = [Joining.read(row) for row in batch.connection.among(READ_JOINING, ids)]
    joining.sort(key=lambda each: (each.work, each.facade.job))
    executions = {}
    for each in joining:
        if each.work not in executions:
            executions[each.work] = _hold_work(batch, each)
    _hold_executions(batch, list(executions.values()))
    for each in joining:
        executions[each.work] = _connect(batch, each, _standing(batch, executions[each.work]))
    return len(joining)


def hold(batch: Batch, job: str) -> None:
    """Lock what a job shares, which must come before the job itself is locked, and tell what happened to it so far."""
    row = batch.connection.one(READ_SHARE, job=job)
    if row is not None:
        batch.connection.one(HOLD_WORK, work=row[0])
        hold_all(batch, [job])


def hold_all(batch: Batch, ids: Sequence[str]) -> None:
    """The same without the work: they will not be connected again."""
    rows = batch.connection.among(READ_POINTERS, ids) if ids else []
    _hold_executions(batch, sorted({row[0] for row in rows}))


def without_jobs(batch: Batch, executions: Iterable[str]) -> list[str]:
    """Those whose last job has just ended by itself: nobody wants them any more."""
    return [each for each in sorted(executions) if batch.connection.one(READ_LIVE_ONE, execution=each) is None]


def _hold_work(batch: Batch, each: Joining) -> str:
    """Lock a work; answers its execution, which need not be there yet."""
    while True:
        execution = new_execution_id()
        if batch.connection.run(NEW_WORK, work=each.work, execution_id=execution, lead=each.facade.owner) == 1:
            return execution
        row = batch.connection.one(HOLD_WORK, work=each.work)
        if row is not None:
            return str(row[0])
        # it was erased meanwhile


def _hold_executions(batch: Batch, executions: Sequence[str]) -> None:
    if executions:
        batch.connection.among(HOLD_EXECUTIONS, sorted(executions, reverse=True))
        spread(batch, executions)


def _standing(batch: Batch, execution: str) -> Standing:
    row = batch.connection.one(READ_STANDING, job=execution)
    if row is None:
        return Standing(execution)
    priority, seq, cancelled, kept, *state = row
    return Standing(execution, State(*state), priority, seq, bool(cancelled), kept is not None)


def _connect(batch: Batch, each: Joining, standing: Standing) -> str:
    """Answers the execution that the work has now."""
    state = standing.state
    if state is None:
        return _begin(batch, each, standing.execution)
    if state.status == Status.COMPLETED:
        assert state.finished_at is not None
        if standing.kept and batch.now < state.finished_at + each.lasts:
            return _answer(batch, each, standing)
    elif state.finished_at is None and not standing.cancelled:
        return _join(batch, each, standing)
    elif state.finished_at is not None and standing.execution == each.execution:
        return _revive(batch, each, standing)
    execution = new_execution_id()
    batch.connection.run(RENEW_WORK, work_=each.work, execution_id=execution, lead=each.facade.owner)
    return _begin(batch, each, execution)


def _begin(batch: Batch, each: Joining, execution: str) -> str:
    """The first of its kind: its arguments are executed."""
    batch.connection.run(COPY_JOB, execution=execution, owner=each.scope, now=batch.now, job=each.facade.job)
    batch.connection.run(COPY_ARGS, execution=execution, job=each.facade.job)
    _line_up(batch, each, execution, batch.now)
    _point_to(batch, each, execution, _standing(batch, execution), {}, [])
    return execution


def _answer(batch: Batch, each: Joining, standing: Standing) -> str:
    """The result is there already."""
    state = State(Status.COMPLETED.value, 100.0, "", 0, 0, 0, batch.now, batch.now, 0, 0, None, None)
    data = encode({"task": each.facade.task, "duration_seconds": 0.0})
    _point_to(batch, each, standing.execution, replace(standing, state=state), {}, [(events.COMPLETED, data)])
    return standing.execution


def _join(batch: Batch, each: Joining, standing: Standing) -> str:
    """It is under way: its story so far in short, then whatever comes."""
    assert standing.state is not None
    if each.priority > standing.priority:
        _hasten(batch, each, standing.execution)
    texts, story = story_of(batch, standing.execution, running=standing.state.status == Status.RUNNING)
    _point_to(batch, each, standing.execution, standing, texts, story)
    return standing.execution


def _revive(batch: Batch, each: Joining, standing: Standing) -> str:
    """Run again what failed or was cancelled: its finished steps stay."""
    texts, _ = story_of(batch, standing.execution, running=False)
    batch.connection.run(REVIVE, job=standing.execution, priority_=each.priority, seq_=standing.seq + 1, now=batch.now)
    batch.connection.run(FORGET_UNANSWERED, job=standing.execution)
    data = {"task": each.facade.task, "reason": "manual", "max_tries": each.max_tries}
    batch.log(standing.execution, standing.seq + 1, None, events.RETRYING, encode(data))
    _line_up(batch, each, standing.execution, batch.now)
    _point_to(batch, each, standing.execution, _standing(batch, standing.execution), texts, [])
    return standing.execution


def _point_to(
    batch: Batch, each: Joining, execution: str, standing: Standing, texts: dict[str, str], story: list[Entry]
) -> None:
    """``texts`` are what the job has to show before anything new happens."""
    assert standing.state is not None
    facade, attempt = each.facade, standing.state.attempt
    batch.connection.run(POINT, job=facade.job, execution_id=execution)
    entries = [entry for entry in story if entry[0] == events.STARTED]
    entries += retell(batch, facade.job if each.execution is not None else None, attempt, texts)
    entries += [entry for entry in story if entry[0] != events.STARTED]
    veiled = facade.owner != read_lead(batch, execution)
    batch.connection.run(MIRROR, **tell(batch, facade, standing.state, entries, veiled))


def _hasten(batch: Batch, each: Joining, execution: str) -> None:
    """The execution takes the highest priority of those who wait for it."""
    batch.connection.run(SET_PRIORITY, job=execution, priority_=each.priority)
    batch.flush_line()
    for read, leave in ((READ_READY, LEAVE_READY), (READ_BLOCKED, LEAVE_BLOCKED)):
        row = batch.connection.one(read, job=execution)
        if row is not None:
            batch.connection.run(leave, job=execution)
            _line_up(batch, each, execution, row[0], paid=True)


def _line_up(batch: Batch, each: Joining, execution: str, since: int, paid: bool = False) -> None:
    facade = each.facade
    owner = each.scope or tables.NOBODY
    batch.line_up(Lined(execution, facade.queue, facade.task, -each.priority, owner, since, paid))


READ_JOINING = Family(
    lambda among: (
        select(
            *FACADE,
            jobs.c.priority,
            jobs.c.max_tries,
            jobs.c.execution_id,
            shares.c.work,
            shares.c.lasts,
        )
        .select_from(jobs.join(shares, shares.c.job_id == jobs.c.id))
        .where(among(jobs.c.id))
    )
)
READ_SHARE = Statement(select(shares.c.work).where(shares.c.job_id == bindparam("job")))
NEW_WORK = Statement(
    lambda insert: (
        insert(works)
        .values({name: bindparam(name) for name in ("work", "execution_id", "lead")})
        .on_conflict_do_nothing(index_elements=["work"])
    )
)
HOLD_WORK = Statement(select(works.c.execution_id).where(works.c.work == bindparam("work")).with_for_update())
RENEW_WORK = Statement(
    update(works)
    .where(works.c.work == bindparam("work_"))
    .values(execution_id=bindparam("execution_id"), lead=bindparam("lead"))
)
HOLD_EXECUTIONS = Family(
    # The younger first, as wherever several jobs are locked.
    lambda among: select(jobs.c.id).where(among(jobs.c.id)).order_by(jobs.c.id.desc()).with_for_update()
)
READ_STANDING = Statement(
    select(jobs.c.priority, jobs.c.seq, leases.c.cancel_requested, tables.job_results.c.job_id, *STATE)
    .select_from(
        jobs.outerjoin(leases, leases.c.job_id == jobs.c.id).outerjoin(
            tables.job_results, tables.job_results.c.job_id == jobs.c.id
        )
    )
    .where(jobs.c.id == bindparam("job"))
)
READ_LIVE_ONE = Statement(
    select(jobs.c.id)
    .where(
        jobs.c.execution_id == bindparam("execution"),
        jobs.c.id != bindparam("execution"),
        jobs.c.finished_at.is_(None),
    )
    .limit(1)
)


def _copy_job() -> Any:
    """The row of the execution from that of the job whose submit begins it."""
    execution = bindparam("execution", type_=jobs.c.id.type)
    now = bindparam("now", type_=BigInteger())
    zero, empty = literal(0), literal("")
    values = {
        "id": execution, "execution_id": execution, "task": jobs.c.task, "queue": jobs.c.queue,
        "status": literal("pending"), "priority": jobs.c.priority, "owner": bindparam("owner", type_=jobs.c.owner.type),
        "attempt": zero, "tries": zero, "max_tries": jobs.c.max_tries, "rescues": zero, "seq": zero,
        "percent": literal(0.0), "message": empty, "created_at": now, "updated_at": now, "input_tokens": zero,
        "output_tokens": zero, "size": jobs.c.size, "key": null(),
    }  # fmt: skip
    return jobs.insert().from_select(list(values), select(*values.values()).where(jobs.c.id == bindparam("job")))


COPY_JOB = Statement(_copy_job())
COPY_ARGS = Statement(
    tables.job_args.insert().from_select(
        ["job_id", "body"],
        select(bindparam("execution", type_=jobs.c.id.type), tables.job_args.c.body).where(
            tables.job_args.c.job_id == bindparam("job")
        ),
    )
)
POINT = Statement(update(jobs).where(jobs.c.id == bindparam("job")).values(execution_id=bindparam("execution_id")))
SET_PRIORITY = Statement(update(jobs).where(jobs.c.id == bindparam("job")).values(priority=bindparam("priority_")))
REVIVE = Statement(
    update(jobs)
    .where(jobs.c.id == bindparam("job"))
    .values(
        status="pending",
        priority=bindparam("priority_"),
        seq=bindparam("seq_"),
        tries=0,
        rescues=0,
        percent=0.0,
        message="",
        started_at=None,
        finished_at=None,
        error=None,
        updated_at=bindparam("now"),
    )
)
FORGET_UNANSWERED = Statement(
    delete(tables.questions).where(
        tables.questions.c.job_id == bindparam("job"), tables.questions.c.answered_at.is_(None)
    )
)
READ_READY = Statement(select(tables.ready.c.since).where(tables.ready.c.job_id == bindparam("job")))
READ_BLOCKED = Statement(select(tables.blocked.c.since).where(tables.blocked.c.job_id == bindparam("job")))
