"""Stores on one database, as several processes would have them, under a clock that stands still unless it is moved."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from backburner.domain.operations import Operation
from backburner.store import tables
from backburner.store.store import SQLStore
from tests.support.backends import Backend

APP_ROWS = "CREATE TABLE app_rows (job VARCHAR(64), name VARCHAR(64))"
"""What an application has beside."""
START = 1_700_000_000_000_000


@dataclass
class Clock:
    now: int = START


@dataclass
class Field:
    """Where an example plays: a fresh database, and how it is opened."""

    backend: Backend
    url: str
    clock: Clock = field(default_factory=Clock)

    def open(self) -> SQLStore:
        database = self.backend.open(self.url)
        stop(database, self.clock)
        do_not_wait_for_the_disk(database, self.backend.name)
        return SQLStore(database, lambda hint: None)


def stop(database: Any, clock: Clock) -> None:
    """The database's clock shows what ``clock`` does."""
    begin = database.begin

    def begin_now(raw: Any) -> Callable[[], int]:
        begin(raw)
        now = clock.now
        return lambda: now

    database.begin = begin_now
    database.now = lambda raw: clock.now


def do_not_wait_for_the_disk(database: Any, name: str) -> None:
    """The machine under the database never crashes here."""
    setting = {"sqlite": "PRAGMA synchronous=OFF", "postgres": "SET synchronous_commit = off"}[name]
    open_writer = database.open_writer

    def open_quick_writer() -> Any:
        raw = open_writer()
        raw.execute(setting)
        return raw

    database.open_writer = open_quick_writer


Fresh = Callable[[], contextlib.AbstractContextManager[Field]]


@contextlib.contextmanager
def fields(backend: Backend, folder: Path) -> Iterator[Fresh]:
    """Makes as many fresh fields as are wanted, one after the other; where a database costs much, it is emptied."""
    if backend.name == "sqlite":

        @contextlib.contextmanager
        def new_file() -> Iterator[Field]:
            with TemporaryDirectory(dir=folder) as own, backend.fresh(Path(own)) as url:
                run_sql(backend, url, APP_ROWS)
                yield Field(backend, url)

        yield new_file
        return
    with backend.fresh(folder) as url:
        run_sql(backend, url, APP_ROWS)

        @contextlib.contextmanager
        def emptied() -> Iterator[Field]:
            run_sql(backend, url, ";".join(f"DELETE FROM {name}" for name in ("app_rows", *tables.metadata.tables)))
            yield Field(backend, url)

        yield emptied


def run_sql(backend: Backend, url: str, sql: str) -> None:
    database = backend.open(url)
    raw = database.open_writer()
    raw.execute(sql)
    database.close(raw)


def write_at_once(store: SQLStore, operations: list[Operation[Any]]) -> list[Any]:
    """The answers, or what was raised; all operations wait before the first is taken, so most share a transaction."""

    async def write() -> list[Any]:
        return await asyncio.gather(*map(store.write, operations), return_exceptions=True)

    return asyncio.run(write())


def number(count: int) -> str:
    """An id that sorts by age and is the same in each repetition."""
    return f"{count:08x}-0000-7000-8000-000000000000"
