"""The tests' own tools, which a mistake in would make every PostgreSQL test lie."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

import psycopg
import pytest

from tests.support.postgres import PrivatePostgres, fresh_database, server_answers, server_url

Missing = Callable[[str], NoReturn]


@pytest.fixture(autouse=True)
def _server(missing: Missing) -> None:
    if not server_answers():
        missing("a PostgreSQL server")


def migrate(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE made (number int)")
        connection.execute("INSERT INTO made VALUES (1)")


def test_a_fresh_database_is_migrated_and_knows_nothing_of_its_neighbours() -> None:
    with fresh_database(migrate) as one, fresh_database(migrate) as two:
        with psycopg.connect(one) as connection:
            connection.execute("INSERT INTO made VALUES (2)")
        assert ([(1,), (2,)], [(1,)]) == (_numbers(one), _numbers(two))


def test_a_fresh_database_goes_away_even_when_somebody_is_connected() -> None:
    with fresh_database() as url:
        connection = psycopg.connect(url)
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT 1")
    with psycopg.connect(server_url()) as admin:
        name = url.rsplit("/", 1)[1]
        assert [] == admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchall()


def test_a_private_server_keeps_what_was_committed_when_it_crashes(missing: Missing) -> None:
    if not PrivatePostgres.installed():
        missing("PostgreSQL's initdb")
    with PrivatePostgres() as server:
        migrate(server.url)
        server.stop("immediate")
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(server.url)
        server.start()
        assert [(1,)] == _numbers(server.url)


def _numbers(url: str) -> list[tuple[int]]:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT number FROM made ORDER BY number").fetchall()
