"""What a running job writes: progress, text, finished steps, transactions of the application."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, delete, select, update

from ..domain import events
from ..domain.budgets import MONEY
from ..domain.errors import LeaseLost
from ..domain.job import KeptStep, NewJob
from ..domain.json import encode
from ..domain.operations import (
    AppendText,
    Execution,
    KeepStep,
    Notify,
    SetProgress,
    Submit,
    SubmitStep,
    Submitted,
    Transact,
)
from . import tables
from .batch import Batch, insert_all
from .batching import enter_batch
from .connection import Row, Statement
from .repeats import find_progress, is_notified
from .spreading import payer
from .submitting import submit
from .usage import spend

jobs, leases, channels, steps = tables.jobs, tables.leases, tables.channels, tables.steps


@dataclass(slots=True)
class Held:
    """A running job whose fence has been passed."""

    owner: str | None
    seq: int
    batch_id: str | None


def hold(batch: Batch, execution: Execution) -> Held:
    """Pass the fence. Raises `LeaseLost` when another attempt holds the job, or none."""
    row = batch.connection.one(READ_HELD, job=execution.job)
    _refuse_fenced(row, execution)
    assert row is not None
    return Held(row[1], row[2], row[3])


def _refuse_fenced(row: Row | None, execution: Execution) -> None:
    if row is None or row[0] != execution.attempt:
        raise LeaseLost(f"job {execution.job} is no longer at attempt {execution.attempt}")


def set_progress(batch: Batch, operation: SetProgress) -> int:
    job, percent, message = operation.execution.job, operation.percent, operation.message
    held = hold(batch, operation.execution)
    data = encode({"percent": percent, "message": message})
    if operation.again or batch.careful:
        found = find_progress(batch, operation, data)
        if found is not None:
            return found
    if operation.notice is not None and held.owner is not None and held.batch_id is None:
        held.seq += 1
        batch.notify(job, held.seq, held.owner, "progress", operation.notice)
    held.seq += 1
    batch.emit(job, held.seq, held.owner, events.PROGRESS, data)
    batch.connection.send(SET_PROGRESS, job=job, seq_=held.seq, percent=percent, message=message, updated_at=batch.now)
    return held.seq


def notify(batch: Batch, operation: Notify) -> None:
    job = operation.execution.job
    held = hold(batch, operation.execution)
    if (operation.again or batch.careful) and is_notified(batch, operation):
        return
    if held.owner is not None and held.batch_id is None:
        batch.notify(job, held.seq + 1, held.owner, operation.kind, operation.notice)
        batch.connection.send(ADVANCE, job=job, seq_=held.seq + 1, updated_at=batch.now)


def append_text(batch: Batch, operation: AppendText) -> None:
    job, channel = operation.execution.job, operation.channel
    held = hold(batch, operation.execution)
    delta = operation.delta
    if operation.offset is not None:
        written = batch.connection.one(READ_LENGTH, job=job, channel=channel)
        if written is not None and written[0] > operation.offset:
            delta = delta[written[0] - operation.offset :]  # the answer of a commit was lost
            if not delta:
                return
    grown = len(delta)
    row = batch.connection.one(GROW_CHANNEL, job=job, channel=channel, grown=grown)
    if row is None:
        batch.connection.send(INSERT_CHANNEL, job_id=job, name=channel, length=grown, kept=0, folded=False)
    offset = 0 if row is None else row[0] - grown
    batch.emit(
        job,
        held.seq + 1,
        held.owner,
        events.TEXT,
        encode(
            {
                "channel": channel,
                "attempt": operation.execution.attempt,
                "offset": offset,
                "delta": delta,
            }
        ),
    )
    batch.connection.send(ADVANCE, job=job, seq_=held.seq + 1, updated_at=batch.now)


def keep_step(batch: Batch, operation: KeepStep) -> None:
    held = hold(batch, operation.execution)
    job, step, usage = operation.execution.job, operation.step, operation.usage
    if _is_kept(batch, operation):
        return
    ends = {}
    for channel in operation.channels:
        row = batch.connection.one(KEEP_CHANNEL, job=job, channel=channel)
        if row is not None:
            ends[channel] = row[0]
    replace_step(batch, operation.execution, step, ends)
    data: dict[str, Any] = {
        "name": step.name,
        "occurrence": step.occurrence,
        "attempt": operation.execution.attempt,
    }
    if usage is not None:
        data["usage"] = {
            "model": usage.model,
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
        }
        if usage.cost is not None:
            data["usage"]["cost"] = usage.cost / MONEY
        spend(batch, job, payer(batch, job, held.owner), usage)
    if operation.again:
        data["again"] = True
    _log_step(batch, operation.execution, held, data)


def _is_kept(batch: Batch, operation: KeepStep) -> bool:
    """Whether it is on disk already: the answer of its commit was lost."""
    step = operation.step
    row = batch.connection.one(READ_STEP, job=operation.execution.job, name=step.name, occurrence=step.occurrence)
    return row is not None and row[0] == step.key and row[1] == step.value and row[2] == operation.execution.attempt


def submit_step(batch: Batch, operation: SubmitStep) -> Submitted:
    job = operation.execution.job
    held = hold(batch, operation.execution)
    row = batch.connection.one(READ_STEP, job=job, name=operation.name, occurrence=operation.occurrence)
    if row is not None and row[0] == operation.key:
        return Submitted(batch.now)  # it is on disk already: the answer of its commit was lost
    if operation.batch is not None:
        answer: Submitted = enter_batch(batch, operation.batch, operation.jobs)
    else:
        answer = _submit(batch, operation.jobs)
    ids = [operation.batch.id] if operation.batch is not None else []
    ids += [answer.instead[new.id].id if new.id in answer.instead else new.id for new in operation.jobs]
    step = KeptStep(operation.name, operation.occurrence, operation.key, encode(ids))
    replace_step(batch, operation.execution, step, {})
    data: dict[str, Any] = {
        "name": step.name,
        "occurrence": step.occurrence,
        "attempt": operation.execution.attempt,
    }
    if operation.again:
        data["again"] = True
    _log_step(batch, operation.execution, held, data)
    return answer


def _submit(batch: Batch, jobs: tuple[NewJob, ...]) -> Submitted:
    (answer,) = submit(batch, [Submit(jobs)])
    if isinstance(answer, Exception):
        raise answer
    return answer


def transact(batch: Batch, operation: Transact, session: Any) -> str:
    """``session`` is bound to the batch's own connection; whatever it wrote is committed with the step.

    The job is held once the work is done: a cancel, or the text of a step beside this one, does not wait for it.
    """
    _refuse_fenced(batch.connection.one(READ_FENCE, job=operation.execution.job), operation.execution)
    row = batch.connection.one(
        READ_STEP, job=operation.execution.job, name=operation.name, occurrence=operation.occurrence
    )
    if row is not None and row[0] == operation.key:
        return str(row[1])
    value = operation.work(session)
    # The application may have inserted a job through the session: it counts as announced work.
    batch.work = True
    held = hold(batch, operation.execution)
    step = KeptStep(operation.name, operation.occurrence, operation.key, value)
    replace_step(batch, operation.execution, step, {})
    data = {
        "name": operation.name,
        "occurrence": operation.occurrence,
        "attempt": operation.execution.attempt,
    }
    _log_step(batch, operation.execution, held, data)
    return value


def replace_step(batch: Batch, execution: Execution, step: KeptStep, ends: dict[str, int]) -> None:
    batch.connection.send(DELETE_STEP, job=execution.job, name=step.name, occurrence=step.occurrence)
    batch.connection.send(
        INSERT_STEP,
        job_id=execution.job,
        name=step.name,
        occurrence=step.occurrence,
        key=step.key,
        value=step.value,
        channels=encode(ends) if ends else None,
        attempt=execution.attempt,
        finished_at=batch.now,
    )


def _log_step(batch: Batch, execution: Execution, held: Held, data: dict[str, Any]) -> None:
    batch.emit(execution.job, held.seq + 1, held.owner, events.STEP, encode(data))
    batch.connection.send(ADVANCE, job=execution.job, seq_=held.seq + 1, updated_at=batch.now)


READ_FENCE = Statement(select(leases.c.attempt).where(leases.c.job_id == bindparam("job")))
READ_HELD = Statement(
    select(jobs.c.attempt, jobs.c.owner, jobs.c.seq, jobs.c.batch_id)
    .where(jobs.c.id == bindparam("job"), jobs.c.status == "running")
    .with_for_update()
)
SET_PROGRESS = Statement(
    update(jobs)
    .where(jobs.c.id == bindparam("job"))
    .values(
        seq=bindparam("seq_"),
        percent=bindparam("percent"),
        message=bindparam("message"),
        updated_at=bindparam("updated_at"),
    )
)
ADVANCE = Statement(
    update(jobs).where(jobs.c.id == bindparam("job")).values(seq=bindparam("seq_"), updated_at=bindparam("updated_at"))
)
GROW_CHANNEL = Statement(
    update(channels)
    .where(channels.c.job_id == bindparam("job"), channels.c.name == bindparam("channel"))
    .values(length=channels.c.length + bindparam("grown"), folded=False)
    .returning(channels.c.length)
)
READ_LENGTH = Statement(
    select(channels.c.length).where(channels.c.job_id == bindparam("job"), channels.c.name == bindparam("channel"))
)
INSERT_CHANNEL = Statement(insert_all(channels, "job_id", "name", "length", "kept", "folded"))
KEEP_CHANNEL = Statement(
    update(channels)
    .where(channels.c.job_id == bindparam("job"), channels.c.name == bindparam("channel"))
    .values(kept=channels.c.length)
    .returning(channels.c.length)
)
READ_STEP = Statement(
    select(steps.c.key, steps.c.value, steps.c.attempt).where(
        steps.c.job_id == bindparam("job"),
        steps.c.name == bindparam("name"),
        steps.c.occurrence == bindparam("occurrence"),
    )
)
DELETE_STEP = Statement(
    delete(steps).where(
        steps.c.job_id == bindparam("job"),
        steps.c.name == bindparam("name"),
        steps.c.occurrence == bindparam("occurrence"),
    )
)
INSERT_STEP = Statement(
    insert_all(steps, "job_id", "name", "occurrence", "key", "value", "channels", "attempt", "finished_at")
)
