"""A person's answer as a step of a run."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from enum import Enum
from typing import Any, Final

from .domain.errors import AnswerTimeout, ConfigurationError
from .domain.json import decode, encode, fingerprint, well_formed
from .domain.operations import Ask, Asked, Execution, Operation, Parked
from .parameters import adapter_of
from .ports import TaskSpec
from .waiting import Waiting

LONGEST_IN_NAME = 100
LONGEST_TIMEOUT = 100 * 366 * 86_400.0


class Nothing(Enum):
    """No default was given: None is one."""

    NOTHING = 0


NOTHING: Final = Nothing.NOTHING


class Question:
    """What is asked, and the shape of its answer: a type, or a JSON Schema as a mapping."""

    def __init__(self, prompt: str, schema: Any, timeout: float | None, owner: str | None) -> None:
        if timeout is not None and not 0 < timeout <= LONGEST_TIMEOUT:
            raise ConfigurationError(f"timeout is {timeout}: choose seconds above 0, or None to wait for ever")
        self.prompt = well_formed(prompt)
        self.timeout = timeout
        self.owner = owner
        self.name = f"ask {self.prompt[:LONGEST_IN_NAME]}"
        self._adapter: Any
        self._adapter, described = (None, schema) if isinstance(schema, Mapping) else _described(schema)
        self._schema = encode(described, "the schema of a question")
        self.key = fingerprint([self.prompt, self._schema])

    def operation(self, execution: Execution, path: str, occurrence: int, spec: TaskSpec, args: str) -> Ask:
        notice = spec.notice("asked", self.owner, args, self.prompt)
        token = secrets.token_urlsafe(24)
        return Ask(execution, path, occurrence, self.key, token, self.prompt, self._schema, self.timeout, notice)

    def revive(self, answer: str) -> Any:
        plain = decode(answer)
        return plain if self._adapter is None else self._adapter.validate_python(plain)


async def ask(
    question: Question,
    write: Callable[[Operation[Any]], Awaitable[Any]],
    operation: Ask,
    waiting: Waiting,
    default: Any,
) -> Any:
    """Raises `AnswerTimeout` where there is no default."""
    with waiting.working():
        asked: Asked = await write(operation)
        if asked.answer is not None:
            return question.revive(asked.answer)
        if not asked.expired:
            await waiting.until(_nobody(), Parked("answer", questions=(asked.token,)), 0.0)
    if default is not NOTHING:
        return default
    raise AnswerTimeout(f"nobody has answered {question.prompt[:LONGEST_IN_NAME]!r} in time")


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
