"""A SQLAlchemy session on a connection that somebody else commits."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .connection import Connection

if TYPE_CHECKING:
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
    from sqlalchemy import create_engine
    from sqlalchemy.orm import Session
    from sqlalchemy.pool import StaticPool

    borrowed = Borrowed(connection.raw)
    engine = create_engine(f"{connection.dialect.name}://", creator=lambda: borrowed, poolclass=StaticPool)
    try:
        with engine.connect() as outer, Session(outer, join_transaction_mode="create_savepoint") as session:
            yield session
            session.commit()
    finally:
        engine.dispose()
