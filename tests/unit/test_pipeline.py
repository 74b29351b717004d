"""Statements on libpq's pipeline."""

from __future__ import annotations

import gc
import importlib
import pkgutil
import weakref
from collections.abc import Callable, Iterator
from typing import NoReturn

import psycopg
import pytest
from psycopg.pq import ExecStatus, TransactionStatus

import backburner.store
from backburner.domain.operations import GetJob, Submit
from backburner.store.connection import Family, Statement, rehearse
from backburner.store.pipeline import Pipelined, numbered
from backburner.store.postgres import Postgres
from backburner.store.store import SQLStore
from tests.support.making import new_job
from tests.support.postgres import fresh_database, migrate_postgres, server_answers


@pytest.fixture
def address(missing: Callable[[str], NoReturn]) -> Iterator[str]:
    if not server_answers():
        missing("a PostgreSQL server")
    with fresh_database(migrate_postgres) as url:
        yield url


@pytest.fixture
def raw(address: str) -> Iterator[Pipelined]:
    with Pipelined.connect(address, autocommit=True) as connection:
        yield connection


def test_answers_may_be_read_in_any_order(raw: Pipelined) -> None:
    raw.enter_pipeline()
    first = raw.execute("SELECT %s::bigint, %s::text, %s::boolean", (1, "ein 'Wort' %s", None))
    second = raw.execute("SELECT generate_series(1, 3), 'a %% sign'")
    assert second.fetchall() == [(1, "a % sign"), (2, "a % sign"), (3, "a % sign")]
    assert first.fetchone() == (1, "ein 'Wort' %s", None)
    raw.leave_pipeline()


def test_a_statement_without_rows_has_none_and_says_how_many_it_touched(raw: Pipelined) -> None:
    raw.enter_pipeline()
    raw.execute("CREATE TEMPORARY TABLE things AS SELECT generate_series(1, 5) AS number")
    assert raw.execute("SELECT number FROM things WHERE number > 9").fetchone() is None
    assert raw.execute("DELETE FROM things WHERE number > %s::int", (2,)).rowcount == 3
    raw.leave_pipeline()


def test_the_first_error_shows_at_what_is_read_next_and_at_the_end(raw: Pipelined) -> None:
    raw.enter_pipeline()
    raw.execute("BEGIN")
    raw.execute("SELECT 1 / %s::int", (0,))
    after = raw.execute("SELECT %s::int", ("no number",))
    with pytest.raises(psycopg.errors.DivisionByZero):
        after.fetchone()
    with pytest.raises(psycopg.errors.DivisionByZero):
        raw.leave_pipeline()
    assert raw.info.transaction_status is TransactionStatus.INERROR
    raw.execute("ROLLBACK")


def test_an_error_that_nobody_reads_shows_at_the_end(raw: Pipelined) -> None:
    raw.enter_pipeline()
    raw.execute("SELECT nothing")
    with pytest.raises(psycopg.errors.UndefinedColumn):
        raw.leave_pipeline()
    assert raw.info.transaction_status is TransactionStatus.IDLE


def test_after_an_error_the_same_statements_can_be_sent_again(raw: Pipelined) -> None:
    for divisor, expected in ((0, None), (1, 7), (0, None), (1, 7)):
        raw.enter_pipeline()
        raw.execute("BEGIN")
        raw.execute("SELECT 1 / %s::int", (divisor,))
        answer = raw.execute("SELECT 7")
        if expected is None:
            with pytest.raises(psycopg.errors.DivisionByZero):
                raw.leave_pipeline()
            raw.execute("ROLLBACK")
        else:
            assert answer.fetchone() == (expected,)
            raw.execute("COMMIT")
            raw.leave_pipeline()


def test_more_than_the_sockets_hold_passes_both_ways(raw: Pipelined) -> None:
    long = "x" * 2_000_000
    raw.enter_pipeline()
    answers = [raw.execute("SELECT %s::text || %s::text", (long, str(number))) for number in range(20)]
    assert [answer.fetchone()[0][-2:] for answer in answers[:10]] == [f"x{number}" for number in range(10)]
    raw.leave_pipeline()


def test_a_value_that_cannot_be_sent_spoils_nothing(raw: Pipelined) -> None:
    raw.enter_pipeline()
    with pytest.raises(psycopg.DataError):
        raw.execute("SELECT %s::text", ("a\0b",))
    assert raw.execute("SELECT 1").fetchone() == (1,)
    raw.leave_pipeline()


@pytest.mark.parametrize("noticed", ["at the next answer", "at the end"])
def test_what_a_server_says_as_it_goes_away_is_the_error(raw: Pipelined, address: str, noticed: str) -> None:
    raw.enter_pipeline()
    (pid,) = raw.execute("SELECT pg_backend_pid()").fetchone()
    with psycopg.connect(address, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 10000)", (pid,))
    if noticed == "at the next answer":
        with pytest.raises(psycopg.errors.AdminShutdown):
            raw.execute("SELECT 1").fetchone()
    with pytest.raises(psycopg.errors.AdminShutdown):
        raw.leave_pipeline()
    assert raw.closed


def test_every_statement_of_the_store_says_what_its_parameters_are(raw: Pipelined, address: str) -> None:
    """Parameters are sent without a type: PostgreSQL must be able to tell it from where they stand."""
    names = [module.name for module in pkgutil.iter_modules(backburner.store.__path__)]
    modules = [importlib.import_module(f"backburner.store.{name}") for name in names]
    language = Postgres(address).language
    rehearse(language)
    texts: set[str] = set()
    for module in modules:
        for found in vars(module).values():
            statement = found.with_array() if isinstance(found, Family) else found
            if isinstance(statement, Statement):
                statement.single(language)
                written = statement._single.get(language.name), statement._bulk.get(language.name)
                texts.update(each[0] for each in written if each is not None)
    assert len(texts) > 100
    refused = {}
    for sql in texts:
        result = raw.pgconn.prepare(b"", numbered(sql).encode())
        if result.status != ExecStatus.COMMAND_OK:
            refused[sql] = result.get_error_message()
    assert refused == {}


def prepared(raw: Pipelined) -> int:
    return raw.execute("SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'backburner%'").fetchone()[0]


def test_transactions_that_keep_failing_leave_no_more_statements_behind(raw: Pipelined) -> None:
    for _ in range(5):
        raw.enter_pipeline()
        raw.execute("BEGIN")
        raw.execute("SELECT 1 / %s::int", (0,))
        raw.execute("SELECT 'never reached'")
        with pytest.raises(psycopg.errors.DivisionByZero):
            raw.leave_pipeline()
        raw.execute("ROLLBACK")
    assert prepared(raw) == 2


def test_a_connection_whose_statements_were_deallocated_is_closed(raw: Pipelined) -> None:
    raw.enter_pipeline()
    raw.execute("SELECT 1")
    raw.leave_pipeline()
    raw.execute("DEALLOCATE ALL")
    raw.enter_pipeline()
    raw.execute("SELECT 1")
    with pytest.raises(psycopg.errors.InvalidSqlStatementName):
        raw.leave_pipeline()
    assert raw.closed


def test_an_error_is_not_kept_once_it_was_told(raw: Pipelined) -> None:
    raw.enter_pipeline()
    raw.execute("SELECT nothing")
    with pytest.raises(psycopg.errors.UndefinedColumn) as told:
        raw.leave_pipeline()
    error = weakref.ref(told.value)
    del told
    gc.collect()
    assert error() is None


def test_a_writer_goes_on_after_an_application_has_deallocated_its_statements(address: str) -> None:
    store = SQLStore(Postgres(address), lambda hint: None)
    try:
        job = new_job()
        store.write_sync(Submit((job,)))
        store._writer._connection.raw.execute("DEALLOCATE ALL")
        store.write_sync(Submit((new_job(),)))
        assert store.read_sync(GetJob(job.id)) is not None
    finally:
        store.close()
