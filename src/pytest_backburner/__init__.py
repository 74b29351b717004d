"""Fixtures for pytest: see docs/testing.md. Backburner itself is imported when one of them is first used.

A package of its own, because whatever is inside backburner's imports all of that when pytest starts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from backburner import Backburner
    from backburner.testing import FakeClock, FakeModel

OPTION = "backburner"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini(OPTION, "MODULE:NAME of the Backburner that backburner's fixtures are for")


@pytest.fixture(scope="session", name="backburner")
def _backburner(pytestconfig: pytest.Config) -> Backburner:
    """The Backburner of the application: what the ini option names. Define a fixture of this name to give another."""
    target = pytestconfig.getini(OPTION)
    if not target:
        raise pytest.UsageError(
            'which Backburner do the fixtures mean? Write backburner = "myapp.main:bb" into the configuration of '
            "pytest, or define a fixture `backburner` that returns it"
        )
    from backburner.domain.errors import ConfigurationError
    from backburner.loading import load_backburner

    try:
        return load_backburner(target)
    except ConfigurationError as error:
        raise pytest.UsageError(f"the option backburner: {error}") from None


@pytest.fixture
def backburner_db(backburner: Backburner) -> Iterator[Backburner]:
    """The same on a fresh database: see `backburner.testing.temporary_backburner`."""
    from backburner.testing import temporary_backburner

    with temporary_backburner(backburner) as bb:
        yield bb


@pytest.fixture
def backburner_inline(backburner_db: Backburner) -> Iterator[Backburner]:
    """The same, and jobs run while they are submitted: see `backburner.testing.inline`."""
    from backburner.testing import inline

    with inline(backburner_db) as bb:
        yield bb


@pytest.fixture
def backburner_clock(backburner_db: Backburner) -> Iterator[FakeClock]:
    """The clock of the fresh database: see `backburner.testing.FakeClock`."""
    from backburner.testing import FakeClock

    with FakeClock(backburner_db) as clock:
        yield clock


@pytest.fixture
def fake_model(backburner: Backburner) -> Iterator[FakeModel]:
    """Answers `run.llm`: see `backburner.testing.FakeModel`."""
    from backburner.testing import fake_model

    with fake_model(backburner) as model:
        yield model
