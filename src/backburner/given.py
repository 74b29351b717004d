"""What users give, looked at where they give it: a wrong kind or a wrong size is told at once, the same on every
database, and not by whatever happens to meet it later."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from .domain.errors import LONGEST_WAIT, BackburnerError, ConfigurationError, InvalidArguments

LARGEST = 2**31 - 1
"""What a column of whole numbers holds on every database."""
LONGEST = LONGEST_WAIT
"""Seconds: nothing is waited for longer."""

Duration = float | timedelta
"""Seconds, or said in its own words."""

Complain = Callable[[str, Any, str], BackburnerError]
"""Makes an error of a name, what was given, and what to choose."""


def configuration(name: str, value: Any, choose: str) -> ConfigurationError:
    return ConfigurationError(f"{name} is {shown(value)}: {choose}")


def argument(name: str, value: Any, choose: str) -> InvalidArguments:
    return InvalidArguments(f"{name} is {shown(value)}: {choose}", {name: choose.removeprefix("choose ")})


def whole(complain: Complain, name: str, value: Any, choose: str, least: int = 1, most: int = LARGEST) -> int:
    """A whole number."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise complain(name, value, choose)
    return value


def seconds(complain: Complain, name: str, value: Any, choose: str, above: float = 0.0, most: float = LONGEST) -> float:
    """A number of seconds, or a timedelta; more than ``above``, which may be below 0 to let 0 in."""
    found = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(found, bool) or not isinstance(found, int | float) or not above < found <= most:
        raise complain(name, value, choose)
    return float(found)


def number(complain: Complain, name: str, value: Any, choose: str, least: float = 0.0) -> float:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < least:
        raise complain(name, value, choose)
    return float(value)


def text(complain: Complain, name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise complain(name, value, "give a text")
    return value


def truth(complain: Complain, name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise complain(name, value, "choose True or False")
    return value


def exceptions(complain: Complain, name: str, value: Any) -> tuple[type[Exception], ...]:
    """One class of exceptions, or several."""
    choose = "name classes of exceptions, as in (TimeoutError,)"
    kinds = (value,) if isinstance(value, type) else value
    if isinstance(kinds, str) or not isinstance(kinds, Iterable):
        raise complain(name, value, choose)
    found = tuple(kinds)
    if not all(isinstance(kind, type) and issubclass(kind, Exception) for kind in found):
        raise complain(name, value, choose)
    return found


def instance(complain: Complain, name: str, value: Any, kind: type | tuple[type, ...], choose: str) -> None:
    if not isinstance(value, kind):
        raise complain(name, value, choose)


def shown(value: Any) -> str:
    """However it prints itself, and whether it can."""
    try:
        found = repr(value)
    except Exception:
        found = f"a {type(value).__name__}"
    return found if len(found) <= 100 else f"{found[:100]}…"
