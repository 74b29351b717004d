"""What jobs are told about their end, against when they really ended, under a load that never stops."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from statistics import median

import pytest

from backburner.store.sqlite import SQLite
from backburner.store.store import SQLStore
from tests.support.plant import Kind, Occasion, Plant

SLOTS = 2, 2
UTILISATION = 0.9
WARM_UP = 200.0
SCATTER = 0.25
"""The standard deviation of a job's duration about what its task and size let expect."""


def scatter(chance: random.Random) -> float:
    sigma = math.sqrt(math.log(1 + SCATTER**2))
    return math.exp(chance.gauss(-(sigma**2) / 2, sigma))


def name(chance: random.Random) -> tuple[None, float]:
    return None, 12.0 * scatter(chance)


def summarize(chance: random.Random) -> tuple[float, float]:
    """Reading takes 6 seconds, each of its 1 to 20 pages 3.5."""
    size = chance.uniform(1.0, 20.0)
    return size, (6.0 + 3.5 * size) * scatter(chance)


@pytest.fixture(scope="module", params=[None, 2], ids=["free", "limited"])
def plant(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """Half of the load is names, half is summaries, of which as many run at once as the parameter says."""
    store = SQLStore(SQLite(str(tmp_path_factory.mktemp("plant") / "jobs.db")), lambda hint: None)
    load = UTILISATION * sum(SLOTS) / 2
    kinds = Kind("name", 12.0 / load, name), Kind("summarize", 42.75 / load, summarize, request.param)
    plant = Plant(store, kinds, SLOTS, ("ann", "bob", "cid", "dan"), seed=1)
    plant.run(1500.0)
    yield plant
    store.close()


@pytest.mark.parametrize("occasion", ["submit", "half-way"])
@pytest.mark.parametrize("task", [None, "name", "summarize"])
def test_the_median_error_is_a_quarter_of_the_remaining_time_at_most(
    plant: Plant, task: str | None, occasion: Occasion
) -> None:
    errors = plant.errors(occasion, task, after=WARM_UP)
    assert len(errors) > 40
    assert median(errors) <= 0.25


def test_once_something_was_measured_every_job_is_told(plant: Plant) -> None:
    assert [] == [guess for guess in plant.guesses if guess.eta is None and guess.at >= WARM_UP]


def test_nothing_is_told_before_something_was_measured(plant: Plant) -> None:
    assert plant.guesses
    first = min(plant.guesses, key=lambda guess: guess.at)
    assert first.eta is None
