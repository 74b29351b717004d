"""The suite that defines a store; it runs on each of ``BACKENDS``, and a new one joins by an entry there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backburner.ports import Hint, Store
from backburner.store.store import SQLStore
from tests.support.backends import Backend

Ring = Callable[[Hint], None]
Open = Callable[..., Store]


@pytest.fixture
def open_store(backend: Backend, tmp_path: Path) -> Iterator[Open]:
    """Each call opens one more store on the same fresh database, as another process would."""
    opened: list[Store] = []
    with backend.fresh(tmp_path) as url:

        def open_one(ring: Ring = lambda hint: None) -> Store:
            store = SQLStore(backend.open(url), ring)
            opened.append(store)
            return store

        yield open_one
        for store in opened:
            store.close()


@pytest.fixture
def store(open_store: Open) -> Store:
    return open_store()


@pytest.fixture
def concurrent(open_store: Open) -> Open:
    """`open_store` on the databases where several may write at once."""
    if not open_store().database.concurrent:
        pytest.skip("only one may write at a time")
    return open_store
