"""The schema is brought up to date when a store is opened; Alembic is only loaded where there is work to do."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from ..domain.errors import SchemaOutdated
from .session import Borrowed
from .sqlite import SQLite
from .tables import HEAD, VERSION_TABLE

MIGRATIONS = Path(__file__).parent / "migrations"


def current_version(connection: Any) -> str | None:
    """The migration the database is at, None for an empty one."""
    try:
        row = connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return None
        raise
    return None if row is None else str(row[0])


def bring_up_to_date(database: SQLite) -> None:
    """Migrate forward where needed; safe when several processes start at once.

    Raises `SchemaOutdated` for a database that a newer backburner has migrated.
    """
    database.prepare()
    turn = database.turn()
    try:
        turn.take()
        connection = database.open_writer()
        try:
            version = current_version(connection)
            if version is not None and version > HEAD:
                raise SchemaOutdated(
                    f"{database.path} is at schema {version}, which a newer backburner made; this one knows {HEAD}. "
                    "Upgrade backburner."
                )
            if version != HEAD:
                _upgrade(connection)
        finally:
            connection.close()
    except Exception as error:
        raise database.translate(error) from error
    finally:
        turn.give_back()
        turn.close()


def _upgrade(connection: Any) -> None:
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine
    from sqlalchemy.pool import StaticPool

    borrowed = Borrowed(connection)
    engine = create_engine("sqlite://", creator=lambda: borrowed, poolclass=StaticPool)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    connection.execute("BEGIN IMMEDIATE")
    try:
        with engine.connect() as outer:
            config.attributes["connection"] = outer
            command.upgrade(config, "head")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk ends it by itself
            connection.execute("ROLLBACK")
        raise
    finally:
        engine.dispose()
