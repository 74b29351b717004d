"""Which model is called, and where: an endpoint of the user's, or the tiny one on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

OPENAI_URL = "https://api.openai.com/v1"

DEFAULT_MODEL = "gpt-4.1-mini"
"""Asked for when ``BACKBURNER_MODEL`` is not set; many local servers answer under any name."""


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """An OpenAI-compatible endpoint and a model behind it.

    ``base_url`` ends in ``/v1`` (``None``: OpenAI's own). ``kind`` is ``"chat"`` for models that follow
    instructions and ``"completion"`` for base models, which only go on with a text (``/v1/completions``).
    ``method`` is the label that an application puts beside what this model wrote. ``timeout`` is in seconds
    and limits the silence between two pieces of an answer, not the answer as a whole. ``prompt_limit`` is
    the number of characters that a base model can read: of a longer prompt the end is sent, because that
    is what the model goes on from. ``extra_body`` goes into every request (sampling parameters that only
    this server knows).
    """

    base_url: str | None
    api_key: str | None = field(repr=False)
    model: str
    kind: Literal["chat", "completion"] = "chat"
    method: str = "model"
    timeout: float = 60.0
    prompt_limit: int | None = None
    extra_body: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def url(self) -> str:
        """The endpoint's address, whether it was set or is OpenAI's own."""
        return self.base_url or OPENAI_URL

    @property
    def place(self) -> str:
        """The endpoint's address as a person may see it: without credentials or a query."""
        parts = urlsplit(self.url)
        host = (parts.netloc.rpartition("@")[2]) or parts.netloc
        return f"{parts.scheme}://{host}{parts.path}".rstrip("/")


def resolve_model(model: str | None, base_url: str | None, api_key: str | None) -> ModelSettings | None:
    """The endpoint that ``BACKBURNER_MODEL``, ``OPENAI_BASE_URL`` and ``OPENAI_API_KEY`` describe.

    ``None`` when there is neither an address nor a key: the caller may then start the local model. An empty
    value counts as not set. An address without a key is a server that asks for none (Ollama, llama.cpp).
    """
    model, base_url, api_key = (value.strip() if value else None for value in (model, base_url, api_key))
    if not base_url and not api_key:
        return None
    return ModelSettings(base_url=base_url or None, api_key=api_key or None, model=model or DEFAULT_MODEL)
