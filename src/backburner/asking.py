"""A person's answer as a step of a run."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from enum import Enum
from typing import Any, Final

from . import given
from .domain.errors import AnswerTimeout, ConfigurationError
from .domain.json import decode, encode, fingerprint, well_formed
from .domain.operations import Ask, Asked, Execution, Operation, Parked
from .given import Duration
from .parameters import adapter_of
from .ports import TaskSpec
from .shapes import check_of
from .waiting import Waiting

log = logging.getLogger("backburner.task")

LONGEST_IN_NAME = 100


class Nothing(Enum):
    """No default was given: None is one."""

    NOTHING = 0


NOTHING: Final = Nothing.NOTHING


class Question:
    """What is asked, and the shape of its answer: a type, or a JSON Schema as a mapping."""

    def __init__(self, prompt: str, schema: Any, timeout: Duration | None, owner: str | None) -> None:
        choose = "choose seconds above 0, or None to wait for ever"
        self.timeout = None if timeout is None else given.seconds(given.configuration, "timeout", timeout, choose)
        self.prompt = well_formed(given.text(given.argument, "the prompt", prompt))
        self.owner = owner
        self.name = f"ask {self.prompt[:LONGEST_IN_NAME]}"
        self._adapter: Any
        self._adapter, described = (None, schema) if isinstance(schema, Mapping) else _described(schema)
        self._schema = encode(described, "the schema of a question")
        if self._adapter is None:
            check_of(decode(self._schema))
        self.key = fingerprint([self.prompt, self._schema])

    def operation(self, execution: Execution, path: str, occurrence: int, spec: TaskSpec, args: str) -> Ask:
        notice = spec.notice("asked", self.owner, args, self.prompt)
        return Ask(execution, path, occurrence, self.key, _new_token(), self.prompt, self._schema, self.timeout, notice)

    def revive(self, answer: str) -> Any:
        """Raises `Unfit`."""
        plain = decode(answer)
        if self._adapter is None:
            return plain
        from pydantic import ValidationError

        try:
            return self._adapter.validate_python(plain)
        except ValidationError as error:
            raise Unfit("; ".join(each["msg"] for each in error.errors())) from None


class Unfit(Exception):
    """An answer fits the schema that the web knows, and the type that it stands for refuses it."""


async def ask(
    question: Question,
    write: Callable[[Operation[Any]], Awaitable[Any]],
    operation: Ask,
    waiting: Waiting,
    default: Any,
    kept: str | None,
) -> Any:
    """``kept``: the answer that is known already. Raises `AnswerTimeout` where there is no default."""
    answer = kept
    with waiting.working():
        while True:
            if answer is not None:
                try:
                    return question.revive(answer)
                except Unfit as error:
                    log.warning("an answer to %r is of no use, it is asked again: %s", operation.prompt, error)
                    operation = replace(operation, token=_new_token(), refused=well_formed(str(error)))
            asked: Asked = await write(operation)
            answer = asked.answer
            if answer is None:
                break
        if not asked.expired:
            await waiting.until(_nobody(), Parked("answer", questions=(asked.token,)), 0.0)
    if default is not NOTHING:
        return default
    raise AnswerTimeout(f"nobody has answered {question.prompt[:LONGEST_IN_NAME]!r} in time")


def _new_token() -> str:
    return secrets.token_urlsafe(24)


async def _nobody() -> None:
    """The answer comes to another execution."""
    await asyncio.Event().wait()


def _described(annotation: Any) -> tuple[Any, Any]:
    """What revives an answer of this type, and its JSON Schema."""
    from pydantic import PydanticUserError, TypeAdapter

    try:
        return adapter_of(annotation), TypeAdapter(annotation).json_schema()
    except PydanticUserError as error:
        raise ConfigurationError(f"{annotation!r} cannot be told as a JSON Schema: {error.message}") from None
