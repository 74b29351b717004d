"""How long the jobs of a task take, as far as it was measured."""

from __future__ import annotations

import math
from dataclasses import dataclass

MEMORY = 50
"""A measurement counts for 1/e of a new one after so many more."""

FEW = 5
"""So many measurements tell how much durations differ."""

WIDEST = 3.0
"""A greater scatter is not believed."""

LARGEST = 1e100
"""A greater size is not calculated with: its square would not be a number any more."""


@dataclass(slots=True)
class Timing:
    """Sums over completed jobs: how many, the seconds they ran, over those of them that have a size what a straight
    line through size and seconds needs, and the squares of the seconds."""

    jobs: float = 0.0
    ran: float = 0.0
    sized: float = 0.0
    size: float = 0.0
    squares: float = 0.0
    products: float = 0.0
    sized_ran: float = 0.0
    ran_squares: float = 0.0

    @property
    def sums(self) -> tuple[float, ...]:
        return (
            self.jobs,
            self.ran,
            self.sized,
            self.size,
            self.squares,
            self.products,
            self.sized_ran,
            self.ran_squares,
        )

    def note(self, seconds: float, size: float | None) -> None:
        """One more job was completed."""
        self.jobs += 1
        self.ran += seconds
        self.ran_squares += seconds * seconds
        if size is not None and size <= LARGEST:
            self.sized += 1
            self.size += size
            self.squares += size * size
            self.products += size * seconds
            self.sized_ran += seconds

    def __add__(self, other: Timing) -> Timing:
        return Timing(*(mine + theirs for mine, theirs in zip(self.sums, other.sums, strict=True)))

    def followed_by(self, newer: Timing) -> Timing:
        """Both, the newer ones weighing more."""
        if not self.jobs:
            return newer
        weight = min(1.0, MEMORY / self.jobs) * math.exp(-newer.jobs / MEMORY)
        return Timing(*(weight * each for each in self.sums)) + newer

    def expected(self, size: float | None = None) -> float | None:
        """Seconds that a job of this size takes, None while none was measured."""
        if not self.jobs:
            return None
        if size is None or size > LARGEST or not self.size:
            return self.ran / self.jobs
        base, slope = self._line()
        return base + slope * size

    def scatter(self, size: float | None = None) -> float:
        """By which part of what is expected durations differ from it, as a standard deviation; 0 while too few were
        measured."""
        if self.jobs < FEW:
            return 0.0
        if size is None or size > LARGEST or not self.size:
            total, unexplained = self.ran_squares, self.ran_squares - self.ran**2 / self.jobs
        else:
            base, slope = self._line()
            total = self.ran_squares * self.sized / self.jobs
            unexplained = total - 2 * (base * self.sized_ran + slope * self.products)
            unexplained += self.sized * base**2 + 2 * base * slope * self.size + slope**2 * self.squares
        explained = total - unexplained
        return min(math.sqrt(unexplained / explained), WIDEST) if unexplained > 0 and explained > 0 else 0.0

    def _line(self) -> tuple[float, float]:
        """Least squares, as long as neither the start nor the slope is below zero; else what is next to that."""
        spread = self.sized * self.squares - self.size**2
        if spread > 1e-9 * self.sized * self.squares:
            slope = (self.sized * self.products - self.size * self.sized_ran) / spread
            base = (self.sized_ran - slope * self.size) / self.sized
            if slope < 0:
                return self.sized_ran / self.sized, 0.0
            if base >= 0:
                return base, slope
        return 0.0, self.sized_ran / self.size
