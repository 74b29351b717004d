"""The schema is brought up to date when a store is opened; Alembic is only loaded where there is work to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..domain.errors import SchemaOutdated
from .connection import Connection
from .database import Database, Turn
from .session import borrowed_engine
from .tables import HEAD, VERSION_TABLE

MIGRATIONS = Path(__file__).parent / "migrations"


def current_version(database: Database, raw: Any) -> str | None:
    """The migration the database is at, None for an empty one."""
    if not database.has_table(raw, VERSION_TABLE):
        return None
    row = raw.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()
    return None if row is None else str(row[0])


def bring_up_to_date(database: Database) -> None:
    """Migrate forward where needed; safe when several processes start at once.

    Raises `SchemaOutdated` for a database that a newer backburner has migrated.
    """
    turn: Turn | None = None
    raw: Any = None
    try:
        database.prepare()
        if _current(database) == HEAD:  # nobody is waited for, who may be the very transaction that opens the store
            return
        turn = database.turn()
        turn.take()
        raw = database.open_writer()
        version = current_version(database, raw)
        if version is not None and version > HEAD:
            raise SchemaOutdated(
                f"{database.place} is at schema {version}, which a newer backburner made; this one knows {HEAD}. "
                "Upgrade backburner."
            )
        if version != HEAD:
            _upgrade(database, raw)
    except Exception as error:
        raise database.translate(error) from error
    finally:
        if raw is not None:
            database.close(raw)
        if turn is not None:
            turn.give_back()
            turn.close()


def _current(database: Database) -> str | None:
    raw = database.open_reader()
    try:
        return current_version(database, raw)
    finally:
        database.close(raw)


def _upgrade(database: Database, raw: Any) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    database.begin(raw)
    database.lend(raw)
    try:
        database.lock_schema(raw)
        if current_version(database, raw) != HEAD:
            borrowed = Connection(raw, database.language)
            with borrowed_engine(borrowed).connect() as outer:
                config.attributes["connection"] = outer
                command.upgrade(config, "head")
            borrowed.close()
            database.tune(raw)
        database.commit(raw)
    except BaseException:
        database.roll_back(raw)
        raise
