"""How long what has ended is kept."""

from __future__ import annotations

import re
from collections.abc import Mapping

from .job import FINISHED

DAY = 86_400.0
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": DAY, "w": 7 * DAY}
NOTIFICATIONS = "notifications"
KINDS = ("completed", "failed", "cancelled", NOTIFICATIONS)
LONGEST = 1000 * 366 * DAY

Retention = Mapping[str, float | None]
"""Seconds by status (and for `NOTIFICATIONS`); None is for ever."""

KEPT: Retention = {"completed": 7 * DAY, "failed": 30 * DAY, "cancelled": 30 * DAY, NOTIFICATIONS: 90 * DAY}
"""What holds where nothing is said."""


def parse_retention(text: str) -> dict[str, float | None]:
    """``completed=7d, failed=30d``, or one duration for all ended jobs. Raises `ValueError` saying what is wrong."""
    if "=" not in text:
        seconds = parse_duration(text)
        return {str(status): seconds for status in sorted(FINISHED)}
    found: dict[str, float | None] = {}
    for part in text.split(","):
        name, equals, duration = (piece.strip() for piece in part.partition("="))
        if not equals or name not in KINDS:
            raise ValueError(f"{part.strip()!r} is not understood: write {' or '.join(KINDS)} with =, as in failed=30d")
        if name in found:
            raise ValueError(f"{name} is given twice")
        found[name] = parse_duration(duration)
    return found


def parse_duration(text: str) -> float | None:
    """Seconds from ``90``, ``90s``, ``15m``, ``12h``, ``7d`` or ``2w``; None for ``forever``. Raises `ValueError`."""
    if text.strip() == "forever":
        return None
    found = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([smhdw]?)\s*", text, re.ASCII)
    seconds = float(found[1]) * UNITS[found[2] or "s"] if found else -1.0
    if not 0 <= seconds <= LONGEST:
        raise ValueError(f"{text.strip()!r} is no duration: write 90s, 15m, 12h, 7d, 2w or forever")
    return seconds
