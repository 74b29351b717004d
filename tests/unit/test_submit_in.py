"""A job that enters through the application's own transaction exists exactly if that commits, whatever carries it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from sqlalchemy import Column, Engine, Integer, MetaData, Table, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from backburner import Backburner, ConfigurationError, Run, Status
from backburner.domain.errors import DuplicateJob, InvalidArguments
from backburner.domain.operations import Cancel, Claim, Execution, ExpireWaiting, GetJob, JobEvents, OwnerEvents
from tests.support.backends import Backend, backburner_on
from tests.support.hearing import Ear
from tests.support.making import claim, complete, kinds, log_of, look, register
from tests.support.postgres import fresh_database

Open = Callable[[Backburner], AbstractContextManager[tuple[Any, Callable[[], None], Callable[[], None]]]]
"""Opens what carries a transaction: itself, its commit and its rollback."""


@pytest.fixture
def bb(backend: Backend, tmp_path: Path) -> Iterator[Backburner]:
    with backburner_on(backend, tmp_path) as bb:
        yield bb


@pytest.fixture
def noted(bb: Backburner) -> Any:
    @bb.task
    async def noted(run: Run, body: str) -> str:
        return body

    return noted


@pytest.fixture
def engine(bb: Backburner) -> Iterator[Engine]:
    engine = bb.create_engine()
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE notes (body TEXT)"))
    yield engine
    engine.dispose()


def own_url(bb: Backburner, driver: str = "psycopg") -> str:
    """As an application would write it that never heard of backburner's engines."""
    url = make_url(bb.settings.database_url)
    return (url if url.drivername == "sqlite" else url.set(drivername=f"postgresql+{driver}")).render_as_string()


@contextmanager
def our_session(bb: Backburner) -> Iterator[Any]:
    engine = bb.create_engine()
    with Session(engine) as session:
        yield session, session.commit, session.rollback
    engine.dispose()


@contextmanager
def our_connection(bb: Backburner) -> Iterator[Any]:
    engine = bb.create_engine()
    with engine.connect() as connection:
        yield connection, connection.commit, connection.rollback
    engine.dispose()


@contextmanager
def own_session(bb: Backburner) -> Iterator[Any]:
    bb.open()
    engine = create_engine(own_url(bb))
    with Session(engine) as session:
        yield session, session.commit, session.rollback
    engine.dispose()


@contextmanager
def flask_session(bb: Backburner) -> Iterator[Any]:
    """As Flask-SQLAlchemy's ``db.session``."""
    engine = bb.create_engine()
    registry = scoped_session(sessionmaker(engine))
    yield registry, registry.commit, registry.rollback
    registry.remove()
    engine.dispose()


def strange_rows(cursor: sqlite3.Cursor, row: Any) -> dict[str, Any]:
    return {column[0]: value for column, value in zip(cursor.description, row, strict=True)}


@contextmanager
def bare_connection(bb: Backburner) -> Iterator[Any]:
    """Its rows are dictionaries, as many applications like them."""
    bb.open()
    url = bb.settings.database_url
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            connection.row_factory = strange_rows
            yield connection, connection.commit, connection.rollback
    else:
        with closing(psycopg.connect(url, row_factory=dict_row, cursor_factory=psycopg.ClientCursor)) as carrier:
            yield carrier, carrier.commit, carrier.rollback


CARRIERS = [our_session, our_connection, own_session, flask_session, bare_connection]


@pytest.fixture(params=CARRIERS, ids=lambda carrier: carrier.__name__)
def carry(request: pytest.FixtureRequest) -> Open:
    found: Open = request.param
    return found


def exists(bb: Backburner, job: str) -> bool:
    return bb.store.read_sync(GetJob(job)) is not None


def test_a_job_exists_exactly_if_the_transaction_commits(bb: Backburner, noted: Any, carry: Open) -> None:
    with carry(bb) as (carrier, commit, rollback):
        job = bb.submit_in(carrier, noted.using(owner="ann", priority=9), "a")
        assert not exists(bb, job.id)
        commit()
        lost = bb.submit_in(carrier, noted, "b")
        rollback()
    record = look(bb.store, job.id)
    assert (Status.PENDING, {"body": "a"}, "ann", 9) == (record.status, record.args, record.owner, record.priority)
    assert not exists(bb, lost.id)
    assert [job.id] == [each.id for each in claim(bb.store, register(bb.store, "noted"), noted=None)]


def test_the_bell_rings_when_it_is_committed_and_not_before(bb: Backburner, noted: Any, carry: Open) -> None:
    """Also where nobody but the net of the signal can notice it."""
    ear = Ear()
    unsubscribe = bb.signal.subscribe(ear)
    other = noted.submit_sync("somebody else's, so that the bell is known to work")
    ear.wait_for(lambda heard: any(hint.work for hint in heard))
    with carry(bb) as (carrier, commit, _):
        job = bb.submit_in(carrier, noted, "a")
        ear.heard.clear()
        commit()
        ear.wait_for(lambda heard: any(hint.work for hint in heard))
    unsubscribe()
    assert [other.id, job.id] == [each.id for each in claim(bb.store, register(bb.store, "noted"), noted=None)]


def test_a_key_is_taken_with_the_job_and_given_up_with_it(bb: Backburner, noted: Any, carry: Open) -> None:
    with carry(bb) as (carrier, commit, rollback):
        bb.submit_in(carrier, noted.using(key="k"), "a")
        rollback()
        first = bb.submit_in(carrier, noted.using(key="k"), "b")
        again = bb.submit_in(carrier, noted.using(key="k"), "c")
        commit()
        later = bb.submit_in(carrier, noted.using(key="k"), "d")
        rollback()
    assert first.id == again.id == later.id
    assert first.id == noted.using(key="k").submit_sync("e").id
    assert later.record.status is Status.PENDING


def test_a_key_that_a_live_job_has_is_rejected_where_the_task_says_so(bb: Backburner, carry: Open) -> None:
    @bb.task(on_duplicate="reject")
    async def once(run: Run) -> None: ...

    live = once.using(key="k").submit_sync()
    with carry(bb) as (carrier, commit, _):
        with pytest.raises(DuplicateJob, match=live.id):
            bb.submit_in(carrier, once.using(key="k"))
        other = bb.submit_in(carrier, once.using(key="l"))
        commit()
    assert exists(bb, other.id)


def test_the_job_that_has_the_key_says_what_it_waits_for(bb: Backburner, carry: Open) -> None:
    @bb.task(concurrency=1)
    async def single(run: Run) -> None:
        return None

    before = single.using(key="first").submit_sync()
    holder = single.using(key="second").submit_sync()
    (running,) = bb.store.write_sync(Claim(register(bb.store), {single.name: single.limit}, 2)).jobs
    assert running.id == before.id
    with carry(bb) as (carrier, _, _):
        found = bb.submit_in(carrier, single.using(key="second"))
    assert (found.id, found.record.waiting_for) == (holder.id, "limit")


def test_delay_run_at_and_expiry_hold(bb: Backburner, noted: Any, carry: Open) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    with carry(bb) as (carrier, commit, _):
        delayed = bb.submit_in(carrier, noted.using(delay=3600), "a")
        dated = bb.submit_in(carrier, noted.using(run_at=tomorrow), "b")
        brief = bb.submit_in(carrier, noted.using(expires=60), "c")
        commit()
    assert look(bb.store, dated.id).run_at == int(tomorrow.timestamp() * 1e6)
    move(bb, seconds=61)
    assert bb.store.write_sync(ExpireWaiting()) == 1
    assert kinds(bb.store, brief.id) == ["job.submitted", "job.failed"]
    move(bb, seconds=3600)
    assert [delayed.id] == [each.id for each in claim(bb.store, register(bb.store, "noted"), noted=None)]


def move(bb: Backburner, seconds: int) -> None:
    bb.store.database.shift += seconds * 1_000_000  # type: ignore[attr-defined]


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


def test_a_savepoint_that_is_undone_takes_the_job_with_it(bb: Backburner, noted: Any, engine: Engine) -> None:
    with Session(engine) as session:
        kept = bb.submit_in(session, noted, "a")
        savepoint = session.begin_nested()
        lost = bb.submit_in(session, noted, "b")
        savepoint.rollback()
        session.commit()
    assert (True, False) == (exists(bb, kept.id), exists(bb, lost.id))


def test_an_application_that_holds_its_transaction_open_stops_nobody_on_postgresql(
    bb: Backburner, noted: Any, engine: Engine, backend: Backend
) -> None:
    if not backend.open(bb.settings.database_url).concurrent:
        pytest.skip("one at a time writes to this database")
    with Session(engine) as session:
        held = bb.submit_in(session, noted.using(owner="ann", key="k"), "held")
        other = noted.using(owner="ann").submit_sync("other")
        assert [other.id] == [each.id for each in claim(bb.store, register(bb.store, "noted"), noted=None)]
        session.commit()
    assert exists(bb, held.id)


def test_another_database_is_refused(bb: Backburner, noted: Any, tmp_path: Path) -> None:
    for url in (f"sqlite:///{tmp_path}/other.db", "sqlite://"):
        other = create_engine(url)
        with Session(other) as session, pytest.raises(ConfigurationError, match="one database for both"):
            bb.submit_in(session, noted, "a")
        other.dispose()


def test_another_database_of_the_same_server_is_refused_and_another_schema_too(
    bb: Backburner, noted: Any, backend: Backend
) -> None:
    if backend.name == "sqlite":
        pytest.skip("SQLite has no server")
    with fresh_database() as url, closing(psycopg.connect(url)) as elsewhere:
        refused(bb, elsewhere, noted, "another server or database")
    with closing(psycopg.connect(bb.settings.database_url, options="-c search_path=pg_temp")) as hidden:
        refused(bb, hidden, noted, "search_path")


def refused(bb: Backburner, given: Any, noted: Any, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        bb.submit_in(given, noted, "a")


def test_another_driver_is_refused(tmp_path: Path) -> None:
    class Stranger:
        def __init__(self, raw: sqlite3.Connection) -> None:
            self.raw = raw

        def __getattr__(self, name: str) -> Any:
            return getattr(self.raw, name)

    bb = Backburner(f"sqlite:///{tmp_path}/jobs.db")
    noted = bb.task(name="noted")(lambda run, body: body)
    raw = sqlite3.connect(":memory:")
    other = create_engine("sqlite://", creator=lambda: Stranger(raw))
    with Session(other) as session, pytest.raises(ConfigurationError, match="two SQLite libraries"):
        bb.submit_in(session, noted, "a")
    other.dispose()
    raw.close()
    bb.close()


def test_a_connection_that_commits_each_statement_is_refused(bb: Backburner, noted: Any) -> None:
    bb.open()
    url = bb.settings.database_url
    sqlite = url.startswith("sqlite")
    raw: Any = (
        sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        if sqlite
        else psycopg.connect(url, autocommit=True)
    )
    with closing(raw):
        with pytest.raises(ConfigurationError, match="commits every statement"):
            bb.submit_in(raw, noted, "a")
        raw.execute("BEGIN")
        job = bb.submit_in(raw, noted, "a")
        raw.execute("COMMIT")
    own = create_engine(own_url(bb), isolation_level="AUTOCOMMIT")
    with own.connect() as connection, pytest.raises(ConfigurationError, match="commits every statement"):
        bb.submit_in(connection, noted, "a")
    own.dispose()
    assert exists(bb, job.id)


def test_what_is_no_connection_is_refused(bb: Backburner, noted: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"builtins\.str"):
        bb.submit_in("a session", noted, "a")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="has no database"):
        bb.submit_in(Session(), noted, "a")


def test_threads_may_submit_in_their_transactions_at_once(bb: Backburner, noted: Any, engine: Engine) -> None:
    jobs: list[str] = []

    def submit(number: int) -> None:
        for turn in range(10):
            with Session(engine) as session:
                job = bb.submit_in(session, noted.using(owner="ann"), f"{number} {turn}")
                session.execute(text("INSERT INTO notes VALUES (:job)"), {"job": job.id})
                session.commit()
            jobs.append(job.id)

    threads = [threading.Thread(target=submit, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with engine.connect() as connection:
        noted_jobs = connection.execute(text("SELECT body FROM notes")).scalars().all()
    worker = register(bb.store, "noted")
    claimed: list[str] = []
    while more := claim(bb.store, worker, count=64, noted=None):
        claimed += [each.id for each in more]
    assert 60 == len(jobs)
    assert sorted(jobs) == sorted(noted_jobs) == sorted(claimed)


def test_submits_of_the_same_work_share_it_once_they_are_committed(bb: Backburner, carry: Open) -> None:
    @bb.task(cache=timedelta(hours=1))
    async def shared(run: Run, body: str) -> str:
        return body

    with carry(bb) as (carrier, commit, rollback):
        first = bb.submit_in(carrier, shared.using(owner="ann", key="k"), "a")
        second = bb.submit_in(carrier, shared.using(owner="ann"), "a")
        other = bb.submit_in(carrier, shared.using(owner="bob"), "a")
        assert bb.submit_in(carrier, shared.using(owner="ann", key="k"), "a").id == first.id
        commit()
        lost = bb.submit_in(carrier, shared.using(owner="cyd"), "a")
        rollback()
    third = shared.using(owner="ann").submit_sync("a")
    claimed = claim(bb.store, register(bb.store, "shared"), shared=None)
    assert [each.owner for each in claimed] == ["ann", "bob"]
    complete(bb.store, Execution(claimed[0].id, claimed[0].attempt), '"a"')
    assert [look(bb.store, job.id).status for job in (first, second, third)] == [Status.COMPLETED] * 3
    assert look(bb.store, other.id).status is Status.RUNNING
    assert not exists(bb, lost.id)
    with carry(bb) as (carrier, commit, _):
        answered = bb.submit_in(carrier, shared.using(owner="ann", key="k"), "a")
        commit()
    assert answered.id != first.id
    assert claim(bb.store, register(bb.store, "shared"), shared=None) == []
    record = look(bb.store, answered.id)
    assert (Status.COMPLETED, 0.0) == (record.status, record.duration_seconds)
    assert answered.result_sync() == "a"
    assert kinds(bb.store, answered.id)[0] == "job.submitted"


def test_a_connection_that_has_other_databases_beside_is_still_one_to_the_jobs(
    bb: Backburner, noted: Any, engine: Engine
) -> None:
    """As where an application has just made its tables, by which SQLite opens a place for temporary ones."""
    metadata = MetaData()
    Table("own", metadata, Column("id", Integer, primary_key=True))
    metadata.create_all(engine)
    with Session(engine) as session:
        session.execute(text("CREATE TEMPORARY TABLE passing (id INTEGER)"))
        job = bb.submit_in(session, noted, body="x")
        session.commit()
    assert job.refresh_sync().status is Status.PENDING


def test_what_is_no_task_of_this_backburner_is_not_submitted(bb: Backburner, noted: Any, engine: Engine) -> None:
    async def plain(run: Run) -> None: ...

    stranger = Backburner("sqlite:///elsewhere.db").task(plain)
    with Session(engine) as session:
        for task in (plain, "noted", None, stranger):
            with pytest.raises(InvalidArguments, match="give a task"):
                bb.submit_in(session, task)  # type: ignore[arg-type]


def test_a_closed_connection_is_refused_in_words(bb: Backburner, noted: Any, engine: Engine) -> None:
    connection = engine.connect()
    connection.close()
    bare = bare_connection(bb)
    bare.close()
    for closed in (connection, bare):
        with pytest.raises(ConfigurationError, match="open"):
            bb.submit_in(closed, noted, body="x")


def bare_connection(bb: Backburner) -> Any:
    url = bb.settings.database_url
    return sqlite3.connect(url.removeprefix("sqlite:///")) if url.startswith("sqlite") else psycopg.connect(url)
