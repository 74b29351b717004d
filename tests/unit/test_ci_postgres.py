"""Where CI finds no PostgreSQL server that answers, it starts one of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import psycopg
import pytest

from tests.support.postgres import PrivatePostgres

ROOT = Path(__file__).parent.parent.parent
LOOK = """
import json, os, psycopg
url = os.environ["BACKBURNER_TEST_POSTGRES"]
with psycopg.connect(url) as connection:
    folder = connection.execute("SHOW data_directory").fetchone()[0]
print(json.dumps({"url": url, "folder": folder}))
"""


def seen_by_a_command(url: str) -> dict[str, Any]:
    """The server that a command of CI's finds when ``url`` is where the tests look."""
    done = subprocess.run(
        [ROOT / ".ci/with-postgres", sys.executable, "-c", LOOK],
        env={**os.environ, "BACKBURNER_TEST_POSTGRES": url},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_server_that_answers_is_used_as_it_is(server: PrivatePostgres) -> None:
    assert server.url == seen_by_a_command(server.url)["url"]
    with psycopg.connect(server.url):
        """It runs as before."""


def test_where_none_answers_one_is_started_and_gone_at_the_end(missing: Callable[[str], NoReturn]) -> None:
    if not PrivatePostgres.installed():
        missing("a PostgreSQL installation")
    nowhere = "postgresql://postgres@127.0.0.1:1/postgres"
    found = seen_by_a_command(nowhere)
    assert nowhere != found["url"]
    assert not Path(found["folder"]).parent.exists()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(found["url"])


def test_a_server_that_asks_for_a_password_is_left_alone(server: PrivatePostgres) -> None:
    server.stop()
    server.demand_passwords()
    server.start()
    assert server.url != seen_by_a_command(server.url)["url"]
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(server.url)
