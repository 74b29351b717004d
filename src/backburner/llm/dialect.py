"""What an endpoint accepts of the OpenAI protocol, learned from what it refuses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from backburner.llm.faults import EndpointFault

Request = Mapping[str, Any]
"""What a call asks for, in our words: ``model``, ``messages``, ``schema``, … It identifies the step."""

FORMAT_WORDS = ("response_format", "json_schema", "json_object", "schema", "grammar")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How far an endpoint follows the protocol.

    ``usage``: it counts the tokens of a stream (``stream_options``). ``shape``: the strongest
    ``response_format`` that it takes; with the weaker two the schema is told to the model in words.
    ``limit``: the name of the length limit (OpenAI's reasoning models refuse ``max_tokens``).
    """

    usage: bool = True
    shape: Literal["json_schema", "json_object", "text"] = "json_schema"
    limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"

    def without(self, fault: EndpointFault, request: Request) -> Dialect | None:
        """A lesser dialect that avoids what the endpoint has just refused; ``None`` if there is none."""
        if fault.status not in (400, 422):
            return None
        said, unexplained = fault.said.lower(), fault.status == 422
        if self.usage and ("stream_options" in said or "include_usage" in said):
            return replace(self, usage=False)
        if self.limit == "max_tokens" and "max_tokens" in request and "max_completion_tokens" in said:
            return replace(self, limit="max_completion_tokens")
        about_shape = unexplained or any(word in said for word in FORMAT_WORDS)
        if "schema" in request and self.shape != "text" and about_shape:
            return replace(self, shape="json_object" if self.shape == "json_schema" else "text")
        if self.usage and unexplained:
            return replace(self, usage=False)
        return None


def chat_payload(request: Request, dialect: Dialect) -> dict[str, Any]:
    """The body of ``POST /v1/chat/completions`` for a request."""
    payload = {"messages": list(request["messages"]), **_common(request, dialect)}
    if "schema" in request:
        name, schema = request["schema_name"], request["schema"]
        if dialect.shape == "json_schema":
            shape = {"name": name, "schema": schema, "strict": True}
            payload["response_format"] = {"type": "json_schema", "json_schema": shape}
        else:
            payload["messages"].insert(0, {"role": "system", "content": _schema_in_words(schema)})
        if dialect.shape == "json_object":
            payload["response_format"] = {"type": "json_object"}
    return payload


def completion_payload(request: Request, dialect: Dialect, prompt_limit: int | None) -> dict[str, Any]:
    """The body of ``POST /v1/completions``: the messages' texts, a blank line between them."""
    prompt = "\n\n".join(plain_text(message["content"]) for message in request["messages"])
    return {"prompt": prompt[-prompt_limit:] if prompt_limit else prompt, **_common(request, dialect)}


def _common(request: Request, dialect: Dialect) -> dict[str, Any]:
    payload: dict[str, Any] = {"model": request["model"], "stream": True}
    payload |= {key: request[key] for key in ("temperature", "stop") if key in request}
    if "max_tokens" in request:
        payload[dialect.limit] = request["max_tokens"]
    if dialect.usage:
        payload["stream_options"] = {"include_usage": True}
    return payload


def _schema_in_words(schema: Mapping[str, Any]) -> str:
    return "Answer with one JSON object and nothing else, no code fence. It must fit this JSON schema:\n" + json.dumps(
        schema, ensure_ascii=False
    )


def plain_text(content: Any) -> str:
    """The words of a message; it may be in parts, some of them pictures, or empty beside a tool's call."""
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content or () if part.get("type") == "text")
