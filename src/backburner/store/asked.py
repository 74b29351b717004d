"""The questions that jobs have asked, to be read."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam, select

from ..domain.job import Status
from ..domain.json import decode
from ..domain.operations import GetQuestion, JobQuestions
from ..domain.questions import Question
from . import tables
from .connection import Connection, Family, Row, Statement

jobs, questions = tables.jobs, tables.questions


def get_question(connection: Connection, query: GetQuestion) -> Question | None:
    row = connection.one(READ_ONE, token=query.token)
    return None if row is None else _question(row)


def job_questions(connection: Connection, query: JobQuestions) -> tuple[Question, ...]:
    return tuple(_question(row) for row in connection.all(READ_ALL, job=query.job))


def waiting_questions(connection: Connection, ids: Sequence[str]) -> dict[str, Question]:
    """By the id of its job, the first that has no answer."""
    found: dict[str, Question] = {}
    for row in connection.among(READ_WAITING, ids) if ids else []:
        found.setdefault(row[1], _question(row))
    return found


def _question(row: Row) -> Question:
    token, job, prompt, shape, asked_at, expires_at, answered_at, status = row
    is_open = answered_at is None and not Status(status).finished
    return Question(token, job, prompt, decode(shape), asked_at, expires_at, answered_at, is_open)


_questions = select(
    questions.c.token,
    questions.c.job_id,
    questions.c.prompt,
    questions.c.shape,
    questions.c.asked_at,
    questions.c.expires_at,
    questions.c.answered_at,
    jobs.c.status,
).join(jobs, jobs.c.id == questions.c.job_id)
_first = (questions.c.asked_at, questions.c.token)
READ_ONE = Statement(_questions.where(questions.c.token == bindparam("token")))
READ_ALL = Statement(_questions.where(questions.c.job_id == bindparam("job")).order_by(*_first))
READ_WAITING = Family(
    lambda among: _questions.where(among(questions.c.job_id), questions.c.answered_at.is_(None)).order_by(*_first)
)
