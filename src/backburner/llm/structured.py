"""Answers in JSON: the schema an endpoint is given, and reading what a model makes of it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from backburner.domain.errors import ConfigurationError

T = TypeVar("T")

THINKING = re.compile(r"^\s*<think>.*?</think>", re.DOTALL)
FENCE = re.compile(r"```(?:json)?\s*\n(.*?)\n?\s*```", re.DOTALL | re.IGNORECASE)
WRAPPED = "answer"
PROBLEMS_AT_MOST = 5


class Misfit(ValueError):
    """The model's text is not JSON, or not of the shape; the message says where, for the model to read."""


class Shape(Generic[T]):
    """A type that an answer must have, as JSON schema for the endpoint and as validator for what it says."""

    def __init__(self, of: type[T]) -> None:
        try:
            self._adapter: TypeAdapter[T] = TypeAdapter(of)
            schema = self._adapter.json_schema()
        except PydanticUserError as error:
            raise ConfigurationError(f"a model cannot be asked for {of!r}: {error.message}") from error
        # An endpoint answers with an object, whatever was asked for; so a list or a number travels in one.
        self._wrapped = _root(schema).get("type") != "object"
        self.schema: dict[str, Any] = strict(_wrap(schema) if self._wrapped else schema)
        self.name = re.sub(r"[^a-zA-Z0-9_-]", "_", getattr(of, "__name__", "answer"))[:64]

    def read(self, text: str) -> Any:
        """The JSON value in a model's text, known to fit; ``Misfit`` says why it does not."""
        data = _parse(text)
        if self._wrapped and isinstance(data, dict) and set(data) == {WRAPPED}:
            data = data[WRAPPED]
        try:
            self.value(data)
        except ValidationError as error:
            raise Misfit(_problems(error)) from None
        return data

    def value(self, data: Any) -> T:
        """The Python value of JSON that ``read`` has let through."""
        return self._adapter.validate_json(json.dumps(data))


def strict(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON schema as strict structured output wants it.

    Every object is closed and requires all its properties, a root is no reference, and defaults are gone
    (OpenAI, "Structured outputs", supported schemas).
    """
    root = _root(schema)
    closed: dict[str, Any] = _closed({**root, "$defs": schema["$defs"]} if "$defs" in schema else root)
    return closed


def _root(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A recursive model's schema is a reference to its own definition."""
    if "$ref" not in schema:
        return dict(schema)
    return dict(schema["$defs"][schema["$ref"].removeprefix("#/$defs/")])


def _wrap(schema: Mapping[str, Any]) -> dict[str, Any]:
    inner = {key: value for key, value in schema.items() if key != "$defs"}
    wrapper: dict[str, Any] = {"type": "object", "properties": {WRAPPED: inner}}
    return {**wrapper, "$defs": schema["$defs"]} if "$defs" in schema else wrapper


def _closed(node: Any) -> Any:
    if isinstance(node, list):
        return [_closed(item) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return {"$ref": node["$ref"]}
    closed = {key: _closed(value) for key, value in node.items() if key != "default"}
    # Under these two, keys are names of the user's; a property may well be called "default".
    for names in ("properties", "$defs"):
        if isinstance(node.get(names), dict):
            closed[names] = {name: _closed(value) for name, value in node[names].items()}
    if isinstance(node.get("properties"), dict):
        closed["required"] = list(node["properties"])
        closed.setdefault("additionalProperties", False)
    return closed


def _parse(text: str) -> Any:
    text = THINKING.sub("", text).strip()
    fenced = FENCE.search(text)
    # A fence inside a string of proper JSON is content, so the text as it stands goes first.
    candidates = [text, *([fenced[1]] if fenced else []), text[text.find("{") : text.rfind("}") + 1]]
    problem = "it is empty"
    for candidate in filter(None, candidates):
        try:
            return json.loads(candidate, strict=False)
        except ValueError as error:
            problem = str(error) if candidate is candidates[0] else problem
    raise Misfit(f"it is not JSON: {problem}")


def _problems(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    told = [f"{'.'.join(map(str, one['loc'])) or 'the whole'}: {one['msg']}" for one in found]
    more = [f"and {len(told) - PROBLEMS_AT_MOST} more"] if len(told) > PROBLEMS_AT_MOST else []
    return "; ".join(told[:PROBLEMS_AT_MOST] + more)
