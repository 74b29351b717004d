"""What the errors of an application's own statements say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Engine, event

if TYPE_CHECKING:
    import sqlalchemy

    from .database import Database


def speak_plainly(engine: Engine, database: Database) -> None:
    """A full disk or a server that is gone is `StoreUnavailable` for the application too; its own bad SQL is not."""

    @event.listens_for(engine, "handle_error")
    def translate(context: sqlalchemy.ExceptionContext) -> None:
        outage = database.outage(context.original_exception)
        if outage is not None:
            raise outage from context.original_exception
