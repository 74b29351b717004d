"""The novel's tables are brought up to date when backburner's store is opened."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.orm import Session

from backburner import Backburner, SchemaOutdated

from .sample_novels import install_samples
from .tables import HEAD, VERSION_TABLE

MIGRATIONS = Path(__file__).parent / "migrations"


def bring_up_to_date(bb: Backburner) -> None:
    """Migrate forward where needed, and put the samples into a new database; safe when several processes start at once.

    Raises `SchemaOutdated` for a database that a newer version has migrated.
    """
    reader = bb.create_engine(read_only=True)
    try:
        version = _version(reader)
    finally:
        reader.dispose()
    if version == HEAD:
        return
    if version is not None and version > HEAD:
        raise SchemaOutdated(
            f"the novels are at schema {version}, which a newer version made; this one knows {HEAD}. "
            "Upgrade backburner-apps."
        )
    writer = bb.create_engine()
    try:
        _migrate(writer)
    finally:
        writer.dispose()


def _version(engine: Engine) -> str | None:
    with engine.connect() as connection:
        return _version_of(connection)


def _version_of(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    found: str | None = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()
    return found


def _migrate(engine: Engine) -> None:
    """One transaction: whoever comes second finds everything done."""
    # A moment to import, and needed once in a database's life.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    with engine.begin() as connection:
        before = _version_of(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        if before is None:
            with Session(connection, join_transaction_mode="create_savepoint") as session, session.begin():
                install_samples(session)
