"""Reading threads: each has a connection of its own, and any loop or thread may ask them."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from ..domain.operations import Query
from .connection import Connection
from .database import Database
from .handlers import READ
from .writer import closed

T = TypeVar("T")
THREADS = 4


class Readers:
    def __init__(self, database: Database) -> None:
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
            raise closed() from None

    def _answer(self, query: Query[T]) -> T:
        try:
            return self._read(query)
        except BaseException as error:
            raise self._database.translate(error) from error

    def _read(self, query: Query[T]) -> T:
        """A connection that was lost since it was last used is opened again once: a read may be repeated."""
        connection, fresh = self._connection()
        while True:
            try:
                with self._database.snapshot(connection.raw):
                    result: T = READ[type(query)](connection, query)
                    return result
            except BaseException:
                if not self._database.is_lost(connection.raw):
                    raise
                self._drop(connection)
                if fresh:
                    raise
            connection, fresh = self._connection()

    def _connection(self) -> tuple[Connection, bool]:
        found: Connection | None = getattr(self._local, "connection", None)
        if found is not None:
            return found, False
        found = Connection(self._database.open_reader(), self._database.language, self._database.now)
        self._local.connection = found
        self._open.append(found.raw)
        return found, True

    def _drop(self, connection: Connection) -> None:
        self._local.connection = None
        self._open.remove(connection.raw)
        self._database.close(connection.raw)

    def close(self) -> None:
        self._pool.shutdown(wait=True)
        while self._open:
            self._database.close(self._open.pop())
