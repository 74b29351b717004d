from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from backburner import Backburner, Settings
from backburner.testing.model import FakeModel


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """The environment of processes that share one fresh database."""
    return {"BACKBURNER_DATABASE_URL": f"sqlite:///{tmp_path}/jobs.db"}


@pytest.fixture
def bb(env: dict[str, str]) -> Iterator[Backburner]:
    """The test's own view of that database."""
    bb = Backburner(settings=Settings(database_url=env["BACKBURNER_DATABASE_URL"]))
    yield bb
    bb.close()


@pytest.fixture
def model() -> Iterator[FakeModel]:
    with FakeModel() as model:
        yield model
