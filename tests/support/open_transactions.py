"""Transactions of the store's own functions that stay open for as long as a test wants."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from backburner.domain.operations import Operation
from backburner.ports import Store
from backburner.store.batch import Batch
from backburner.store.connection import Connection
from backburner.store.database import Database
from backburner.store.following import follow_up

WAITING = (
    "SELECT 1 FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE NOT granted AND datname = current_database()"
)
PATIENCE = 30.0


@contextlib.contextmanager
def transaction(store: Any) -> Iterator[Batch]:
    """Committed when the block ends, undone by an error."""
    with _begun(store.database) as batch:
        yield batch
        follow_up(batch)
        batch.flush()


@contextlib.contextmanager
def held_open(store: Any, do: Callable[[Batch], Any], commit: bool = True) -> Iterator[Any]:
    """All that ``do`` writes is written, and is committed (or undone) when the block ends; yields what it answered."""
    with _begun(store.database, commit) as batch:
        answer = do(batch)
        follow_up(batch)
        batch.flush()
        yield answer


@contextlib.contextmanager
def _begun(database: Database, commit: bool = True) -> Iterator[Batch]:
    turn, raw = database.turn(), database.open_writer()
    connection = Connection(raw, database.language)
    turn.take()
    try:
        yield Batch(connection, database.begin(raw))
        if commit:
            database.commit(raw)
    finally:
        database.roll_back(raw)
        turn.give_back()
        turn.close()
        connection.close()
        database.close(raw)


@contextlib.contextmanager
def meanwhile(store: Store, operation: Operation[Any]) -> Iterator[Future[Any]]:
    """The operation is under way: done, or waiting for somebody's lock. It is over when the block ends."""
    pool = ThreadPoolExecutor(1)
    future = pool.submit(store.write_sync, operation)
    try:
        _wait_until_it_is_under_way(store, future)
    except BaseException:
        pool.shutdown(wait=False)  # what it waits for is open until this error has got out
        raise
    with pool:
        yield future


def _wait_until_it_is_under_way(store: Any, future: Future[Any]) -> None:
    raw = store.database.open_reader()
    try:
        deadline = time.monotonic() + PATIENCE
        while not future.done() and raw.execute(WAITING).fetchone() is None:
            assert time.monotonic() < deadline, "it neither ends nor waits"
    finally:
        store.database.close(raw)
