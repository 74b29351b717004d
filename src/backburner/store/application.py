"""The application's own transactions on the same database file."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection as SQLAlchemyConnection
from sqlalchemy import Engine, event, insert
from sqlalchemy import create_engine as sqlalchemy_engine
from sqlalchemy.pool import QueuePool

from ..domain.errors import ConfigurationError, StoreUnavailable
from ..domain.job import NewJob
from ..ports import Hint
from . import tables
from .connection import Connection
from .session import Borrowed
from .sqlite import SQLite
from .submitting import insert_jobs
from .turn import Turn

if TYPE_CHECKING:
    import sqlalchemy
    from sqlalchemy.orm import Session


def create_engine(database: SQLite, read_only: bool) -> Engine:
    """An engine whose transactions are whole turns: begun at once as writers, given back when they end."""
    if read_only:
        engine = sqlalchemy_engine("sqlite://", creator=database.open_reader, poolclass=QueuePool)
        _speak_plainly(engine, database)
        return engine

    def connect() -> TurnConnection:
        turn = database.turn()
        try:
            connection: TurnConnection = database.open_writer(TurnConnection, checkpoint=False)
        except BaseException:
            turn.close()
            raise
        connection.turn = turn
        return connection

    engine = sqlalchemy_engine("sqlite://", creator=connect, poolclass=QueuePool)

    @event.listens_for(engine, "begin")
    def begin(connection: sqlalchemy.Connection) -> None:
        raw: Any = connection.connection.dbapi_connection
        try:
            raw.begin()
        except sqlite3.Error as error:
            raise database.translate(error) from error

    _speak_plainly(engine, database)
    return engine


def _speak_plainly(engine: Engine, database: SQLite) -> None:
    """A full or read-only disk is `StoreUnavailable` for the application too; its own bad SQL is not."""

    @event.listens_for(engine, "handle_error")
    def translate(context: sqlalchemy.ExceptionContext) -> None:
        if getattr(context.original_exception, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR:
            return
        error = database.translate(context.original_exception)
        if isinstance(error, StoreUnavailable):
            raise error from context.original_exception


class TurnConnection(sqlite3.Connection):
    """A connection whose transactions take the turn."""

    turn: Turn

    def begin(self) -> None:
        self.turn.take()
        try:
            self.execute("BEGIN IMMEDIATE")
        except BaseException:
            self.turn.give_back()
            raise

    def commit(self) -> None:
        held = self.in_transaction
        super().commit()
        if held:
            self.turn.give_back()
            self.turn.pause_for_others()

    def rollback(self) -> None:
        super().rollback()
        self.turn.give_back()

    def close(self) -> None:
        super().close()
        self.turn.close()


def insert_through(
    session: Session | sqlalchemy.Connection, job: NewJob, database: SQLite, ring: Callable[[Hint], None]
) -> int:
    """Insert a job on somebody else's connection; answers its time of creation.

    Its first event is written by the next writer that sees it: an owner's stream must not be held by a transaction
    of unknown length.
    """
    connection = session if isinstance(session, SQLAlchemyConnection) else session.connection()
    raw = _same_database(connection, database)
    now = database.now(raw)
    insert_jobs(Connection(raw, database.language), [job], now, seq=0)
    connection.execute(insert(tables.unannounced).values(job_id=job.id))
    if connection is not session:
        event.listen(session, "after_commit", lambda _: ring(Hint(work=True, events=True)), once=True)
    return now


def _same_database(connection: Any, database: SQLite) -> Any:
    raw = connection.connection.dbapi_connection
    if isinstance(raw, Borrowed):
        return raw
    if not isinstance(raw, sqlite3.Connection):
        raise ConfigurationError(
            f"submit_in needs a connection of the standard sqlite3 module, this one is {type(raw).__module__}: two "
            "SQLite libraries in one process ignore each other's locks. Use bb.create_engine()."
        )
    file = raw.execute("PRAGMA database_list").fetchone()[2]
    if os.path.realpath(file) != database.path:
        raise ConfigurationError(
            f"submit_in was given a session on {file or 'an in-memory database'}, the jobs are in {database.path}: "
            "use one database for both, or submit() after the commit."
        )
    return raw
