"""What happens to an execution that several jobs share is told to each of them, in a log of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import bindparam, select, update

from ..domain import events
from ..domain.ids import is_execution
from ..domain.job import SHARED_FAILURE, Status
from ..domain.json import decode, encode
from ..domain.notifications import Notice, default_notice
from . import tables
from .batch import Batch, Ended, Entry
from .connection import Row, Statement
from .erasing import erase_orphan
from .keying import leave_key
from .leaving import LEAVE_DEADLINES

jobs, shares, works, channels = tables.jobs, tables.shares, tables.works, tables.channels

ALL_CHANNELS = ""
"""Nobody writes to the channels of a job that shares its execution: one row says that there is text in its log."""

NOTICES = {
    events.STARTED: "started",
    events.PROGRESS: "progress",
    events.ASKED: "asked",
    events.COMPLETED: "completed",
    events.FAILED: "failed",
}


@dataclass(slots=True)
class Facade:
    """A job that shares its execution, with what its owner is to be told."""

    job: str
    owner: str | None
    task: str
    queue: str
    seq: int
    status: str
    created_at: int
    key: str | None
    expires_at: int | None
    awaited: bool | None
    batch_id: str | None
    everyone: bool
    words: str | None


FACADE = (
    jobs.c.id, jobs.c.owner, jobs.c.task, jobs.c.queue, jobs.c.seq, jobs.c.status, jobs.c.created_at, jobs.c.key,
    jobs.c.expires_at, jobs.c.awaited, jobs.c.batch_id, shares.c.everyone, shares.c.words,
)  # fmt: skip


@dataclass(slots=True)
class State:
    """How an execution stands."""

    status: str
    percent: float
    message: str
    attempt: int
    tries: int
    rescues: int
    started_at: int | None
    finished_at: int | None
    input_tokens: int
    output_tokens: int
    cost: int | None
    error: str | None


STATE = (
    jobs.c.status, jobs.c.percent, jobs.c.message, jobs.c.attempt, jobs.c.tries, jobs.c.rescues, jobs.c.started_at,
    jobs.c.finished_at, jobs.c.input_tokens, jobs.c.output_tokens, jobs.c.cost, jobs.c.error,
)  # fmt: skip


def spread(batch: Batch, executions: Iterable[str] | None = None) -> None:
    """Tell what these executions, or all, have emitted since it was told last."""
    for execution in sorted(batch.untold if executions is None else executions):
        entries = batch.untold.pop(execution, None)
        if entries:
            _spread(batch, execution, entries)


def _spread(batch: Batch, execution: str, entries: Sequence[Entry]) -> None:
    state = read_state(batch, execution)
    facades = [Facade(*row) for row in batch.connection.all(READ_LIVE, execution=execution)]
    lead = read_lead(batch, execution)
    batch.connection.many(MIRROR, [tell(batch, each, state, entries, each.owner != lead) for each in facades])
    if not facades and state.finished_at is not None:
        erase_orphan(batch, execution)


def tell(batch: Batch, facade: Facade, state: State, entries: Iterable[Entry], veiled: bool) -> dict[str, Any]:
    """Log the entries for one job; answers its row as the execution stands."""
    has_text = False
    for kind, data in entries:
        _log(batch, facade, kind, _shown(facade, kind, data, veiled))
        has_text = has_text or kind == events.TEXT
    if has_text:
        batch.connection.run(MARK_UNFOLDED, job_id=facade.job, name=ALL_CHANNELS, length=0, kept=0, folded=False)
    started = None if state.started_at is None else max(state.started_at, facade.created_at)
    if state.status != facade.status:
        _count(batch, facade, state, started)
    if state.finished_at is not None:
        leave_key(batch, facade.job, facade.task, facade.owner, facade.key)
        batch.ended.append(Ended(facade.job, Status(state.status), bool(facade.awaited), facade.batch_id))
    if facade.expires_at is not None and (state.attempt or state.finished_at is not None):
        batch.connection.run(LEAVE_DEADLINES, job=facade.job)
    facade.status = state.status
    return {
        **asdict(replace(state, input_tokens=0, output_tokens=0, cost=None) if veiled else state),
        "job": facade.job,
        "seq": facade.seq,
        "started_at": started,
        "error": _veil_error(state.error) if veiled else state.error,
        "updated_at": batch.now,
    }


def read_state(batch: Batch, execution: str) -> State:
    row = batch.connection.one(READ_STATE, execution=execution)
    assert row is not None
    return State(*row)


def payer(batch: Batch, job: str, owner: str | None) -> str | None:
    """To whom the cost of a job is counted: that of work for everyone to the owner who began it."""
    return read_lead(batch, job) if owner is None and is_execution(job) else owner


def read_lead(batch: Batch, execution: str) -> str | None:
    """The owner whose arguments are executed."""
    row = batch.connection.one(READ_LEAD, execution=execution)
    return None if row is None else row[0]


def _log(batch: Batch, facade: Facade, kind: str, data: str) -> None:
    notice = _notice(facade, kind, data)
    if notice is None:
        _emit(batch, facade, kind, data)
    elif kind == events.STARTED:
        _emit(batch, facade, kind, data)
        _notify(batch, facade, kind, notice)
    else:  # the terminal event is a log's last word
        _notify(batch, facade, kind, notice)
        _emit(batch, facade, kind, data)


def _emit(batch: Batch, facade: Facade, kind: str, data: str) -> None:
    facade.seq += 1
    batch.emit(facade.job, facade.seq, facade.owner, kind, data)


def _notify(batch: Batch, facade: Facade, kind: str, notice: Notice) -> None:
    assert facade.owner is not None
    facade.seq += 1
    batch.notify(facade.job, facade.seq, facade.owner, NOTICES[kind], notice)


def _notice(facade: Facade, kind: str, data: str) -> Notice | None:
    """In the words of the job's own submit; only who submitted knows its arguments. A batch has one for all."""
    name = NOTICES.get(kind)
    if name is None or facade.owner is None or facade.words is None or facade.batch_id is not None:
        return None
    if kind == events.ASKED and facade.everyone:
        return None
    words = decode(facade.words)
    if name not in words:
        return None
    if words[name] is not None:
        return Notice(**words[name])
    content = decode(data)
    reason = content["error"]["detail"] if kind == events.FAILED else content.get("message", content.get("prompt"))
    return default_notice(facade.task, name, reason)


def _shown(facade: Facade, kind: str, data: str, veiled: bool) -> str:
    if kind in (events.ASKED, events.ANSWERED) and facade.everyone:
        return _veil_question(data)
    if veiled and kind == events.STEP:
        return encode({name: value for name, value in decode(data).items() if name != "usage"})
    return _veil(data) if veiled and kind in (events.FAILED, events.RETRYING) else data


def _veil(data: str) -> str:
    content = decode(data)
    if "error" in content:
        content["error"] = {**asdict(SHARED_FAILURE), "retrying": content["error"]["retrying"]}
    return encode(content)


def _veil_question(data: str) -> str:
    """Its answer decides for all owners, and its words may show the arguments of one."""
    return encode({name: value for name, value in decode(data).items() if name == "expires_at"})


def _veil_error(error: str | None) -> str | None:
    return None if error is None else encode({**asdict(SHARED_FAILURE), "retrying": decode(error)["retrying"]})


def _count(batch: Batch, facade: Facade, state: State, started: int | None) -> None:
    ran, waited = 0, 0
    if Status(state.status).finished and started is not None and state.finished_at is not None:
        ran, waited = max(state.finished_at - started, 0), max(started - facade.created_at, 0)  # clocks are put back
    batch.count(facade.owner, facade.task, facade.queue, facade.status, -1)
    batch.count(facade.owner, facade.task, facade.queue, state.status, 1, ran, waited)


def facade_of(row: Row) -> Facade:
    return Facade(*row[: len(FACADE)])


_here = jobs.c.execution_id == bindparam("execution")
READ_LIVE = Statement(
    select(*FACADE)
    .select_from(jobs.join(shares, shares.c.job_id == jobs.c.id))
    .where(_here, jobs.c.id != bindparam("execution"), jobs.c.finished_at.is_(None))
    .order_by(jobs.c.id.desc())
    .with_for_update(of=jobs)
)
READ_STATE = Statement(select(*STATE).where(jobs.c.id == bindparam("execution")))
READ_LEAD = Statement(select(works.c.lead).where(works.c.execution_id == bindparam("execution")))
MARK_UNFOLDED = Statement(
    lambda insert: (
        insert(channels)
        .values({column.name: bindparam(column.name) for column in channels.columns})
        .on_conflict_do_update(
            index_elements=["job_id", "name"], set_={"folded": False}, where=channels.c.folded.is_(True)
        )
    )
)
MIRRORED = (*(column.name for column in STATE), "seq", "updated_at")
MIRROR = Statement(
    update(jobs).where(jobs.c.id == bindparam("job")).values({name: bindparam(name) for name in MIRRORED})
)
