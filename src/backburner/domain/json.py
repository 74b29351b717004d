"""JSON as it is stored: UTF-8, no NaN, at most 16 MiB."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, is_dataclass
from datetime import date, datetime
from enum import Enum
from typing import Any

from .errors import InvalidArguments, TooLarge

MAX_BYTES = 16 * 1024 * 1024

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
    if size > MAX_BYTES:
        raise TooLarge(
            f"{what} takes {size / 2**20:.1f} MiB as JSON; the limit is 16 MiB. "
            "Store it elsewhere and pass a reference."
        )
    return text


def well_formed(text: str) -> str:
    """``text`` with each lone surrogate, which no UTF-8 can carry, replaced by U+FFFD."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def decode(text: str | bytes) -> Any:
    return json.loads(text)


def fingerprint(value: Any) -> str:
    """A hash of the value's JSON that does not depend on the order of keys."""
    try:
        text = _canonical.encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidArguments(f"a step's arguments cannot be written as JSON: {error}") from None
    return hashlib.sha256(text.encode()).hexdigest()[:32]


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
