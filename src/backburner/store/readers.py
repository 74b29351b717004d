"""Reading threads: each has a connection of its own, and any loop or thread may ask them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from ..domain.operations import Query
from .connection import Connection
from .database import Database
from .handlers import READ
from .writer import closed

T = TypeVar("T")
THREADS = 4


class Readers:
    """Not a pool of `concurrent.futures`: that ends with the main thread, and other threads may outlive it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._local = threading.local()
        self._open: list[Any] = []
        self._asked: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._idle = threading.Semaphore(0)
        self._lock = threading.Lock()
        self._closed = False

    def read(self, query: Query[T]) -> asyncio.Future[T]:
        return asyncio.wrap_future(self._submit(query))

    def read_sync(self, query: Query[T]) -> T:
        """For threads without an event loop; on one of ours, so that a thread that ends leaves nothing open."""
        return self._submit(query).result()

    def _submit(self, query: Query[T]) -> Future[T]:
        answer: Future[T] = Future()

        def work() -> None:
            if not answer.set_running_or_notify_cancel():
                return
            try:
                answer.set_result(self._answer(query))
            except BaseException as error:
                answer.set_exception(error)

        with self._lock:
            if self._closed:
                raise closed()
            self._asked.put(work)
            if not self._idle.acquire(blocking=False) and len(self._threads) < THREADS:
                name = f"backburner-reader_{len(self._threads)}"
                self._threads.append(threading.Thread(target=self._serve, name=name, daemon=True))
                self._threads[-1].start()
        return answer

    def _serve(self) -> None:
        while (work := self._next()) is not None:
            work()
            del work  # nor what it answered is kept while nobody asks

    def _next(self) -> Callable[[], None] | None:
        try:
            return self._asked.get_nowait()
        except Empty:
            self._idle.release()
            return self._asked.get()

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
        """What was asked before is answered."""
        with self._lock:
            self._closed = True
            for _ in self._threads:
                self._asked.put(None)
        for thread in self._threads:
            thread.join()
        while self._open:
            self._database.close(self._open.pop())
