"""How long a failed job waits before it is tried again."""

from __future__ import annotations

import random
from dataclasses import dataclass

from .errors import ConfigurationError

LONGEST = 366 * 86_400.0
"""Seconds of a wait; also a factor is no larger."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff with equal jitter (Marc Brooker, "Exponential Backoff And Jitter", AWS, 2015).

    The n-th wait is drawn evenly from the upper half of ``min(longest, first * factor ** (n - 1))`` seconds, so
    that jobs which failed together do not come back together and none comes back at once.
    """

    first: float = 2.0
    factor: float = 2.0
    longest: float = 600.0

    def __post_init__(self) -> None:
        """Raises `ConfigurationError`."""
        for name, least in (("first", 0.0), ("factor", 1.0), ("longest", 0.0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= LONGEST:
                raise ConfigurationError(f"{name} of a Backoff is {value!r}: choose a number, {least:g} or more")

    def delay(self, tries: int) -> float:
        """Seconds to wait after the ``tries``-th failure (1 for the first)."""
        try:
            ceiling = min(self.longest, self.first * self.factor ** (tries - 1))
        except OverflowError:
            ceiling = self.longest
        return ceiling / 2 + random.uniform(0, ceiling / 2)
