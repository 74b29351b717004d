"""Reading threads: each has a connection of its own, and any loop or thread may ask them."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from ..domain.errors import StoreUnavailable
from ..domain.operations import Query
from .connection import Connection
from .handlers import READ
from .sqlite import SQLite

T = TypeVar("T")
THREADS = 4


class Readers:
    def __init__(self, database: SQLite) -> None:
        self._database = database
        self._local = threading.local()
        self._open: list[Any] = []
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="backburner-reader")

    def read(self, query: Query[T]) -> asyncio.Future[T]:
        return asyncio.wrap_future(self._submit(query))

    def read_sync(self, query: Query[T]) -> T:
        """For threads without an event loop; on one of ours, so that a thread that ends leaves nothing open."""
        return self._submit(query).result()

    def _submit(self, query: Query[T]) -> Future[T]:
        try:
            return self._pool.submit(self._answer, query)
        except RuntimeError:
            raise StoreUnavailable("this Backburner has been closed", retry_after=0) from None

    def _answer(self, query: Query[T]) -> T:
        try:
            connection = self._connection()
            with self._database.snapshot(connection.raw):
                result: T = READ[type(query)](connection, query)
                return result
        except BaseException as error:
            raise self._database.translate(error) from error

    def _connection(self) -> Connection:
        found: Connection | None = getattr(self._local, "connection", None)
        if found is None:
            found = Connection(self._database.open_reader(), self._database.dialect)
            self._local.connection = found
            self._open.append(found.raw)
        return found

    def close(self) -> None:
        self._pool.shutdown(wait=True)
        while self._open:
            self._open.pop().close()
