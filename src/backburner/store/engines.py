"""What the application's own engines have in common."""

from __future__ import annotations

import os
import weakref
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


def leave_to_parent(engine: Engine) -> None:
    """After a fork the child opens connections of its own: those in the pool go on being the parent's."""
    known = weakref.ref(engine)

    def forget() -> None:
        found = known()
        if found is not None:
            found.dispose(close=False)

    os.register_at_fork(after_in_child=forget)
