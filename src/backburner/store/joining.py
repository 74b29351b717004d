"""Jobs enter through somebody else's transaction: they exist exactly if that commits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy
from sqlalchemy import Text, bindparam, event, func, select
from sqlalchemy.exc import UnboundExecutionError
from sqlalchemy.orm import Session, scoped_session

from ..domain.errors import ConfigurationError
from ..domain.job import NewJob
from ..domain.operations import Submitted
from ..ports import Hint, Signal
from .batch import Batch
from .connection import ARRAY, Connection, Family, Language, Row, Statement
from .database import CLOSED, Database
from .keying import take_keys
from .session import Borrowed
from .submitting import INSERT_UNANNOUNCED, insert_jobs

OWED = Hint(work=True, events=True)


def submit_through(given: Any, job: NewJob, database: Database, signal: Signal) -> Submitted:
    """Insert a job on somebody else's connection. Raises `ConfigurationError`, `DuplicateJob`."""
    if isinstance(given, scoped_session):
        given = given()
    language = database.language
    if isinstance(given, Session | sqlalchemy.Connection):
        through = _connection_of(given, database)
        return _insert(
            ThroughSQLAlchemy(through, language), through.connection.driver_connection, given, job, database, signal
        )
    bare = database.bare(given)
    if bare is not None:
        return _insert(Connection(bare, language), given, given, job, database, signal)
    if hasattr(given, "run_sync") or database.bare_async(given) is not None:
        raise ConfigurationError(f"{_named(given)} is asynchronous: await bb.submit_in_async(…)")
    raise ConfigurationError(
        f"submit_in was given {_named(given)}: pass a Session or Connection of SQLAlchemy's, or a connection of the "
        f"driver that backburner itself uses for {database.place}."
    )


async def submit_through_async(given: Any, job: NewJob, database: Database, signal: Signal) -> Submitted:
    """The same for connections of asyncio."""
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session
    from sqlalchemy.util import greenlet_spawn

    if isinstance(given, async_scoped_session):
        given = given()
    if isinstance(given, AsyncSession | AsyncConnection):
        return await given.run_sync(submit_through, job, database, signal)
    bare = database.bare_async(given)
    if bare is not None:
        connection = Connection(bare, database.language)
        answer: Submitted = await greenlet_spawn(_insert, connection, given, given, job, database, signal)
        return answer
    raise ConfigurationError(
        f"submit_in_async was given {_named(given)}: pass an AsyncSession or AsyncConnection of SQLAlchemy's, or "
        "psycopg's AsyncConnection. What is not asynchronous goes to submit_in."
    )


def _insert(
    connection: Connection, driver: Any, given: Any, job: NewJob, database: Database, signal: Signal
) -> Submitted:
    """``driver`` is the driver's own connection.

    The first event is written by the next writer that sees the job, and the line entered then: what everybody writes to
    must not be held by a transaction of unknown length. Only the job's key is held, for nobody else may take it.
    """
    borrowed = isinstance(driver, Borrowed)
    now = database.now(driver) if borrowed else database.join(connection, driver)
    instead = take_keys(Batch(connection, lambda: now), [job], set(), {job.id: job})
    if not instead:
        insert_jobs(connection, [job], now, seq=0)
        connection.run(INSERT_UNANNOUNCED, job_id=job.id)
        if not borrowed:  # whoever lent it tells everyone
            _tell_at_commit(given, connection, driver, signal)
    return Submitted(now, instead)


def _connection_of(given: Session | sqlalchemy.Connection, database: Database) -> sqlalchemy.Connection:
    try:
        connection = given if isinstance(given, sqlalchemy.Connection) else given.connection()
        if connection.closed:
            raise ConfigurationError(CLOSED)
    except UnboundExecutionError:
        raise ConfigurationError(
            "this session has no database, or one for each table: pass session.connection(bind_arguments=…) of the one "
            "that the jobs are in."
        ) from None
    if connection.dialect.name != database.language.name:
        raise ConfigurationError(
            f"submit_in was given a connection to {connection.dialect.name}, the jobs are in {database.place}: use one "
            "database for both, or submit() after the commit."
        )
    return connection


def _named(given: Any) -> str:
    return f"a {type(given).__module__}.{type(given).__qualname__}"


def _tell_at_commit(given: Any, connection: Connection, driver: Any, signal: Signal) -> None:
    """Where the database itself can tell, it does; where the commit can be seen, we do; else it is noticed as any other
    program's write is."""
    message = signal.at_commit(OWED)
    if message is not None:
        connection.one(NOTIFY, channel=message[0], payload=message[1])
        return
    raw = getattr(driver, "_conn", driver)
    if hasattr(raw, "owed"):
        raw.owed = lambda: signal.ring(OWED)
    elif isinstance(given, Session):
        event.listen(given, "after_commit", lambda _: signal.ring(OWED), once=True)


class ThroughSQLAlchemy(Connection):
    """The store's statements on a connection of SQLAlchemy's, whatever its driver is."""

    def __init__(self, through: sqlalchemy.Connection, language: Language) -> None:
        super().__init__(through, language)
        self._through = through

    def run(self, statement: Statement, **parameters: Any) -> int:
        return int(self._execute(statement, parameters).rowcount)

    def many(self, statement: Statement, rows: Sequence[dict[str, Any]], **same: Any) -> None:
        if rows:
            self._through.execute(statement.clause(self.language), [{**same, **row} for row in rows])  # type: ignore[call-overload]

    def all(self, statement: Statement, **parameters: Any) -> list[Row]:
        return [tuple(row) for row in self._execute(statement, parameters)]

    def one(self, statement: Statement, **parameters: Any) -> Row | None:
        row = self._execute(statement, parameters).first()
        return None if row is None else tuple(row)

    def among(self, family: Family, values: Sequence[str], **parameters: Any) -> list[Row]:
        if not self.language.arrays:
            return super().among(family, values, **parameters)
        return self.all(family.with_array(), **{ARRAY: list(values)}, **parameters) if values else []

    def ask(self, sql: str) -> Row:
        return tuple(self._through.exec_driver_sql(sql).one())

    def _execute(self, statement: Statement, parameters: dict[str, Any]) -> Any:
        clause: Any = statement.clause(self.language)
        return self._through.execute(clause, parameters, execution_options={"preserve_rowcount": True})


NOTIFY = Statement(select(func.pg_notify(bindparam("channel", type_=Text), bindparam("payload", type_=Text))))
