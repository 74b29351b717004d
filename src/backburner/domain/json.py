"""JSON and text as they are stored: UTF-8, no NaN, no NUL where a database refuses it, at most 16 MiB."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, is_dataclass
from datetime import date, datetime
from enum import Enum
from typing import Any

from .errors import InvalidArguments, TooLarge

MAX_BYTES = 16 * 1024 * 1024
MAX_DEPTH = 100
"""Levels of lists and objects: what is written deep in one thread's stack must be readable in another's."""
LONGEST_NAME = 255
NUL = "holds the character NUL (U+0000), which databases refuse: remove it"

NEST = (dict, list, tuple)

_encoder = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=lambda value: _plain(value)
)
_canonical = json.JSONEncoder(
    ensure_ascii=False,
    allow_nan=False,
    separators=(",", ":"),
    sort_keys=True,
    default=lambda value: _plain(value),
)


def encode(value: Any, what: str = "the value") -> str:
    """``value`` as JSON text.

    Dataclasses, pydantic models, dates and enumerations are written as their plain form. Raises
    `InvalidArguments` where something is not JSON and `TooLarge` above 16 MiB; ``what`` names the value in
    the message.
    """
    try:
        text = _encoder.encode(value)
        size = len(text) if text.isascii() else len(text.encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidArguments(f"{what} cannot be written as JSON: {error}") from None
    if text.count("[") + text.count("{") > MAX_DEPTH and _is_deep(value):
        raise InvalidArguments(f"{what} is nested more than {MAX_DEPTH} levels deep: flatten it, or pass it as text")
    if size > MAX_BYTES:
        raise TooLarge(
            f"{what} takes {size / 2**20:.1f} MiB as JSON; the limit is 16 MiB. "
            "Store it elsewhere and pass a reference."
        )
    return text


def well_formed(text: str) -> str:
    """``text`` with what cannot be stored replaced by U+FFFD: for what a model or a function says.

    That is each lone surrogate, which no UTF-8 can carry, and NUL, which PostgreSQL refuses.
    """
    if not text.isascii():
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text.replace("\0", "\ufffd")


def storable(text: str, what: str) -> str:
    """``text`` as it is, for a name that somebody chose: owner, queue, step, channel.

    Raises `InvalidArguments` where a database would refuse it: NUL, a lone surrogate, more than 255 characters.
    """
    if "\0" in text:
        raise InvalidArguments(f"{what} {NUL}", {what: NUL})
    if not text.isascii() and well_formed(text) != text:
        reason = "holds half of a surrogate pair, which UTF-8 cannot carry: repair the text"
        raise InvalidArguments(f"{what} {reason}", {what: reason})
    if len(text) > LONGEST_NAME:
        reason = f"has {len(text)} characters: use at most {LONGEST_NAME}"
        raise InvalidArguments(f"{what} {reason}", {what: reason})
    return text


def refuse_nul(text: str) -> None:
    """Raises `InvalidArguments` where a string in JSON text from outside holds NUL, naming the argument.

    JSON itself could carry it, but what becomes of arguments ends in columns of text.
    """
    if _has_nul(text):
        value = decode(text)
        each = value.items() if isinstance(value, dict) else ()
        found = [well_formed(name) for name, inner in each if _has_nul(json.dumps([name, inner]))] or ["the text"]
        raise InvalidArguments(f"{', '.join(found)} {NUL}", dict.fromkeys(found, NUL))


def decode(text: str | bytes) -> Any:
    return json.loads(text)


def fingerprint(value: Any, what: str = "a step's arguments") -> str:
    """A hash of the value's JSON that does not depend on the order of keys."""
    try:
        text = _canonical.encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidArguments(f"{what} cannot be written as JSON: {error}") from None
    return hashlib.sha256(text.encode()).hexdigest()[:32]


_ESCAPED_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def _has_nul(text: str) -> bool:
    return "\\u0000" in text and _ESCAPED_NUL.search(text) is not None


def _is_deep(value: Any) -> bool:
    level = [value] if isinstance(value, NEST) else []
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, NEST)
        ]
        if not level:
            return False
    return True


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} is not JSON")
