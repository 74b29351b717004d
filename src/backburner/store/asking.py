"""Questions of jobs to people, and the answers, which are steps."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam, delete, select, update

from ..domain import events
from ..domain.errors import AlreadyAnswered, IllegalTransition, QuestionNotFound
from ..domain.job import KeptStep, Status
from ..domain.json import decode, encode, fingerprint
from ..domain.operations import Answer, Ask, Asked, Execution
from . import tables
from .awaiting import wake
from .batch import Batch, insert_all
from .connection import Family, Statement
from .running import ADVANCE, DELETE_STEP, hold, replace_step

jobs, questions = tables.jobs, tables.questions


def ask(batch: Batch, operation: Ask) -> Asked:
    job = operation.execution.job
    held = hold(batch, operation.execution)
    row = batch.connection.one(READ_ASKED, job=job, name=operation.name, occurrence=operation.occurrence)
    if row is not None and row[0] == operation.key and (operation.refused is None or row[1] == operation.token):
        _, token, answer, expires_at = row
        return Asked(token, answer, answer is None and expires_at is not None and expires_at <= batch.now)
    batch.connection.run(FORGET, job=job, name=operation.name, occurrence=operation.occurrence)
    if operation.refused is not None:
        batch.connection.send(DELETE_STEP, job=job, name=operation.name, occurrence=operation.occurrence)
    expires_at = None if operation.timeout is None else batch.now + int(operation.timeout * 1e6)
    batch.connection.run(
        INSERT,
        token=operation.token,
        job_id=job,
        name=operation.name,
        occurrence=operation.occurrence,
        key=operation.key,
        prompt=operation.prompt,
        shape=operation.schema,
        asked_at=batch.now,
        expires_at=expires_at,
    )
    if operation.notice is not None and held.owner is not None:
        held.seq += 1
        batch.notify(job, held.seq, held.owner, "asked", operation.notice)
    data = {
        "prompt": operation.prompt,
        "schema": decode(operation.schema),
        "token": operation.token,
        "expires_at": expires_at,
    }
    if operation.refused is not None:
        data["refused"] = operation.refused
    batch.emit(job, held.seq + 1, held.owner, events.ASKED, encode(data))
    batch.connection.run(ADVANCE, job=job, seq_=held.seq + 1, updated_at=batch.now)
    return Asked(operation.token, None, False)


def answer(batch: Batch, operation: Answer) -> None:
    job = _job_of(batch, operation.token)
    row = batch.connection.one(HOLD_JOB, job=job)
    question = batch.connection.one(READ_STATE, token=operation.token)
    if row is None or question is None:
        raise _unknown()
    owner, task, queue, priority, status, attempt, seq = row
    name, occurrence, key, prompt, given, expires_at = question
    if given is not None:
        if fingerprint(decode(given)) == fingerprint(decode(operation.value)):
            return
        raise AlreadyAnswered("this question has been answered, and otherwise: an answer cannot be taken back")
    if Status(status).finished:
        raise IllegalTransition("the job has ended: nobody waits for this answer any more")
    if expires_at is not None and expires_at <= batch.now:
        raise IllegalTransition("the time to answer is over, and the job goes on without")
    batch.connection.run(SET_ANSWER, token_=operation.token, answer=operation.value, answered_at=batch.now)
    replace_step(batch, Execution(job, attempt), KeptStep(name, occurrence, key, operation.value), {})
    batch.emit(job, seq + 1, owner, events.ANSWERED, encode({"prompt": prompt}))
    batch.connection.run(ADVANCE, job=job, seq_=seq + 1, updated_at=batch.now)
    wake(batch, job, owner, task, queue, priority)


def await_answers(batch: Batch, tokens: Sequence[str]) -> tuple[bool, int | None]:
    """Whether none of these questions of a job that is about to be parked is settled, and when the first will be."""
    rows = batch.connection.among(READ_OPEN, tokens) if tokens else []
    ends = [expires_at for _, expires_at in rows if expires_at is not None]
    settled = any(answered_at is not None for answered_at, _ in rows) or any(end <= batch.now for end in ends)
    return not settled and len(rows) == len(tokens), min(ends, default=None)


def _job_of(batch: Batch, token: str) -> str:
    row = batch.connection.one(READ_JOB, token=token)
    if row is None:
        raise _unknown()
    return str(row[0])


def _unknown() -> QuestionNotFound:
    return QuestionNotFound("there is no question with this token")


_same = (
    questions.c.job_id == bindparam("job"),
    questions.c.name == bindparam("name"),
    questions.c.occurrence == bindparam("occurrence"),
)
READ_ASKED = Statement(
    select(questions.c.key, questions.c.token, questions.c.answer, questions.c.expires_at).where(*_same)
)
FORGET = Statement(delete(questions).where(*_same))
FORGET_UNANSWERED = Statement(
    delete(questions).where(questions.c.job_id == bindparam("job"), questions.c.answered_at.is_(None))
)
INSERT = Statement(
    insert_all(questions, "token", "job_id", "name", "occurrence", "key", "prompt", "shape", "asked_at", "expires_at")
)
READ_JOB = Statement(select(questions.c.job_id).where(questions.c.token == bindparam("token")))
HOLD_JOB = Statement(
    select(jobs.c.owner, jobs.c.task, jobs.c.queue, jobs.c.priority, jobs.c.status, jobs.c.attempt, jobs.c.seq)
    .where(jobs.c.id == bindparam("job"))
    .with_for_update()
)
READ_STATE = Statement(
    select(
        questions.c.name,
        questions.c.occurrence,
        questions.c.key,
        questions.c.prompt,
        questions.c.answer,
        questions.c.expires_at,
    ).where(questions.c.token == bindparam("token"))
)
SET_ANSWER = Statement(
    update(questions)
    .where(questions.c.token == bindparam("token_"))
    .values(answer=bindparam("answer"), answered_at=bindparam("answered_at"))
)
READ_OPEN = Family(
    lambda among: select(questions.c.answered_at, questions.c.expires_at).where(among(questions.c.token))
)
