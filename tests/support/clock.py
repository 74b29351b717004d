"""The database's clock, as tests move it."""

from __future__ import annotations

from backburner.ports import Store
from backburner.store.store import SQLStore


def pass_time(store: Store, seconds: float) -> None:
    """For this store only: another one on the same database keeps its time."""
    assert isinstance(store, SQLStore)
    store.database.shift += int(seconds * 1e6)
