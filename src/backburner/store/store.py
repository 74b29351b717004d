"""The store of a database: one writing thread, some reading ones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from ..domain.errors import StoreUnavailable
from ..domain.operations import ListWorkers, Operation, Query
from ..ports import Hint
from .database import Database
from .lanes import Lanes
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
        self._lanes = Lanes(lambda: Writer(database, ring)) if database.concurrent else None
        self._claims = Lanes(lambda: Writer(database, ring), most=1) if database.concurrent else None

    def write(self, operation: Operation[T]) -> asyncio.Future[T]:
        try:
            return self._writer_for(operation).write(operation)
        except StoreUnavailable as error:
            refused: asyncio.Future[T] = asyncio.get_running_loop().create_future()
            refused.set_exception(error)
            return refused

    def write_sync(self, operation: Operation[T]) -> T:
        return self._writer_for(operation).write_sync(operation)

    def read(self, query: Query[T]) -> asyncio.Future[T]:
        return self._readers.read(query)

    def read_sync(self, query: Query[T]) -> T:
        return self._readers.read_sync(query)

    @property
    def widest_claim(self) -> int:
        return min(self.database.widest_claim, self._writer.width)

    def lock_worker(self, worker: str) -> Callable[[], None]:
        return self.database.lock_worker(worker)

    def dead_workers(self) -> tuple[str, ...]:
        return self.database.dead_among([worker.id for worker in self.read_sync(ListWorkers())])

    def _writer_for(self, operation: Operation[Any]) -> Writer:
        """What takes as long as an application's function does is kept out of everybody's way where that can be."""
        if operation.alone and self._lanes is not None:
            return self._lanes.choose()
        if operation.apart and self._claims is not None:
            return self._claims.choose()
        return self._writer

    def close(self) -> None:
        for lanes in (self._lanes, self._claims):
            if lanes is not None:
                lanes.close()
        self._writer.close()
        self._readers.close()
        self.database.dispose()
