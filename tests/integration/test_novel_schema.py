"""The novel's own tables: made once, whoever comes first, and never by an older version."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from backburner import Backburner, SchemaOutdated
from backburner_apps.novel.schema import bring_up_to_date
from backburner_apps.novel.tables import HEAD, VERSION_TABLE, Chapter, Novel, Table
from tests.support.backends import Backend

OPEN = """
import sys
from backburner import Backburner
from backburner_apps.novel.schema import bring_up_to_date
bb = Backburner(sys.argv[1])
bb.on_open(bring_up_to_date)
sys.stdin.readline()
bb.open()
bb.close()
print("alembic" in sys.modules)
"""


@pytest.fixture
def url(backend: Backend, tmp_path: Path) -> Iterator[str]:
    with backend.fresh(tmp_path) as url:
        yield url


def open_novels(url: str) -> Backburner:
    bb = Backburner(url)
    bb.on_open(bring_up_to_date)
    bb.open()
    return bb


def count(bb: Backburner) -> tuple[int | None, int | None]:
    engine = bb.create_engine(read_only=True)
    with Session(engine) as session:
        found = (
            session.scalar(select(func.count()).select_from(Novel)),
            session.scalar(select(func.count()).select_from(Chapter)),
        )
    engine.dispose()
    return found


def start(url: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", OPEN, url]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_processes_that_start_at_once_install_the_samples_once(url: str) -> None:
    processes = [start(url) for _ in range(4)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    bb = open_novels(url)
    assert count(bb) == (2, 6)
    bb.close()


def test_a_database_that_is_up_to_date_is_opened_without_alembic(url: str) -> None:
    open_novels(url).close()
    said, _ = start(url).communicate("\n", timeout=60)
    assert said.strip() == "False"


def test_a_sample_that_is_gone_does_not_come_back(url: str) -> None:
    bb = open_novels(url)
    engine = bb.create_engine()
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM novel_chapters"))
        connection.execute(text("DELETE FROM novel_novels"))
    engine.dispose()
    bb.close()
    bb.open()
    assert count(bb) == (0, 0)
    bb.close()


def test_the_migrations_make_exactly_the_tables_of_the_code(url: str) -> None:
    bb = open_novels(url)
    engine = bb.create_engine(read_only=True)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "include_object": lambda thing, name, kind, reflected, other: kind != "table" or name in Table.metadata,
                "version_table": VERSION_TABLE,
            },
        )
        assert context.get_current_revision() == HEAD
        assert compare_metadata(context, Table.metadata) == []
    engine.dispose()
    bb.close()


def test_a_newer_database_is_refused(url: str) -> None:
    bb = open_novels(url)
    engine = bb.create_engine()
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    engine.dispose()
    bb.close()
    with pytest.raises(SchemaOutdated, match="Upgrade backburner-apps"):
        bb.open()
