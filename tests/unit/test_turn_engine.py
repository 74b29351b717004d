"""Engines that take the turn: the application's own transactions in an SQLite file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from backburner import Backburner, Run
from backburner.domain.errors import StoreUnavailable
from backburner.store import turn
from tests.support.making import refusal


@pytest.fixture
def noted(bb: Backburner) -> Any:
    @bb.task
    async def noted(run: Run, body: str) -> str:
        return body

    return noted


@pytest.fixture
def engine(bb: Backburner, noted: Any) -> Iterator[Engine]:
    engine = bb.create_engine()
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE notes (body TEXT)"))
    yield engine
    engine.dispose()


def note_and_raise(connection: Connection) -> None:
    connection.execute(text("INSERT INTO notes VALUES ('c')"))
    raise RuntimeError("no")


def test_a_held_transaction_of_the_application_is_named_when_patience_ends(
    bb: Backburner, noted: Any, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turn, "PATIENCE", 0.02)
    with engine.connect() as connection:
        connection.execute(text("INSERT INTO notes VALUES ('held')"))
        with pytest.raises(StoreUnavailable, match="has been writing"):
            noted.submit_sync("a")
        connection.rollback()
    noted.submit_sync("b")


def test_the_turn_is_given_back_whichever_way_a_transaction_ends(bb: Backburner, noted: Any, engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(text("INSERT INTO notes VALUES ('a')"))
        connection.commit()
        noted.submit_sync("after a commit")
        connection.execute(text("INSERT INTO notes VALUES ('b')"))
        connection.rollback()
        noted.submit_sync("after a rollback")
    with pytest.raises(RuntimeError, match="no"), engine.begin() as connection:
        note_and_raise(connection)
    noted.submit_sync("after an error")
    with pytest.raises(OperationalError, match="no such table"), engine.begin() as connection:
        connection.execute(text("INSERT INTO nowhere VALUES ('c')"))
    noted.submit_sync("after a bad statement")
    connection = engine.connect()
    connection.execute(text("INSERT INTO notes VALUES ('d')"))
    connection.close()
    noted.submit_sync("after a close")


def test_a_turn_that_never_came_leaves_the_connection_usable(
    bb: Backburner, noted: Any, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with engine.connect() as holder, engine.connect() as other:
        holder.execute(text("INSERT INTO notes VALUES ('held')"))
        with monkeypatch.context() as patch:
            patch.setattr(turn, "PATIENCE", 0.02)
            assert refusal(lambda: other.execute(text("INSERT INTO notes VALUES ('x')"))) is StoreUnavailable
        holder.commit()
        other.execute(text("INSERT INTO notes VALUES ('y')"))
        other.commit()
        assert other.execute(text("SELECT body FROM notes ORDER BY body")).scalars().all() == ["held", "y"]


def test_a_read_only_engine_waits_for_nobody(bb: Backburner, noted: Any, engine: Engine) -> None:
    reading = bb.create_engine(read_only=True)
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO notes VALUES ('held')"))
        with reading.connect() as reader:
            assert reader.execute(text("SELECT count(*) FROM notes")).scalar() == 0
            with pytest.raises(StoreUnavailable, match="read-only"):
                reader.execute(text("INSERT INTO notes VALUES ('x')"))
    reading.dispose()
