"""`run.transaction`: the application's rows, the step's result and the fence are one commit, on every database."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import String, UniqueConstraint, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from backburner import Backburner, Fail, Run, Status
from backburner.store.postgres import PLANS
from tests.conftest import Start
from tests.support.backends import Backend, backburner_on

PATIENCE = 20.0


class Base(DeclarativeBase):
    pass


class Note(Base):
    __tablename__ = "notes"
    __table_args__ = (UniqueConstraint("body"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    body: Mapped[str] = mapped_column(String(50))
    read: Mapped[int] = mapped_column(default=0)


@pytest.fixture
def bb(backend: Backend, tmp_path: Path) -> Iterator[Backburner]:
    with backburner_on(backend, tmp_path) as bb:
        engine = bb.create_engine()
        with engine.begin() as connection:
            Base.metadata.create_all(connection)
            connection.execute(text("INSERT INTO notes (body, read) VALUES ('first', 0), ('second', 0)"))
        engine.dispose()
        yield bb


@pytest.fixture
def several(backend: Backend, bb: Backburner) -> None:
    """Where several may write at once."""
    if not backend.open(bb.settings.database_url).concurrent:
        pytest.skip("one at a time writes to this database")


def notes(bb: Backburner) -> dict[str, int]:
    engine = bb.create_engine(read_only=True)
    with Session(engine) as session:
        found = {note.body: note.read for note in session.scalars(select(Note))}
    engine.dispose()
    return found


def test_objects_and_the_result_are_kept_together(bb: Backburner, worker: Start) -> None:
    calls: list[str] = []

    def write(session: Session, body: str) -> int:
        calls.append(body)
        note = Note(body=body)
        session.add(note)
        session.scalars(select(Note).where(Note.body == "first")).one().read += 1
        session.flush()
        return note.id

    @bb.task(retries=1)
    async def job(run: Run) -> int:
        number = await run.transaction("write", write, "third")
        if run.tries == 0:
            raise RuntimeError("after the commit")
        return number

    worker()
    number = job.submit_sync().result_sync(PATIENCE)
    assert ["third"] == calls
    assert {"first": 1, "second": 0, "third": 0} == notes(bb)
    assert number > 0


def test_a_violated_constraint_undoes_everything_and_is_the_jobs_error(bb: Backburner, worker: Start) -> None:
    def write(session: Session) -> None:
        session.add(Note(body="third"))
        session.flush()
        session.add(Note(body="first"))  # not flushed by the function

    @bb.task(retries=0)
    async def job(run: Run) -> None:
        await run.transaction("write", write)

    worker()
    record = job.submit_sync().wait_sync(PATIENCE)
    assert record.status is Status.FAILED
    assert record.error is not None
    assert "IntegrityError" in record.error.type + record.error.detail
    assert {"first": 0, "second": 0} == notes(bb)


def test_a_savepoint_saves_what_came_before_an_error_that_is_caught(bb: Backburner, worker: Start) -> None:
    def write(session: Session) -> str:
        session.add(Note(body="third"))
        try:
            with session.begin_nested():
                session.add(Note(body="first"))
        except IntegrityError:
            return "there is one"
        return "made"

    @bb.task
    async def job(run: Run) -> str:
        return await run.transaction("write", write)

    worker()
    assert "there is one" == job.submit_sync().result_sync(PATIENCE)
    assert {"first": 0, "second": 0, "third": 0} == notes(bb)


def test_what_the_function_raises_on_purpose_decides(bb: Backburner, worker: Start) -> None:
    def write(session: Session) -> None:
        session.add(Note(body="third"))
        session.flush()
        raise Fail("no third one", type="enough")

    @bb.task(retries=3)
    async def job(run: Run) -> None:
        await run.transaction("write", write)

    worker()
    record = job.submit_sync().wait_sync(PATIENCE)
    assert record.error is not None
    assert ("enough", 1) == (record.error.type, record.tries)
    assert "third" not in notes(bb)


def test_an_async_function_is_refused(bb: Backburner, worker: Start) -> None:
    async def write(session: Session) -> None: ...

    @bb.task(retries=0)
    async def plainly(run: Run) -> None:
        await run.transaction("write", write)  # type: ignore[func-returns-value]

    @bb.task(retries=0)
    async def hidden(run: Run) -> None:
        await run.transaction("write", lambda session: write(session))

    worker()
    for task in (plainly, hidden):
        record = task.submit_sync().wait_sync(PATIENCE)
        assert record.error is not None
        assert "async" in record.error.detail


@pytest.mark.usefixtures("several")
def test_a_slow_one_stalls_neither_other_writes_nor_a_cancel_of_its_own_job(bb: Backburner, worker: Start) -> None:
    begun, go = threading.Event(), threading.Event()

    def write(session: Session) -> None:
        session.add(Note(body="third"))
        session.flush()
        begun.set()
        assert go.wait(PATIENCE)

    @bb.task
    async def slow(run: Run) -> None:
        await run.transaction("write", write)

    @bb.task
    async def quick(run: Run) -> str:
        return await run.transaction("write", lambda session: "quick")

    worker()
    job = slow.submit_sync()
    try:
        assert begun.wait(PATIENCE)
        assert "quick" == quick.submit_sync().result_sync(PATIENCE)
        job.cancel_sync()
    finally:
        go.set()
    assert Status.CANCELLED is job.wait_sync(PATIENCE).status


@pytest.mark.usefixtures("several")
def test_the_victim_of_a_deadlock_is_called_again_and_costs_no_try(bb: Backburner, worker: Start) -> None:
    meeting = threading.Barrier(2)
    calls: list[str] = []

    def cross(session: Session, first: str, second: str) -> None:
        met = len(calls) >= 2
        calls.append(first)
        session.execute(update(Note).where(Note.body == first).values(read=Note.read + 1))
        if not met:
            meeting.wait(PATIENCE)
        session.execute(update(Note).where(Note.body == second).values(read=Note.read + 1))

    @bb.task
    async def job(run: Run, first: str, second: str) -> None:
        await run.transaction("cross", cross, first, second)

    worker()
    jobs = [job.submit_sync("first", "second"), job.submit_sync("second", "first")]
    assert [0, 0] == [each.wait_sync(PATIENCE).tries for each in jobs]
    assert [Status.COMPLETED] * 2 == [each.status for each in jobs]
    assert len(calls) >= 3  # the victim may have met the other once more
    assert {"first": 2, "second": 2} == notes(bb)


@pytest.mark.usefixtures("several")
def test_one_whose_connection_is_lost_is_called_again_and_costs_no_try(bb: Backburner, worker: Start) -> None:
    calls: list[int] = []

    def write(session: Session) -> None:
        calls.append(len(calls))
        session.add(Note(body="third"))
        session.flush()
        if len(calls) == 1:
            session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    @bb.task
    async def job(run: Run) -> None:
        await run.transaction("write", write)

    worker()
    record = job.submit_sync().wait_sync(PATIENCE)
    assert (Status.COMPLETED, 0) == (record.status, record.tries)
    assert [0, 1] == calls
    assert {"first": 0, "second": 0, "third": 0} == notes(bb)


def test_the_applications_statements_are_planned_as_its_database_says(
    backend: Backend, bb: Backburner, worker: Start, several: None
) -> None:
    """The store's own writes are not: they know that an index is right."""

    def plans(session: Session) -> list[str]:
        return [session.execute(text(f"SHOW {name}")).scalar_one() for name in PLANS]

    @bb.task(retries=0)
    async def job(run: Run) -> list[str]:
        return await run.transaction("look", plans)

    worker()
    engine = bb.create_engine()
    with Session(engine) as session:
        usual = plans(session)
    engine.dispose()
    assert job.submit_sync().result_sync(PATIENCE) == usual == ["on", "auto"]
