"""`run.llm` where there is no event loop."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from .llm.client import Llm

T = TypeVar("T")
Wait = Callable[[Coroutine[Any, Any, Any]], Any]


class SyncLlm:
    """The methods of `backburner.llm.client.Llm`, which wait."""

    def __init__(self, llm: Llm, wait: Wait) -> None:
        self._llm = llm
        self._wait = wait

    @property
    def model(self) -> str:
        """The model that is asked when a call names none."""
        return self._llm.model

    @property
    def method(self) -> str:
        """The label for what this model wrote."""
        return self._llm.method

    def text(
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
        answer: str = self._wait(
            self._llm.text(
                prompt,
                system=system,
                name=name,
                model=model,
                channel=channel,
                max_tokens=max_tokens,
                temperature=temperature,
                stop=stop,
            )
        )
        return answer

    def chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        name: str | None = None,
        model: str | None = None,
        channel: str | None = "main",
        max_tokens: int | None = None,
        temperature: float | None = None,
        stop: str | list[str] | None = None,
    ) -> str:
        """Like ``text``, with the messages of a conversation (``{"role": …, "content": …}``)."""
        answer: str = self._wait(
            self._llm.chat(
                messages,
                name=name,
                model=model,
                channel=channel,
                max_tokens=max_tokens,
                temperature=temperature,
                stop=stop,
            )
        )
        return answer

    def json(
        self,
        prompt: str,
        schema: type[T],
        *,
        system: str | None = None,
        name: str | None = None,
        model: str | None = None,
        max_tokens: int | None = None,
    ) -> T:
        """Ask for a value of a type; streams nothing."""
        answer: T = self._wait(
            self._llm.json(prompt, schema, system=system, name=name, model=model, max_tokens=max_tokens)
        )
        return answer
