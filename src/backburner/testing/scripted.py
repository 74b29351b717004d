"""`run.llm` that says what a test tells it to, without a server."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..domain.errors import ConfigurationError
from ..domain.json import encode
from ..llm.client import Llm
from ..llm.dialect import Request
from ..llm.exchange import Answer, Deliver
from ..llm.settings import ModelSettings
from ..ports import Journal, Usage
from .model_answers import pieces_of

Reply = str | list[str] | Mapping[str, Any] | BaseException
Script = Reply | Callable[[str], Reply]


class ScriptedLlm(Llm):
    """The real client up to where it would call an endpoint: calls are steps, text streams, JSON is checked."""

    def __init__(self, journal: Journal, script: Sequence[Script]) -> None:
        self._journal = journal
        self._settings = ModelSettings(base_url=None, api_key=None, model="fake-model")
        self.prompts: list[str] = []
        self._script = deque(script)
        self._exchange: Any = self

    async def ask(self, request: Request, deliver: Deliver | None = None, **more: Any) -> Answer:
        """In place of an endpoint."""
        prompt = str(request["messages"][-1]["content"])
        self.prompts.append(prompt)
        pieces = self._next(prompt)
        if deliver is not None:
            for piece in pieces:
                await deliver(piece)
        words = sum(len(str(message["content"]).split()) for message in request["messages"])
        return Answer(pieces, Usage(request["model"], words, len(pieces)), "stop")

    def _next(self, prompt: str) -> list[str]:
        if not self._script:
            raise ConfigurationError('the function asked the model: say what it answers, FakeRun(llm=["…"])')
        script = self._script.popleft() if len(self._script) > 1 else self._script[0]
        reply = script(prompt) if callable(script) else script
        if isinstance(reply, BaseException):
            raise reply
        return pieces_of(encode(reply) if isinstance(reply, Mapping) else reply)
