from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from backburner import Backburner, Run
from backburner.domain.errors import ConfigurationError, StoreUnavailable
from backburner.domain.job import Status
from backburner.domain.operations import Cancel, GetJob, JobEvents, OwnerEvents
from backburner.ports import Hint
from backburner.store import turn
from tests.support.making import claim, kinds, log_of, look, refusal, register


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


def exists(bb: Backburner, job: str) -> bool:
    return bb.store.read_sync(GetJob(job)) is not None


def test_a_job_exists_exactly_if_the_transaction_commits(bb: Backburner, noted: Any, engine: Engine) -> None:
    with Session(engine) as session:
        session.execute(text("INSERT INTO notes VALUES ('a')"))
        job = bb.submit_in(session, noted, "a")
        assert not exists(bb, job.id)
        session.commit()
    assert look(bb.store, job.id).status is Status.PENDING
    assert look(bb.store, job.id).args == {"body": "a"}


def test_a_job_of_a_rolled_back_transaction_never_was(bb: Backburner, noted: Any, engine: Engine) -> None:
    with Session(engine) as session:
        job = bb.submit_in(session, noted, "a")
        session.rollback()
    assert not exists(bb, job.id)


def test_a_connection_serves_as_well_as_a_session(bb: Backburner, noted: Any, engine: Engine) -> None:
    with engine.begin() as connection:
        job = bb.submit_in(connection, noted.using(owner="ann", priority=9), "a")
    record = look(bb.store, job.id)
    assert (record.owner, record.priority) == ("ann", 9)


def test_an_applications_own_engine_on_the_same_file_serves_too(bb: Backburner, noted: Any) -> None:
    bb.open()
    own = create_engine(bb.settings.database_url)
    with Session(own) as session:
        job = bb.submit_in(session, noted, "a")
        session.commit()
    own.dispose()
    assert exists(bb, job.id)


def test_the_bell_rings_after_the_commit(bb: Backburner, noted: Any, engine: Engine) -> None:
    hints: list[Hint] = []
    rung = threading.Event()

    def listen(hint: Hint) -> None:
        hints.append(hint)
        rung.set()

    unsubscribe = bb.signal.subscribe(listen)
    with Session(engine) as session:
        bb.submit_in(session, noted, "a")
        session.commit()
    assert rung.wait(5)
    unsubscribe()
    assert hints[0].work


def test_another_file_is_refused(bb: Backburner, noted: Any, tmp_path: Path) -> None:
    for url in (f"sqlite:///{tmp_path}/other.db", "sqlite://"):
        other = create_engine(url)
        with Session(other) as session, pytest.raises(ConfigurationError, match="one database for both"):
            bb.submit_in(session, noted, "a")
        other.dispose()


def test_another_driver_is_refused(bb: Backburner, noted: Any) -> None:
    class Stranger:
        def __init__(self, raw: sqlite3.Connection) -> None:
            self.raw = raw

        def __getattr__(self, name: str) -> Any:
            return getattr(self.raw, name)

    raw = sqlite3.connect(":memory:")
    other = create_engine("sqlite://", creator=lambda: Stranger(raw))
    with Session(other) as session, pytest.raises(ConfigurationError, match="two SQLite libraries"):
        bb.submit_in(session, noted, "a")
    other.dispose()
    raw.close()


def test_the_submit_is_announced_once_by_the_next_claim(bb: Backburner, noted: Any, engine: Engine) -> None:
    with Session(engine) as session:
        job = bb.submit_in(session, noted.using(owner="ann"), "a")
        session.commit()
    assert log_of(bb.store, job.id) == []
    claim(bb.store, register(bb.store, "noted"), noted=None)
    claim(bb.store, register(bb.store, "noted"), noted=None)
    assert kinds(bb.store, job.id) == ["job.submitted", "job.started"]
    assert [event.seq for event in log_of(bb.store, job.id)] == [1, 2]
    assert [event.position for event in bb.store.read_sync(OwnerEvents("ann"))] == [1, 2]


def test_a_cancel_announces_too_and_the_next_claim_not_again(bb: Backburner, noted: Any, engine: Engine) -> None:
    with Session(engine) as session:
        job = bb.submit_in(session, noted, "a")
        session.commit()
    bb.store.write_sync(Cancel(job.id, None))
    assert claim(bb.store, register(bb.store, "noted"), noted=None) == []
    assert kinds(bb.store, job.id) == ["job.submitted", "job.cancelled"]
    assert [event.seq for event in log_of(bb.store, job.id)] == [1, 2]


def test_a_crowd_is_announced_before_any_of_it_starts(bb: Backburner, noted: Any, engine: Engine) -> None:
    """The last one, being urgent, is claimed first."""
    with Session(engine) as session:
        jobs = [bb.submit_in(session, noted, "a") for _ in range(250)]
        jobs.append(bb.submit_in(session, noted.using(priority=10), "urgent"))
        session.commit()
    worker = register(bb.store, "noted")
    assert [each.id for each in claim(bb.store, worker, count=1, noted=None)] == [jobs[-1].id]
    while claim(bb.store, worker, count=64, noted=None):
        pass
    for job in jobs:
        events = bb.store.read_sync(JobEvents(job.id))
        assert [(event.seq, event.kind) for event in events] == [(1, "job.submitted"), (2, "job.started")]


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
