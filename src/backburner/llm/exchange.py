"""One request to a model endpoint, with its waits and second tries, up to a whole answer."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from backburner.domain.budgets import DEFAULT_OUTPUT, estimate_tokens
from backburner.domain.errors import ModelRefused, ModelUnavailable
from backburner.domain.operations import Remaining
from backburner.llm.dialect import Dialect, Request, chat_payload, completion_payload, plain_text
from backburner.llm.faults import EndpointFault, ended_early, fault_of, filtered, web_page
from backburner.llm.pool import ClientPool
from backburner.llm.rates import remaining_in
from backburner.llm.settings import ModelSettings
from backburner.ports import Meter, Usage

TRIES = 4
LONGEST_WAIT = 30.0
FIRST_WAIT = 1.0
MOST_TIMES = 10
"""That a call waits for everybody's pause, which costs its job no try; after so many it does."""

Deliver = Callable[[str], Awaitable[None]]
Sleep = Callable[[float], Awaitable[Any]]
Jitter = Callable[[float, float], float]


@dataclass(slots=True)
class Answer:
    """What came back. ``usage`` is ``None`` when the endpoint does not count; ``cut`` by the length limit."""

    pieces: list[str] = field(default_factory=list)
    usage: Usage | None = None
    finish: str | None = None
    remaining: Remaining | None = None

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def cut(self) -> bool:
        return self.finish == "length"


class Exchange:
    """Asks one endpoint. Waits are ours, not the ``openai`` client's, so that they obey one policy.

    What passes (429, 5xx, no connection, a timeout) is tried again in place, ``TRIES`` times in all, after
    an exponential backoff with full jitter or after the ``Retry-After`` that the endpoint names; a longer
    wait than ``LONGEST_WAIT`` seconds is left to the job, which frees its slot meanwhile. Where the model has a
    budget, such a wait is everybody's: the model is paused, and the next try asks the ``meter`` as every call does.
    An endpoint that puts a call off ``MOST_TIMES`` times costs the job a try all the same, so that it comes to an end.
    ``sleep`` and ``jitter`` are replaced in tests.
    """

    def __init__(
        self,
        pool: ClientPool,
        settings: ModelSettings,
        meter: Meter,
        *,
        sleep: Sleep = asyncio.sleep,
        jitter: Jitter = random.uniform,
    ) -> None:
        self._pool = pool
        self._settings = settings
        self._meter = meter
        self._sleep = sleep
        self._jitter = jitter

    async def ask(self, request: Request, deliver: Deliver | None = None, *, stay: bool = False) -> Answer:
        """The endpoint's whole answer; each piece goes to ``deliver`` as it arrives.

        ``stay``: something was paid for that is not kept yet, so that the run must not be unwound for a wait.

        ``ModelRefused`` for what trying again cannot help, ``ModelUnavailable`` for the rest: also at once
        when the stream breaks after a piece was delivered, because only a new attempt of the job can void it.
        """
        model = request["model"]
        dialect = self._pool.dialect(self._settings, model)
        learned: Dialect | None = None
        tries = 0
        asked = _asked(request)
        while True:
            await self._meter.reserve(model, asked, request.get("max_tokens", DEFAULT_OUTPUT), stay)
            answer = Answer()
            try:
                await self._metered(request, dialect, answer, deliver, asked)
            except EndpointFault as fault:
                if lesser := dialect.without(fault, request):
                    # "Invalid schema" is about this schema; it says nothing about the next one.
                    learned = learned if "invalid schema" in fault.said.lower() else lesser
                    dialect = lesser
                    continue
                tries += 1
                sentence = fault.sentence
                wait = self._wait_after(fault, model, tries, spoken=deliver is not None and bool(answer.pieces))
            else:
                if learned:
                    self._pool.remember(self._settings, model, learned)
                return answer
            if wait is not None:
                await self._sleep(wait)
            elif (times := await self._meter.turned_away()) % MOST_TIMES == 0:
                raise ModelUnavailable(f"{sentence}; it has put this call off {times} times") from None

    async def _metered(
        self, request: Request, dialect: Dialect, answer: Answer, deliver: Deliver | None, asked: int
    ) -> None:
        """Whatever comes of it, the meter is told what it took; an answer that was cut off is counted as well."""
        model = request["model"]
        remaining: Remaining | None = None
        try:
            await self._stream(request, dialect, answer, deliver)
        except EndpointFault as fault:
            remaining = fault.remaining
            raise
        finally:
            if answer.usage is not None:
                took = answer.usage.input_tokens, answer.usage.output_tokens
            else:
                took = (asked, estimate_tokens(answer.text)) if answer.pieces else (0, 0)
            self._meter.settle(model, *took, remaining or answer.remaining)

    def _wait_after(self, fault: EndpointFault, model: str, tries: int, *, spoken: bool) -> float | None:
        """Seconds to wait before the next try in place (None: the meter knows), or the error that ends the call."""
        if not fault.passing:
            raise ModelRefused(fault.sentence, status=502) from None
        named = fault.retry_after
        shared = named is not None and self._meter.pause(model, named)
        if spoken or tries >= TRIES or (named is not None and named > LONGEST_WAIT and not shared):
            raise ModelUnavailable(fault.sentence, after=named) from None
        if shared:
            return None
        if named is None:
            return self._jitter(0.0, min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** (tries - 1)))
        # Ten jobs that were told the same second should not all come back in it.
        return min(LONGEST_WAIT, named + self._jitter(0.0, 0.25 * named))

    async def _stream(self, request: Request, dialect: Dialect, answer: Answer, deliver: Deliver | None) -> None:
        async with aclosing(self._chunks(request, dialect, answer)) as chunks:
            async for chunk in chunks:
                if usage := getattr(chunk, "usage", None):
                    tokens = (usage.prompt_tokens or 0, usage.completion_tokens or 0)
                    cost = self._meter.cost(request["model"], *tokens)
                    answer.usage = Usage(request["model"], *tokens, cost)
                for choice in chunk.choices[:1]:
                    answer.finish = choice.finish_reason or answer.finish
                    if piece := self._piece(choice):
                        answer.pieces.append(piece)
                        if deliver:
                            await deliver(piece)
        if answer.finish == "content_filter":
            raise filtered(self._settings)
        if answer.finish is None:
            raise ended_early(self._settings)

    async def _chunks(self, request: Request, dialect: Dialect, answer: Answer) -> AsyncGenerator[Any, None]:
        """What the endpoint sends, with its errors turned into faults; errors of the consumer pass by."""
        client: Any = await self._pool.client(self._settings)
        try:
            if self._settings.kind == "chat":
                create, payload = client.chat.completions.create, chat_payload(request, dialect)
            else:
                create = client.completions.create
                payload = completion_payload(request, dialect, self._settings.prompt_limit)
            async with await create(**payload, extra_body=self._settings.extra_body) as stream:
                answer.remaining = remaining_in(stream.response.headers)
                if "text/html" in stream.response.headers.get("content-type", ""):
                    raise web_page(self._settings)
                async for chunk in stream:
                    yield chunk
        except EndpointFault:
            raise
        except Exception as error:
            fault = fault_of(error, self._settings)
            if fault is None:
                raise
            raise fault from None

    def _piece(self, choice: Any) -> str:
        if self._settings.kind == "completion":
            return choice.text or ""
        return (choice.delta.content if choice.delta else None) or ""


def _asked(request: Request) -> int:
    """About how many tokens the request has; pictures are not counted."""
    texts = [plain_text(message.get("content")) for message in request["messages"]]
    if "schema" in request:
        texts.append(json.dumps(request["schema"]))
    return sum(map(estimate_tokens, texts))
