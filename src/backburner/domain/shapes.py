"""Whether a JSON value has the shape that a JSON Schema describes (draft 2020-12, the part that describes answers)."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time
from typing import Any

DEEPEST = 50
MOST = 20
MOST_FITS = 10_000
WHOLE = "answer"
"""The name of the value itself, where no field of it is to blame."""

KINDS: Mapping[str, Callable[[Any], bool]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: _is_number(value) and float(value).is_integer(),
    "number": lambda value: _is_number(value),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}
FORMATS: Mapping[str, Callable[[str], object]] = {
    "date": date.fromisoformat,
    "date-time": datetime.fromisoformat,
    "time": time.fromisoformat,
    "uuid": uuid.UUID,
}


def misfits(value: Any, schema: Any) -> dict[str, str]:
    """What does not fit: field (``a.0.b``) → what is wrong with it; empty when all fits."""
    found: dict[str, str] = {}
    for path, message in Check(schema).misfits(value, schema, ()):
        found.setdefault(".".join(path) or WHOLE, message)
        if len(found) == MOST:
            break
    return found


Misfit = tuple[tuple[str, ...], str]


class Check:
    def __init__(self, root: Any) -> None:
        self._root = root

    def misfits(self, value: Any, schema: Any, path: tuple[str, ...], depth: int = 0) -> Iterator[Misfit]:
        if schema is False:
            yield path, "must not be there"
        if not isinstance(schema, dict):
            return
        if depth > DEEPEST:
            yield path, f"is nested more than {DEEPEST} levels deep"
            return
        if "$ref" in schema:
            yield from self.misfits(value, self._resolve(schema["$ref"]), path, depth + 1)
        kinds = schema.get("type", ())
        kinds = [kinds] if isinstance(kinds, str) else kinds
        if kinds and not any(kind in KINDS and KINDS[kind](value) for kind in kinds):
            yield path, f"must be {' or '.join(map(_article, kinds))}"
            return
        if "const" in schema and not _same(value, schema["const"]):
            yield path, f"must be {schema['const']!r}"
        if "enum" in schema and not any(_same(value, each) for each in schema["enum"]):
            yield path, f"must be one of {', '.join(map(repr, schema['enum']))}"
        yield from self._combined(value, schema, path, depth + 1)
        if isinstance(value, dict):
            yield from self._object(value, schema, path, depth + 1)
        elif isinstance(value, list):
            yield from self._array(value, schema, path, depth + 1)
        elif isinstance(value, str):
            yield from ((path, message) for message in _string(value, schema))
        elif _is_number(value):
            yield from ((path, message) for message in _number(value, schema))

    def _resolve(self, reference: str) -> Any:
        found = self._root
        for part in reference.removeprefix("#").split("/")[1:]:
            found = found.get(part.replace("~1", "/").replace("~0", "~"), True) if isinstance(found, dict) else True
        return found

    def _combined(self, value: Any, schema: Mapping[str, Any], path: tuple[str, ...], depth: int) -> Iterator[Misfit]:
        for each in schema.get("allOf", ()):
            yield from self.misfits(value, each, path, depth)
        for word, most in (("anyOf", MOST_FITS), ("oneOf", 1)):
            if word not in schema:
                continue
            tried = [list(self.misfits(value, each, path, depth)) for each in schema[word]]
            if not 1 <= sum(not wrong for wrong in tried) <= most:
                deepest = max((wrong for wrong in tried if wrong), key=lambda wrong: len(wrong[0][0]), default=None)
                if deepest is not None and len(deepest[0][0]) > len(path):
                    yield from deepest
                else:
                    yield path, " or ".join(dict.fromkeys(wrong[0][1] for wrong in tried if wrong)) or "is ambiguous"
        if "not" in schema and not list(self.misfits(value, schema["not"], path, depth)):
            yield path, "is excluded"

    def _object(
        self, value: dict[str, Any], schema: Mapping[str, Any], path: tuple[str, ...], depth: int
    ) -> Iterator[Misfit]:
        known = schema.get("properties", {})
        for name in schema.get("required", ()):
            if name not in value:
                yield (*path, name), "is missing"
        for name, inner in value.items():
            if name in known:
                yield from self.misfits(inner, known[name], (*path, name), depth)
            elif schema.get("additionalProperties") is False:
                yield (*path, name), "is not a field of the answer"
            else:
                yield from self.misfits(inner, schema.get("additionalProperties", True), (*path, name), depth)
        yield from ((path, message) for message in _size(len(value), schema, "Properties", "fields"))

    def _array(
        self, value: list[Any], schema: Mapping[str, Any], path: tuple[str, ...], depth: int
    ) -> Iterator[Misfit]:
        first = schema.get("prefixItems", ())
        for number, inner in enumerate(value):
            each = first[number] if number < len(first) else schema.get("items", True)
            yield from self.misfits(inner, each, (*path, str(number)), depth)
        if schema.get("uniqueItems") and any(
            _same(a, b) for number, a in enumerate(value[:1000]) for b in value[number + 1 : 1000]
        ):
            yield path, "must not hold the same thing twice"
        yield from ((path, message) for message in _size(len(value), schema, "Items", "items"))


def _string(value: str, schema: Mapping[str, Any]) -> Iterator[str]:
    yield from _size(len(value), schema, "Length", "characters")
    if "pattern" in schema and re.search(schema["pattern"], value) is None:
        yield f"must match {schema['pattern']}"
    if schema.get("format") in FORMATS:
        try:
            FORMATS[schema["format"]](value)
        except ValueError:
            yield f"must be a {schema['format']}"


def _number(value: float, schema: Mapping[str, Any]) -> Iterator[str]:
    if value < schema.get("minimum", value):
        yield f"must be at least {schema['minimum']}"
    if value > schema.get("maximum", value):
        yield f"must be at most {schema['maximum']}"
    if "exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"]:
        yield f"must be more than {schema['exclusiveMinimum']}"
    if "exclusiveMaximum" in schema and value >= schema["exclusiveMaximum"]:
        yield f"must be less than {schema['exclusiveMaximum']}"
    if schema.get("multipleOf") and not (value / schema["multipleOf"]).is_integer():
        yield f"must be a multiple of {schema['multipleOf']}"


def _size(size: int, schema: Mapping[str, Any], what: str, plural: str) -> Iterator[str]:
    if size < schema.get(f"min{what}", size):
        yield f"must have at least {schema[f'min{what}']} {plural}"
    if size > schema.get(f"max{what}", size):
        yield f"must have at most {schema[f'max{what}']} {plural}"


def _same(one: Any, other: Any) -> bool:
    """In JSON ``true`` is not 1."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _article(kind: str) -> str:
    return kind if kind == "null" else f"an {kind}" if kind[0] in "aio" else f"a {kind}"
