"""A fresh database for a while."""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ..domain.errors import ConfigurationError

if TYPE_CHECKING:
    from ..app import Backburner

VARIABLE = "BACKBURNER_TEST_DATABASE_URL"


@contextlib.contextmanager
def temporary_backburner(bb: Backburner, url: str | None = None) -> Iterator[Backburner]:
    """Point ``bb`` at a fresh database, and back at its own afterwards.

    A new SQLite file, unless ``url`` or `BACKBURNER_TEST_DATABASE_URL` names a PostgreSQL server: then a new database
    on it, dropped at the end; its user needs the right to make databases. Raises `ConfigurationError`.
    """
    url = url or os.environ.get(VARIABLE) or "sqlite:///"
    with contextlib.ExitStack() as stack:
        fresh = _fresh_file() if url.startswith("sqlite") else _fresh_database(url)
        address = stack.enter_context(fresh)
        settings, clock = bb.settings, bb.clock
        bb.close()
        bb.settings = settings.model_copy(update={"database_url": address})
        bb.set_clock(0)
        try:
            yield bb
        finally:
            bb.close()
            bb.set_clock(*clock)
            bb.settings = settings


@contextlib.contextmanager
def _fresh_file() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="backburner-", ignore_cleanup_errors=True) as folder:
        (Path(folder) / "jobs.db").write_bytes(_migrated_file())
        yield f"sqlite:///{folder}/jobs.db"


@functools.cache
def _migrated_file() -> bytes:
    """Made once a process: migrating takes longer than most tests."""
    from ..store.schema import bring_up_to_date
    from ..store.sqlite import SQLite

    with tempfile.TemporaryDirectory(prefix="backburner-", ignore_cleanup_errors=True) as folder:
        file = Path(folder) / "jobs.db"
        bring_up_to_date(SQLite(str(file)))
        return file.read_bytes()


@contextlib.contextmanager
def _fresh_database(url: str) -> Iterator[str]:
    if not url.startswith("postgres"):
        raise ConfigurationError(f"{VARIABLE} is {url!r}: name a PostgreSQL server, or leave it out for SQLite files")
    name = f"backburner_test_{os.getpid()}_{secrets.token_hex(5)}"
    _administer(url, f'CREATE DATABASE "{name}"')
    try:
        yield urlsplit(url)._replace(path=f"/{name}").geturl()
    finally:
        _administer(url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def _administer(url: str, statement: str) -> None:
    import psycopg

    address = f"postgresql:{url.partition(':')[2]}"
    try:
        with psycopg.connect(address, autocommit=True, connect_timeout=10) as connection:
            connection.execute(statement.encode())
    except psycopg.Error as error:
        raise ConfigurationError(f"{VARIABLE}: no database can be made there: {str(error).strip()}") from None
