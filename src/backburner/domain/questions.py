"""Questions that a job asks a person, and the answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .errors import IllegalTransition, InvalidArguments, QuestionNotFound


@dataclass(frozen=True, slots=True)
class Question:
    """``schema`` is the JSON Schema of the answer; ``token`` lets anyone who has it answer this question, once.

    Times are microseconds since the epoch, UTC. ``open``: whether somebody waits for the answer. ``shared``: it decides
    for the jobs of all owners that share the work, so that being one of them gives no right to answer; the token does.
    """

    token: str
    job: str
    prompt: str
    schema: Any
    asked_at: int
    expires_at: int | None
    answered_at: int | None
    open: bool = True
    shared: bool = False


def choose(questions: Sequence[Question], job: str, token: str | None) -> Question:
    """The question of a job that an answer is for: the one that the token names, or the only open one, or the last.

    Raises `IllegalTransition`, `InvalidArguments`, `QuestionNotFound`.
    """
    chosen = _choose(questions, job, token)
    if not chosen.open and chosen.answered_at is None:
        raise IllegalTransition("the job has ended: nobody waits for this answer any more")
    return chosen


def _choose(questions: Sequence[Question], job: str, token: str | None) -> Question:
    if not questions:
        raise IllegalTransition(f"job {job} has asked nothing")
    if token is not None:
        for question in questions:
            if question.token == token:
                return question
        raise QuestionNotFound(f"job {job} has not asked with this token")
    if any(question.shared for question in questions):
        say = "is needed: the answer decides for everyone who shares the work"
        raise InvalidArguments(f"the token {say}", {"token": say})
    waiting = [question for question in questions if question.open]
    if len(waiting) > 1:
        say = "is needed: the job has asked more than one thing"
        raise InvalidArguments(f"the token {say}", {"token": say})
    return waiting[0] if waiting else questions[-1]
