"""What ``run.llm`` is: model calls that stream their text, are kept as steps, and fail with a sentence."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from backburner.domain.errors import ModelAnswerInvalid, ModelRefused
from backburner.llm.dialect import Request
from backburner.llm.exchange import Answer, Exchange, Jitter, Sleep
from backburner.llm.pool import ClientPool
from backburner.llm.settings import ModelSettings, resolve_model
from backburner.llm.unmetered import Unmetered
from backburner.ports import Journal, Meter, Usage

__all__ = ["ClientPool", "Llm", "ModelSettings", "resolve_model"]

T = TypeVar("T")
Message = Mapping[str, Any]


class Llm:
    """Calls to an OpenAI-compatible model inside a run.

    Each call is a step: once its answer is on disk a retry of the job returns it and the model is not paid
    again. A call without a ``name`` is named by a hash of its request, so two equal calls in a run are two
    occurrences of one step. Tokens are recorded with the step.

    Every method raises ``ModelRefused`` (the job fails; the message says what to set),
    ``ModelUnavailable`` (the job is tried again, after what the endpoint asked for), or ``BudgetExceeded``.
    """

    def __init__(
        self,
        journal: Journal,
        settings: ModelSettings,
        client_pool: ClientPool,
        meter: Meter | None = None,
        *,
        sleep: Sleep = asyncio.sleep,
        jitter: Jitter = random.uniform,
    ) -> None:
        self._journal = journal
        self._settings = settings
        self._exchange = Exchange(client_pool, settings, meter or Unmetered(), sleep=sleep, jitter=jitter)

    @property
    def model(self) -> str:
        """The model that is asked when a call names none."""
        return self._settings.model

    @property
    def method(self) -> str:
        """The label for what this model wrote: ``"model"``, or ``"local-model"`` without a key."""
        return self._settings.method

    async def text(
        self,
        prompt: str,
        *,
        system: str | None = None,
        name: str | None = None,
        model: str | None = None,
        channel: str | None = "main",
        max_tokens: int | None = None,
        temperature: float | None = None,
        stop: str | list[str] | None = None,
    ) -> str:
        """Ask for text; it streams to ``channel`` as it is written (``None``: silently) and is returned."""
        return await self.chat(
            _messages(system, prompt),
            name=name,
            model=model,
            channel=channel,
            max_tokens=max_tokens,
            temperature=temperature,
            stop=stop,
        )

    async def chat(
        self,
        messages: Sequence[Message],
        *,
        name: str | None = None,
        model: str | None = None,
        channel: str | None = "main",
        max_tokens: int | None = None,
        temperature: float | None = None,
        stop: str | list[str] | None = None,
    ) -> str:
        """Like ``text``, with the messages of a conversation (``{"role": …, "content": …}``)."""
        request = self._request(
            model=model, messages=list(messages), max_tokens=max_tokens, temperature=temperature, stop=stop
        )

        async def deliver(piece: str) -> None:
            await self._journal.text(piece, channel=channel or "main")

        async def make() -> tuple[str, Usage | None]:
            answer = await self._exchange.ask(request, deliver if channel is not None else None)
            return answer.text, answer.usage

        text: str = await self._journal.keep(name or _hash_name(request), request, make)
        return text

    async def json(
        self,
        prompt: str,
        schema: type[T],
        *,
        system: str | None = None,
        name: str | None = None,
        model: str | None = None,
        max_tokens: int | None = None,
    ) -> T:
        """Ask for a value of a type (a pydantic model, or what ``TypeAdapter`` takes); streams nothing.

        An answer that does not fit is asked for once more, with what was wrong; then it is
        ``ModelAnswerInvalid``. The local model cannot do this: ``ModelRefused``.
        """
        # pydantic takes a moment to import, and a run that asks for text alone has no need of it.
        from backburner.llm.structured import Misfit, Shape

        if self._settings.kind == "completion":
            raise ModelRefused(
                f"{self._settings.model} only goes on with a text and cannot answer in JSON; for a model "
                "that follows instructions set OPENAI_API_KEY, or OPENAI_BASE_URL and BACKBURNER_MODEL",
                status=502,
            )
        shape = Shape(schema)
        request = self._request(
            model=model,
            messages=_messages(system, prompt),
            max_tokens=max_tokens,
            schema=shape.schema,
            schema_name=shape.name,
        )

        async def make() -> tuple[Any, Usage | None]:
            first = await self._exchange.ask(request)
            try:
                return shape.read(first.text), first.usage
            except Misfit as misfit:
                again = {**request, "messages": request["messages"] + _correction(first, misfit)}
            second = await self._exchange.ask(again, stay=True)
            try:
                return shape.read(second.text), _sum(first.usage, second.usage)
            except Misfit as misfit:
                raise ModelAnswerInvalid(_twice_wrong(request["model"], second, misfit)) from None

        return shape.value(await self._journal.keep(name or _hash_name(request), request, make))

    def _request(self, *, model: str | None, **parts: Any) -> Request:
        given = {key: value for key, value in parts.items() if value is not None}
        return {"model": model or self._settings.model, **given}


def _messages(system: str | None, prompt: str) -> list[Message]:
    before = [{"role": "system", "content": system}] if system else []
    return [*before, {"role": "user", "content": prompt}]


def _hash_name(request: Request) -> str:
    canonical = json.dumps(request, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return "llm:" + hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _correction(answer: Answer, misfit: Exception) -> list[Message]:
    return [
        {"role": "assistant", "content": answer.text},
        {"role": "user", "content": f"That answer cannot be used: {misfit}. Send the corrected JSON alone."},
    ]


def _twice_wrong(model: str, answer: Answer, misfit: Exception) -> str:
    remedy = "raise max_tokens, it was cut off" if answer.cut else "ask for a simpler shape or set another model"
    return f"{model} was asked twice for JSON and its answer still does not fit: {misfit} ({remedy})"


def _sum(first: Usage | None, second: Usage | None) -> Usage | None:
    if first is None or second is None:
        return first or second
    return first + second
