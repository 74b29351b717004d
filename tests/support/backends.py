"""The databases that a store runs on, for tests that must hold on each of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from backburner import Backburner, Settings
from backburner.store.database import Database
from backburner.store.postgres import Postgres
from backburner.store.sqlite import SQLite
from tests.support.migrated import copy_migrated
from tests.support.postgres import fresh_database, migrate_postgres, server_answers


@dataclass(frozen=True, slots=True)
class Backend:
    """``fresh`` makes a migrated database and yields its URL; ``needs`` names what may be missing."""

    name: str
    open: Callable[[str], Database]
    fresh: Callable[[Path], contextlib.AbstractContextManager[str]]
    answers: Callable[[], bool]
    needs: str


@contextlib.contextmanager
def backburner_on(backend: Backend, folder: Path) -> Iterator[Backburner]:
    """A Backburner on a fresh database; a short grace, so that a test which forgets to release a job ends soon."""
    with backend.fresh(folder) as url:
        bb = Backburner(settings=Settings(_env_file=None, database_url=url, grace=0.2))  # type: ignore[call-arg]
        yield bb
        bb.close()


@contextlib.contextmanager
def _fresh_sqlite(folder: Path) -> Iterator[str]:
    copy_migrated(folder / "jobs.db")
    yield f"sqlite:///{folder}/jobs.db"


@contextlib.contextmanager
def _fresh_postgres(folder: Path) -> Iterator[str]:
    with fresh_database(migrate_postgres) as url:
        yield url


BACKENDS = {
    "sqlite": Backend(
        "sqlite", lambda url: SQLite(url.removeprefix("sqlite:///")), _fresh_sqlite, lambda: True, "SQLite"
    ),
    "postgres": Backend("postgres", Postgres, _fresh_postgres, server_answers, "a PostgreSQL server"),
}
