"""The tables as the code has them and as the migrations make them are the same."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from backburner.domain.errors import ConfigurationError, SchemaOutdated, StoreUnavailable
from backburner.store.indexes import SCHEMA
from backburner.store.schema import MIGRATIONS, bring_up_to_date, current_version
from backburner.store.sqlite import SQLite
from backburner.store.tables import HEAD, VERSION_TABLE


@pytest.fixture
def database(tmp_path: Path) -> SQLite:
    return SQLite(str(tmp_path / "jobs.db"))


def test_a_migrated_database_has_exactly_the_tables_of_the_code(database: SQLite) -> None:
    bring_up_to_date(database)
    engine = create_engine(f"sqlite:///{database.path}")
    options = {
        "version_table": VERSION_TABLE,
        "compare_type": True,
        "include_name": lambda name, kind, parents: kind != "table" or str(name).startswith("bb_"),
    }
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts=options), SCHEMA) == []
    engine.dispose()


def test_the_code_needs_the_last_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_many_may_open_a_fresh_database_at_once(database: SQLite) -> None:
    barrier = threading.Barrier(4)

    def open_first(_: int) -> None:
        barrier.wait()
        bring_up_to_date(SQLite(database.path))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(open_first, range(4)))
    connection = database.open_reader()
    assert current_version(database, connection) == HEAD
    connection.close()


def test_bringing_up_to_date_twice_changes_nothing(database: SQLite) -> None:
    bring_up_to_date(database)
    before = Path(database.path).read_bytes()
    bring_up_to_date(database)
    assert Path(database.path).read_bytes() == before


def test_a_database_of_a_newer_backburner_is_refused_in_words(database: SQLite) -> None:
    bring_up_to_date(database)
    connection = sqlite3.connect(database.path)
    with connection:
        connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    connection.close()
    with pytest.raises(SchemaOutdated, match=r"Upgrade backburner"):
        bring_up_to_date(database)


def test_an_applications_own_tables_in_the_file_stay_as_they_are(database: SQLite) -> None:
    connection = sqlite3.connect(database.path)
    connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32))")
    connection.execute("CREATE TABLE notes (body TEXT)")
    connection.commit()
    bring_up_to_date(database)
    assert connection.execute("SELECT count(*) FROM alembic_version").fetchone() == (0,)
    connection.close()


def test_a_file_that_is_no_database_is_refused_in_words(database: SQLite) -> None:
    Path(database.path).write_text("dear diary" * 1000)
    with pytest.raises(StoreUnavailable, match=r"jobs\.db"):
        bring_up_to_date(database)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="does not exist"):
        bring_up_to_date(SQLite(str(tmp_path / "no" / "jobs.db")))


def test_an_in_memory_database_is_refused() -> None:
    for path in ("", ":memory:"):
        with pytest.raises(ConfigurationError, match="in-memory"):
            SQLite(path)
