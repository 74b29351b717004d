"""What jobs are told about their end, against when they really ended, under loads that never stop.

More loads and seeds: ``python -m tests.support.sweep``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median

import pytest

from tests.support.plant import Occasion, Plant
from tests.support.sweep import JOB, run, warm

SLOTS = 1, 4, 8
SCATTER = 0.25
SEED = 1
ENOUGH = 60
"""A median of fewer jobs says little."""

TOLD: Sequence[tuple[Occasion, float | None]] = (("submit", None), ("submit", 0.0), ("submit", JOB), ("half-way", 0.0))


@pytest.mark.parametrize("utilisation", [0.7, 0.9, 0.95])
def test_at_every_load_a_job_is_told_its_end_to_a_quarter_when_it_is_submitted_and_as_long_as_it_waits(
    tmp_path: Path, utilisation: float
) -> None:
    plants = {slots: run(tmp_path, utilisation, slots, SCATTER, SEED) for slots in SLOTS}
    for occasion, waited in TOLD:
        errors = [
            abs(error)
            for slots, plant in plants.items()
            for error in plant.errors(occasion, after=warm(utilisation, slots), waited=waited)
        ]
        assert len(errors) > ENOUGH, (occasion, waited)
        assert median(errors) <= 0.25, (occasion, waited)


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Plant:
    """Summaries are held to two of four slots."""
    return run(tmp_path_factory.mktemp("limited"), 0.9, 4, SCATTER, SEED, limit=2)


def test_a_task_that_is_held_to_fewer_slots_is_reckoned_with(limited: Plant) -> None:
    errors = limited.errors("submit", after=warm(0.9, 4))
    assert median(abs(error) for error in errors) <= 0.25


def test_once_something_was_measured_every_job_is_told(limited: Plant) -> None:
    assert [] == [guess for guess in limited.guesses if guess.eta is None and guess.at >= warm(0.9, 4)]


def test_nothing_is_told_before_something_was_measured(limited: Plant) -> None:
    assert limited.guesses
    assert min(limited.guesses, key=lambda guess: guess.at).eta is None
