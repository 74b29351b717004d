"""A SQLAlchemy session on a connection that somebody else commits."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .connection import Connection

if TYPE_CHECKING:
    import sqlalchemy
    from sqlalchemy.orm import Session


class Borrowed:
    """A driver's connection whose transaction is not ours to end."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)

    def commit(self) -> None:
        """The lender commits."""

    def rollback(self) -> None:
        """The lender rolls back."""

    def close(self) -> None:
        """The lender closes."""


@contextlib.contextmanager
def borrowed_session(connection: Connection) -> Iterator[Session]:
    """A session whose `commit` ends a savepoint only: the rows are committed with the rest of the batch."""
    from sqlalchemy.orm import Session

    with (
        borrowed_engine(connection).connect() as outer,
        Session(outer, join_transaction_mode="create_savepoint") as session,
    ):
        yield session
        session.commit()


def borrowed_engine(connection: Connection) -> sqlalchemy.Engine:
    """SQLAlchemy on this one connection, inside a transaction that somebody else ends; made once for each."""
    if connection.engine is None:
        from sqlalchemy import create_engine
        from sqlalchemy.pool import StaticPool

        borrowed = Borrowed(connection.raw)
        language = connection.language
        connection.engine = create_engine(
            language.url, creator=lambda: borrowed, poolclass=StaticPool, **language.engine_options
        )
    return connection.engine
