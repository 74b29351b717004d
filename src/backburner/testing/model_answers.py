"""What the fake model says by itself: the same for the same prompt, and fitting for a schema."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from typing import Any

PIECE = 6
WORDS = (
    *(
        "lantern",
        "harbour",
        "winter",
        "letter",
        "slowly",
        "remembers",
        "quiet",
        "river",
        "under",
        "old",
        "stairs",
    ),
    *("keeps", "one", "silver", "key", "while", "rain", "writes", "names", "along", "empty", "windows"),
)
DEPTH = 8
BY_FORMAT = {
    "date-time": "2024-01-02T03:04:05Z",
    "date": "2024-01-02",
    "time": "03:04:05Z",
    "duration": "PT1M",
    "uuid": "12345678-1234-4234-8234-123456789abc",
    "email": "someone@example.com",
    "uri": "https://example.com/",
    "ipv4": "127.0.0.1",
}


def pieces_of(reply: str | list[str] | dict[str, Any]) -> list[str]:
    """A reply as the pieces that a stream sends; a dict is sent as JSON."""
    if isinstance(reply, list):
        return reply
    text = reply if isinstance(reply, str) else json.dumps(reply, ensure_ascii=False)
    return [text[start : start + PIECE] for start in range(0, len(text), PIECE)]


def default_answer(prompt: str, response_format: Mapping[str, Any]) -> str:
    """Some forty words that the prompt decides, or JSON when the caller asked for it."""
    kind = response_format.get("type", "text")
    if kind == "json_schema":
        return json.dumps(instance_of(response_format["json_schema"]["schema"]), ensure_ascii=False)
    if kind == "json_object":
        return json.dumps(instance_of(_schema_in(prompt)), ensure_ascii=False)
    # A string seeds the generator by its hash, the same in every process.
    chance = random.Random(prompt)
    text = " ".join(chance.choice(WORDS) for _ in range(40))
    return f"{text[0].upper()}{text[1:]}."


def instance_of(schema: Mapping[str, Any]) -> Any:
    """A small value that fits a JSON schema: strings say something, a list holds an item.

    Regular expressions (``pattern``) are not obeyed.
    """
    return _Maker(schema.get("$defs", {})).make(schema, "answer", DEPTH)


class _Maker:
    def __init__(self, definitions: Mapping[str, Any]) -> None:
        self._definitions = definitions

    def make(self, node: Mapping[str, Any], name: str, depth: int) -> Any:
        if "$ref" in node:
            return self.make(self._definitions[node["$ref"].rpartition("/")[2]], name, depth - 1)
        if "const" in node:
            return node["const"]
        if "enum" in node:
            return node["enum"][0]
        for several in ("anyOf", "oneOf"):
            if several in node:
                return self.make(self._choice(node[several], depth), name, depth)
        if "allOf" in node:
            return self.make({k: v for part in node["allOf"] for k, v in part.items()}, name, depth)
        kind = node.get("type", "object" if "properties" in node else "string")
        return self._of_type(kind[0] if isinstance(kind, list) else kind, node, name, depth)

    def _choice(self, options: list[Mapping[str, Any]], depth: int) -> Mapping[str, Any]:
        """The first that says something; null where a recursive schema would never end."""
        saying = [option for option in options if option.get("type") != "null"]
        return options[-1] if depth <= 0 or not saying else saying[0]

    def _of_type(self, kind: str, node: Mapping[str, Any], name: str, depth: int) -> Any:
        match kind:
            case "object":
                properties = node.get("properties", {})
                return {key: self.make(value, key, depth - 1) for key, value in properties.items()}
            case "array":
                return self._array(node, name, depth)
            case "integer" | "number":
                return self._number(node, kind)
            case "boolean":
                return True
            case "null":
                return None
        return self._string(node, name)

    def _array(self, node: Mapping[str, Any], name: str, depth: int) -> list[Any]:
        if prefix := node.get("prefixItems"):
            return [self.make(item, name, depth - 1) for item in prefix]
        least = node.get("minItems", 0)
        count = max(least, 1) if depth > 0 and node.get("maxItems", 1) else least
        return [self.make(node.get("items", {}), name, depth - 1) for _ in range(count)]

    def _number(self, node: Mapping[str, Any], kind: str) -> int | float:
        step = 1 if kind == "integer" else 0.5
        low = node.get("minimum", node.get("exclusiveMinimum", 1 - step) + step)
        high = node.get("maximum", node.get("exclusiveMaximum", low + 2 * step) - step)
        number: int | float = min(low, high)
        return number

    def _string(self, node: Mapping[str, Any], name: str) -> str:
        text: str = BY_FORMAT.get(node.get("format", ""), f"some {name}")
        return text.ljust(node.get("minLength", 0), ".")[: node.get("maxLength")]


def _schema_in(prompt: str) -> Mapping[str, Any]:
    """The JSON schema that a caller put into words because the endpoint takes none."""
    decoder = json.JSONDecoder()
    start = prompt.find("{")
    while start >= 0:
        try:
            found, _ = decoder.raw_decode(prompt, start)
        except ValueError:
            found = {}
        if isinstance(found, dict) and "properties" in found:
            return found
        start = prompt.find("{", start + 1)
    return {"type": "object"}
