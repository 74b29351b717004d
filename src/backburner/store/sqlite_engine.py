"""Engines for an application's own tables in the file of the jobs."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, event
from sqlalchemy import create_engine as sqlalchemy_engine
from sqlalchemy.pool import QueuePool

from ..domain.errors import ConfigurationError
from .engines import leave_to_parent, speak_plainly
from .turn import Turn

if TYPE_CHECKING:
    import sqlalchemy
    from sqlalchemy.ext.asyncio import AsyncEngine

    from .sqlite import SQLite

BEGIN = "BEGIN IMMEDIATE"


def create_engine(database: SQLite, read_only: bool) -> Engine:
    """An engine whose transactions are whole turns: begun at once as writers, given back when they end."""
    connect = database.open_reader if read_only else lambda: open_in_turn(database)
    engine = sqlalchemy_engine("sqlite://", creator=connect, poolclass=QueuePool)
    if not read_only:

        @event.listens_for(engine, "begin")
        def begin(connection: sqlalchemy.Connection) -> None:
            raw: Any = connection.connection.dbapi_connection
            _begin(database, lambda: raw.execute(BEGIN))

    speak_plainly(engine, database)
    leave_to_parent(engine)
    return engine


def create_async_engine(database: SQLite, read_only: bool) -> AsyncEngine:
    """The same by way of aiosqlite, whose threads wait for the turn. Raises `ConfigurationError` without it."""
    from sqlalchemy.ext.asyncio import create_async_engine as sqlalchemy_engine

    try:
        from aiosqlite import Connection
    except ModuleNotFoundError:
        raise ConfigurationError("an async engine on SQLite needs aiosqlite: pip install aiosqlite") from None

    async def connect() -> Connection:
        return await Connection(database.open_reader if read_only else lambda: open_in_turn(database), 64)

    engine = sqlalchemy_engine(f"sqlite+aiosqlite:///{database.path}", async_creator=connect)
    if not read_only:

        @event.listens_for(engine.sync_engine, "begin")
        def begin(connection: sqlalchemy.Connection) -> None:
            raw: Any = connection.connection.dbapi_connection
            _begin(database, lambda: raw.run_async(lambda driver: driver.execute(BEGIN)))

    speak_plainly(engine.sync_engine, database)
    leave_to_parent(engine.sync_engine)
    return engine


def _begin(database: SQLite, begin: Callable[[], object]) -> None:
    try:
        begin()
    except sqlite3.Error as error:
        raise database.translate(error) from error


def open_in_turn(database: SQLite) -> TurnConnection:
    turn = database.turn()
    try:
        connection: TurnConnection = database.open_writer(TurnConnection, checkpoint=False)
    except BaseException:
        turn.close()
        raise
    connection.turn = turn
    return connection


class TurnConnection(sqlite3.Connection):
    """A connection whose transactions take the turn."""

    turn: Turn
    owed: Callable[[], None] | None = None
    """Called once the transaction under way is committed."""

    def execute(self, sql: str, /, *parameters: Any) -> sqlite3.Cursor:
        if sql != BEGIN:
            return super().execute(sql, *parameters)
        self.turn.take()
        try:
            return super().execute(sql)
        except BaseException:
            self.turn.give_back()
            raise

    def commit(self) -> None:
        held = self.in_transaction
        super().commit()
        if not held:
            return
        self.turn.give_back()
        owed, self.owed = self.owed, None
        if owed is not None:
            owed()
        self.turn.pause_for_others()

    def rollback(self) -> None:
        self.owed = None
        super().rollback()
        self.turn.give_back()

    def close(self) -> None:
        super().close()
        self.turn.close()
