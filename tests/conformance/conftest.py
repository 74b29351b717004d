"""The suite that defines a store. A new backend joins by one entry in ``BACKENDS``: a function that opens it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backburner.ports import Hint, Store
from backburner.store.sqlite import SQLite
from backburner.store.store import SQLStore
from tests.support.migrated import copy_migrated

Ring = Callable[[Hint], None]
Open = Callable[..., Store]


def open_sqlite(folder: Path, ring: Ring) -> Store:
    copy_migrated(folder / "jobs.db")
    return SQLStore(SQLite(str(folder / "jobs.db")), ring)


BACKENDS: dict[str, Callable[[Path, Ring], Store]] = {"sqlite": open_sqlite}


@pytest.fixture(params=list(BACKENDS))
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Each call opens one more store on the same fresh database, as another process would."""
    opened: list[Store] = []

    def open_one(ring: Ring = lambda hint: None) -> Store:
        store = BACKENDS[request.param](tmp_path, ring)
        opened.append(store)
        return store

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Open) -> Store:
    return open_store()
