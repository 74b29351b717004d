"""The questions that jobs have asked, to be read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, bindparam, select

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
    """By the id of its job, the first that has no answer and is the owner's to answer."""
    found: dict[str, Question] = {}
    for row in connection.among(READ_WAITING, ids) if ids else []:
        question = _question(row)
        if not question.shared:
            found.setdefault(question.job, question)
    return found


def _question(row: Row) -> Question:
    token, job, prompt, shape, asked_at, expires_at, answered_at, status, everyone = row
    is_open = answered_at is None and not Status(status).finished
    return Question(token, job, prompt, decode(shape), asked_at, expires_at, answered_at, is_open, bool(everyone))


QUESTION = (
    questions.c.token,
    jobs.c.id,
    questions.c.prompt,
    questions.c.shape,
    questions.c.asked_at,
    questions.c.expires_at,
    questions.c.answered_at,
    jobs.c.status,
    tables.shares.c.everyone,
)


def _questions(asked_by: Any) -> Select[Any]:
    theirs = jobs.join(questions, questions.c.job_id == asked_by)
    return select(*QUESTION).select_from(theirs.outerjoin(tables.shares, tables.shares.c.job_id == jobs.c.id))


_first = (questions.c.asked_at, questions.c.token)
READ_ONE = Statement(_questions(jobs.c.id).where(questions.c.token == bindparam("token")))
READ_ALL = Statement(_questions(tables.works_at).where(jobs.c.id == bindparam("job")).order_by(*_first))
READ_WAITING = Family(
    lambda among: (
        _questions(tables.works_at).where(among(jobs.c.id), questions.c.answered_at.is_(None)).order_by(*_first)
    )
)
