"""The novel's way to the database: sessions for its own tables, opened when they are first needed."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from backburner import Backburner


class Library:
    """May be used from several threads at once."""

    def __init__(self, bb: Backburner) -> None:
        self._bb = bb
        self._lock = threading.Lock()
        self._engines: dict[bool, Engine] = {}

    @contextlib.contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that waits for nobody and cannot write."""
        with Session(self._engine(read_only=True)) as session:
            yield session

    @contextlib.contextmanager
    def writing(self) -> Iterator[Session]:
        """A transaction that takes its turn: committed at the end of the block, rolled back on an error."""
        with Session(self._engine(read_only=False), expire_on_commit=False) as session, session.begin():
            yield session

    def close(self) -> None:
        """Close the connections; the next use opens new ones."""
        with self._lock:
            engines, self._engines = self._engines, {}
        for engine in engines.values():
            engine.dispose()

    def _engine(self, *, read_only: bool) -> Engine:
        with self._lock:
            engine = self._engines.get(read_only)
            if engine is None:
                engine = self._engines[read_only] = self._bb.create_engine(read_only=read_only)
            return engine
