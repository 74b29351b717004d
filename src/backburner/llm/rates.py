"""What an endpoint says of its own limits."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from backburner.domain.operations import Remaining

LONGEST_RESET = 60.0
"""Seconds; the limits that an endpoint tells of are those of a minute."""
SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def remaining_in(headers: Mapping[str, str]) -> Remaining | None:
    """From ``x-ratelimit-remaining-requests`` and ``-tokens``, ``x-ratelimit-reset-requests`` and ``-tokens`` (OpenAI,
    "Rate limits", headers). None where there are none that make sense."""
    found = Remaining(
        _count(headers.get("x-ratelimit-remaining-requests")),
        _count(headers.get("x-ratelimit-remaining-tokens")),
        parse_span(headers.get("x-ratelimit-reset-requests")),
        parse_span(headers.get("x-ratelimit-reset-tokens")),
    )
    return None if found.requests is None and found.tokens is None else found


def parse_span(text: str | None) -> float | None:
    """Seconds, of ``1s``, ``6m0s``, ``20ms`` or a bare number; a minute at most."""
    if not text:
        return None
    parts = SPAN.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        return min(sum(float(number) * UNITS[unit] for number, unit in parts), LONGEST_RESET)
    try:
        seconds = float(text)
    except ValueError:
        return None
    return min(max(seconds, 0.0), LONGEST_RESET) if math.isfinite(seconds) else None


def _count(text: str | None) -> int | None:
    """At least 0: some endpoints say -1 for what has no limit, which is no count."""
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 16 else None
