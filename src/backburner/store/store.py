"""The store of a database: one writing thread, some reading ones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from ..domain.operations import ListWorkers, Operation, Query
from ..ports import Hint
from .database import Database
from .readers import Readers
from .schema import bring_up_to_date
from .writer import Writer

T = TypeVar("T")


class SQLStore:
    """See `backburner.ports.Store`. ``ring`` is told after each commit what it means to others."""

    def __init__(self, database: Database, ring: Callable[[Hint], None]) -> None:
        self.database = database
        bring_up_to_date(database)
        self._readers = Readers(database)
        self._writer = Writer(database, ring)

    def write(self, operation: Operation[T]) -> asyncio.Future[T]:
        return self._writer.write(operation)

    def write_sync(self, operation: Operation[T]) -> T:
        return self._writer.write_sync(operation)

    def read(self, query: Query[T]) -> asyncio.Future[T]:
        return self._readers.read(query)

    def read_sync(self, query: Query[T]) -> T:
        return self._readers.read_sync(query)

    def lock_worker(self, worker: str) -> Callable[[], None]:
        return self.database.lock_worker(worker)

    def dead_workers(self) -> tuple[str, ...]:
        return self.database.dead_among([worker.id for worker in self.read_sync(ListWorkers())])

    def close(self) -> None:
        self._writer.close()
        self._readers.close()
        self.database.dispose()
