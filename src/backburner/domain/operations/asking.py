"""Questions to people."""

from __future__ import annotations

from dataclasses import dataclass

from ..notifications import Notice
from ..questions import Question
from .base import Execution, Operation, Query


@dataclass(frozen=True, slots=True)
class Ask(Operation["Asked"]):
    """Put a question on disk that will be a step of the job. One that was asked before keeps its token and its time.

    ``schema`` is JSON text, ``timeout`` in seconds. ``refused``: what was wrong with an answer that is of no use; it is
    forgotten, and the question put anew.
    """

    execution: Execution
    name: str
    occurrence: int
    key: str
    token: str
    prompt: str
    schema: str
    timeout: float | None
    notice: Notice | None = None
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """``answer`` is JSON text, None while there is none."""

    token: str
    answer: str | None
    expired: bool


@dataclass(frozen=True, slots=True)
class Answer(Operation[None]):
    """Keep the answer to a question as the step that it is, and let the job go on.

    ``value`` is JSON text that fits the question's schema. The same answer again changes nothing. Raises
    `QuestionNotFound`, `AlreadyAnswered`, `IllegalTransition`.
    """

    token: str
    value: str


@dataclass(frozen=True, slots=True)
class GetQuestion(Query["Question | None"]):
    """By its token."""

    token: str


@dataclass(frozen=True, slots=True)
class JobQuestions(Query[tuple[Question, ...]]):
    """All that a job has asked, the first of it first."""

    job: str
