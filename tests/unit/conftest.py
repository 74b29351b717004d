from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from backburner.store.sqlite import SQLite
from backburner.store.store import SQLStore
from tests.support.migrated import copy_migrated


@pytest.fixture
def database(tmp_path: Path) -> SQLite:
    copy_migrated(tmp_path / "jobs.db")
    return SQLite(str(tmp_path / "jobs.db"))


@pytest.fixture
def store(database: SQLite) -> Iterator[SQLStore]:
    store = SQLStore(database, lambda hint: None)
    yield store
    store.close()
