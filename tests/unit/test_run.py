from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.orm import Session

from backburner import Backburner, Run, SyncRun
from backburner import run as running
from backburner.domain.backoff import Backoff
from backburner.domain.errors import DuplicateStep, Fail, StoreUnavailable
from backburner.domain.events import apply_text
from backburner.domain.job import Status
from backburner.domain.operations import (
    AppendText,
    JobEvents,
    JobSnapshot,
    KeepStep,
    ListJobs,
    ListNotifications,
    Notify,
    SetProgress,
)
from backburner.worker import worker as engine
from tests.conftest import Start
from tests.support.making import kinds, look

SOON = Backoff(first=0.001, longest=0.001)
PATIENCE = 20.0


class Boom(Exception):
    pass


def text_of(bb: Backburner, job: str, channel: str = "main") -> str:
    """The text as a snapshot tells it, and as the events do."""
    snapshot = bb.store.read_sync(JobSnapshot(job))
    assert snapshot is not None
    texts: dict[str, str] = {}
    for event in bb.store.read_sync(JobEvents(job, limit=10_000)):
        if event.kind == "text.delta":
            assert event.data["offset"] == len(texts.get(event.data["channel"], ""))
        apply_text(texts, event)
    assert texts == snapshot.texts
    return texts[channel]


def test_a_finished_step_is_not_called_again_after_a_failure(bb: Backburner, worker: Start) -> None:
    calls: list[str] = []

    async def expensive(name: str) -> dict[str, str]:
        calls.append(name)
        return {"name": name}

    @bb.task(backoff=SOON)
    async def job(run: Run) -> Any:
        first = await run.step("one", expensive, "a")
        second = await run.step("two", expensive, name="b")
        if run.tries < 2:
            raise Boom
        return [first, second]

    worker()
    done = job.submit_sync()
    assert done.result_sync(PATIENCE) == [{"name": "a"}, {"name": "b"}]
    assert calls == ["a", "b"]
    assert kinds(bb.store, done.id).count("step.completed") == 2


def test_a_step_of_a_sync_function_and_sync_steps_are_kept_too(bb: Backburner, worker: Start) -> None:
    calls: list[int] = []

    def double(number: int) -> int:
        calls.append(number)
        return number * 2

    @bb.task(backoff=SOON)
    def job(run: SyncRun) -> int:
        found = run.step("double", double, 4)
        if run.tries == 0:
            raise Boom
        return found

    worker()
    assert job.submit_sync().result_sync(PATIENCE) == 8
    assert calls == [4]


def test_a_step_whose_arguments_changed_is_done_again_and_the_log_says_so(bb: Backburner, worker: Start) -> None:
    calls: list[int] = []

    async def work(number: int) -> int:
        calls.append(number)
        return number

    @bb.task(backoff=SOON)
    async def job(run: Run) -> int:
        found = await run.step("work", work, run.tries)
        if run.tries == 0:
            raise Boom
        return found

    worker()
    done = job.submit_sync()
    assert done.result_sync(PATIENCE) == 1
    assert calls == [0, 1]
    steps = [event.data for event in bb.store.read_sync(JobEvents(done.id)) if event.kind == "step.completed"]
    assert [each.get("again") for each in steps] == [None, True]


def test_the_same_name_one_after_the_other_is_one_step_each(bb: Backburner, worker: Start) -> None:
    calls: list[int] = []

    async def work(number: int) -> int:
        calls.append(number)
        return number

    @bb.task(backoff=SOON)
    async def job(run: Run) -> list[int]:
        found = [await run.step("work", work, number) for number in range(3)]
        if run.tries == 0:
            raise Boom
        return found

    worker()
    assert job.submit_sync().result_sync(PATIENCE) == [0, 1, 2]
    assert calls == [0, 1, 2]


def test_the_same_name_side_by_side_is_refused(bb: Backburner, worker: Start) -> None:
    @bb.task
    async def job(run: Run) -> None:
        await asyncio.gather(run.step("same", asyncio.sleep, 0.01), run.step("same", asyncio.sleep, 0.01))

    worker()
    record = job.submit_sync().wait_sync(PATIENCE)
    assert (record.status, record.tries) == (Status.FAILED, 1)
    assert record.error is not None
    assert record.error.type == DuplicateStep.type


def test_steps_of_other_names_may_run_side_by_side(bb: Backburner, worker: Start) -> None:
    calls: list[int] = []

    async def work(number: int) -> int:
        calls.append(number)
        return number

    @bb.task(backoff=SOON)
    async def job(run: Run) -> list[int]:
        found = await asyncio.gather(*[run.step(f"work {number}", work, number) for number in range(5)])
        if run.tries == 0:
            raise Boom
        return list(found)

    worker()
    assert job.submit_sync().result_sync(PATIENCE) == list(range(5))
    assert sorted(calls) == list(range(5))


def test_steps_inside_steps_are_kept_by_their_place(bb: Backburner, worker: Start) -> None:
    calls: list[str] = []

    @bb.task(backoff=SOON)
    async def job(run: Run) -> list[str]:
        async def inner(name: str) -> str:
            calls.append(name)
            return name

        async def outer(name: str) -> str:
            found = await run.step("inner", inner, name)
            if run.tries == 0 and name == "b":
                raise Boom
            return found

        return [await run.step("outer", outer, name) for name in "ab"]

    worker()
    assert job.submit_sync().result_sync(PATIENCE) == ["a", "b"]
    assert calls == ["a", "b"]


@dataclass
class Point:
    x: int
    when: datetime


class Book(BaseModel):
    title: str
    at: Point


def test_a_kept_result_has_the_type_of_a_fresh_one(bb: Backburner, worker: Start) -> None:
    when = datetime(2024, 5, 1, tzinfo=UTC)

    async def make() -> Book:
        return Book(title="雪", at=Point(1, when))

    @bb.task(backoff=SOON)
    async def job(run: Run) -> str:
        book = await run.step("make", make)
        assert book == Book(title="雪", at=Point(1, when))
        if run.tries == 0:
            raise Boom
        return book.title

    worker()
    done = job.submit_sync()
    assert done.result_sync(PATIENCE) == "雪"
    assert look(bb.store, done.id).tries == 1


def test_a_step_that_returns_no_json_fails_the_job(bb: Backburner, worker: Start) -> None:
    async def odd() -> Any:
        return object()

    @bb.task
    async def job(run: Run) -> None:
        await run.step("odd", odd)

    worker()
    record = job.submit_sync().wait_sync(PATIENCE)
    assert record.error is not None
    assert "the result of step 'odd' cannot be written as JSON" in record.error.detail


def test_text_of_finished_steps_and_between_them_is_said_once(bb: Backburner, worker: Start) -> None:
    @bb.task(retries=10, backoff=SOON)
    async def story(run: Run) -> None:
        async def part(body: str, fails_at: int) -> None:
            await run.text(body[:2])
            if run.tries == fails_at:
                raise Boom
            await run.text(body[2:])

        await run.text("Title. ")
        await run.step("one", part, "first", 0)
        await run.text(" and ")
        if run.tries == 1:
            raise Boom
        await run.step("two", part, "second", 2)
        await run.text(".")
        if run.tries == 3:
            raise Boom

    worker()
    job = story.submit_sync()
    job.result_sync(PATIENCE)
    assert text_of(bb, job.id) == "Title. first and second."
    assert look(bb.store, job.id).tries == 4


def test_text_after_a_step_whose_inner_step_spoke_is_not_lost(bb: Backburner, worker: Start) -> None:
    """The inner step was kept in an earlier attempt than the outer one."""

    @bb.task(retries=10, backoff=SOON)
    async def story(run: Run) -> None:
        async def inner() -> None:
            await run.text("inner ")

        async def outer() -> None:
            await run.step("inner", inner)
            if run.tries == 0:
                raise Boom

        await run.step("outer", outer)
        await run.text("after")
        if run.tries == 1:
            raise Boom

    worker()
    job = story.submit_sync()
    job.result_sync(PATIENCE)
    assert text_of(bb, job.id) == "inner after"


def test_channels_of_parallel_steps_keep_apart(bb: Backburner, worker: Start) -> None:
    @bb.task(backoff=SOON)
    async def story(run: Run) -> None:
        async def part(name: str) -> None:
            for piece in "abc":
                await run.text(f"{name}{piece}", channel=name)

        await asyncio.gather(*[run.step(name, part, name) for name in "12"])
        await run.text("x", channel="1")
        if run.tries == 0:
            raise Boom

    worker()
    job = story.submit_sync()
    job.result_sync(PATIENCE)
    assert (text_of(bb, job.id, "1"), text_of(bb, job.id, "2")) == ("1a1b1cx", "2a2b2c")


def test_much_text_is_gathered_into_few_events(bb: Backburner, worker: Start) -> None:
    @bb.task
    async def chatty(run: Run) -> None:
        for _ in range(5000):
            await run.text("雪")

    worker()
    job = chatty.submit_sync()
    job.result_sync(PATIENCE)
    assert text_of(bb, job.id) == "雪" * 5000
    assert kinds(bb.store, job.id).count("text.delta") < 500


def test_half_a_surrogate_pair_becomes_a_replacement_character(bb: Backburner, worker: Start) -> None:
    @bb.task
    async def garbled(run: Run) -> None:
        await run.text("caf\udce9")
        await run.text("!")
        await run.progress(1, "\udce9")

    worker()
    job = garbled.submit_sync()
    job.result_sync(PATIENCE)
    assert text_of(bb, job.id) == "caf\ufffd!"


def test_progress_is_kept_between_0_and_100(bb: Backburner, worker: Start) -> None:
    @bb.task
    async def job(run: Run) -> None:
        await run.progress(-5)
        await run.progress(50, "half")
        await run.progress(250)

    worker()
    done = job.submit_sync()
    done.result_sync(PATIENCE)
    told = [event.data["percent"] for event in bb.store.read_sync(JobEvents(done.id)) if event.kind == "job.progress"]
    assert told == [0.0, 50.0, 100.0]


def notes(bb: Backburner) -> list[str]:
    engine = bb.create_engine()
    with engine.connect() as connection:
        found = list(connection.execute(text("SELECT body FROM notes ORDER BY body")).scalars())
    engine.dispose()
    return found


@pytest.fixture
def table(bb: Backburner) -> None:
    engine = bb.create_engine()
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE notes (body TEXT)"))
    engine.dispose()


def note(session: Session, body: str) -> str:
    session.execute(text("INSERT INTO notes VALUES (:body)"), {"body": body})
    return body


@pytest.mark.usefixtures("table")
def test_a_transaction_is_kept_and_its_rows_are_there_once(bb: Backburner, worker: Start) -> None:
    calls: list[str] = []

    def write(session: Session, body: str) -> str:
        calls.append(body)
        return note(session, body)

    @bb.task(backoff=SOON)
    async def job(run: Run) -> str:
        found = await run.transaction("write", write, "a")
        if run.tries == 0:
            raise Boom
        return found

    @bb.task(backoff=SOON)
    def sync_job(run: SyncRun) -> str:
        found = run.transaction("write", write, body="b")
        if run.tries == 0:
            raise Boom
        return found

    worker()
    assert job.submit_sync().result_sync(PATIENCE) == "a"
    assert sync_job.submit_sync().result_sync(PATIENCE) == "b"
    assert calls == ["a", "b"]
    assert notes(bb) == ["a", "b"]


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize(
    "error", [Boom("no"), FileNotFoundError("notes.txt"), Fail("no")], ids=lambda e: type(e).__name__
)
def test_a_transaction_that_raises_leaves_no_rows_and_raises_in_the_job(
    bb: Backburner, worker: Start, error: Exception
) -> None:
    def write(session: Session) -> None:
        note(session, "a")
        session.commit()
        note(session, "b")
        raise error

    @bb.task
    async def job(run: Run) -> str:
        try:
            await run.transaction("write", write)
        except type(error) as found:
            return f"raised {found}"
        return "went through"

    worker()
    assert job.submit_sync().result_sync(PATIENCE) == f"raised {error}"
    assert notes(bb) == []


@pytest.mark.usefixtures("table")
def test_a_commit_inside_a_transaction_is_no_commit_before_its_end(bb: Backburner, worker: Start) -> None:
    seen: list[list[str]] = []

    def write(session: Session) -> None:
        note(session, "a")
        session.commit()
        engine = bb.create_engine(read_only=True)
        with engine.connect() as connection:
            seen.append(list(connection.execute(text("SELECT body FROM notes")).scalars()))
        engine.dispose()

    @bb.task
    async def job(run: Run) -> None:
        await run.transaction("write", write)

    worker()
    job.submit_sync().result_sync(PATIENCE)
    assert seen == [[]]
    assert notes(bb) == ["a"]


@pytest.mark.usefixtures("table")
def test_a_transaction_of_bad_sql_fails_the_job_in_its_own_words(bb: Backburner, worker: Start) -> None:
    @bb.task(retries=0)
    async def job(run: Run) -> None:
        await run.transaction("write", lambda session: session.execute(text("INSERT INTO nowhere VALUES (1)")))

    worker()
    record = job.submit_sync().wait_sync(PATIENCE)
    assert record.error is not None
    assert "nowhere" in record.error.detail


@pytest.mark.usefixtures("table")
def test_a_job_submitted_in_a_transaction_exists_if_it_commits_and_inherits_the_owner(
    bb: Backburner, worker: Start
) -> None:
    @bb.task
    async def child(run: Run, number: int) -> int:
        return number

    def write(session: Session, fails: bool) -> str:
        job = bb.submit_in(session, child, 7)
        if fails:
            raise Boom
        return job.id

    @bb.task(backoff=SOON)
    async def parent(run: Run) -> str:
        return await run.transaction("write", write, run.tries == 0)

    worker()
    child_id = parent.using(owner="ann").submit_sync().result_sync(PATIENCE)
    assert bb.watcher.wait_sync(child_id, lambda record: record.status.finished, PATIENCE).owner == "ann"
    assert len(bb.store.read_sync(ListJobs(task="child"))) == 1


@pytest.mark.parametrize("call", ["submit_sync", "progress", "write"])
def test_what_would_wait_for_its_own_transaction_is_refused(bb: Backburner, worker: Start, call: str) -> None:
    @bb.task
    async def child(run: Run) -> None: ...

    @bb.task
    def parent(run: SyncRun) -> None:
        def write(session: Session) -> None:
            if call == "progress":
                run.progress(1)
            elif call == "submit_sync":
                child.submit_sync()
            else:
                bb.store.write_sync(AppendText(None, "x", "y"))  # type: ignore[arg-type]

        run.transaction("write", write)

    worker()
    record = parent.submit_sync().wait_sync(PATIENCE)
    assert record.error is not None
    assert record.error.type == "configuration"


@pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
def test_a_submit_inside_a_run_happens_once_over_retries_and_inherits_the_owner(
    bb: Backburner, worker: Start, sync: bool
) -> None:
    @bb.task
    async def child(run: Run, number: int) -> int:
        return number

    if sync:

        @bb.task(name="parent", backoff=SOON)
        def parent(run: SyncRun) -> list[str]:
            jobs = [child.submit_sync(number) for number in (1, 2, 2)]
            if run.tries < 2:
                raise Boom
            return [job.id for job in jobs]

    else:

        @bb.task(name="parent", backoff=SOON)
        async def parent(run: Run) -> list[str]:
            jobs = [await child.submit(number) for number in (1, 2, 2)]
            if run.tries < 2:
                raise Boom
            return [job.id for job in jobs]

    worker()
    children = parent.using(owner="ann").submit_sync().result_sync(PATIENCE)
    found = bb.store.read_sync(ListJobs(task="child"))
    assert sorted(children) == sorted(job.id for job in found)
    assert {job.owner for job in found} == {"ann"}


def test_submits_side_by_side_inside_a_run_happen_once_each(bb: Backburner, worker: Start) -> None:
    @bb.task
    async def child(run: Run, number: int) -> int:
        return number

    @bb.task(backoff=SOON)
    async def parent(run: Run) -> None:
        await asyncio.gather(*[child.submit(number) for number in range(10)])
        if run.tries == 0:
            raise Boom

    worker()
    parent.submit_sync().result_sync(PATIENCE)
    found = bb.store.read_sync(ListJobs(task="child"))
    assert sorted(look(bb.store, job.id).args["number"] for job in found) == list(range(10))


def test_a_submit_inside_a_step_happens_once(bb: Backburner, worker: Start) -> None:
    @bb.task
    async def child(run: Run) -> None: ...

    @bb.task(backoff=SOON)
    async def parent(run: Run) -> None:
        async def part() -> str:
            return (await child.submit()).id

        def thread_part() -> str:
            return child.using(priority=9).submit_sync().id

        await run.step("part", part)
        await run.step("thread part", thread_part)
        if run.tries == 0:
            raise Boom

    worker()
    parent.submit_sync().result_sync(PATIENCE)
    assert len(bb.store.read_sync(ListJobs(task="child"))) == 2


def test_many_sync_functions_with_steps_inside_steps_do_not_starve_each_other(bb: Backburner, worker: Start) -> None:
    at_once = 40
    together = threading.Barrier(at_once)

    @bb.task
    def job(run: SyncRun) -> int:
        def outer() -> int:
            together.wait(PATIENCE)
            return run.step("inner", lambda: 1)

        return run.step("outer", outer)

    worker()
    jobs = [job.submit_sync() for _ in range(at_once)]
    assert sum(each.result_sync(PATIENCE) for each in jobs) == at_once


class Balking:
    def __init__(self, store: Any, kind: type, times: int) -> None:
        self._store, self._kind, self._left = store, kind, times

    def write(self, operation: Any) -> Any:
        if isinstance(operation, self._kind) and self._left:
            self._left -= 1
            future = asyncio.get_running_loop().create_future()
            future.set_exception(StoreUnavailable("the disk is full"))
            return future
        return self._store.write(operation)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@pytest.mark.parametrize("kind", [AppendText, KeepStep], ids=lambda kind: kind.__name__)
def test_a_store_that_balks_for_a_moment_loses_neither_text_nor_steps(
    bb: Backburner, worker: Start, monkeypatch: pytest.MonkeyPatch, kind: type
) -> None:
    monkeypatch.setattr(running, "STORE_BACK_OFF", 0.001)

    @bb.task
    async def job(run: Run) -> None:
        async def part() -> None:
            for piece in "abcdef":
                await run.text(piece)
                await asyncio.sleep(0)

        await run.step("part", part)

    bb.open()
    monkeypatch.setattr(bb._open(), "store", Balking(bb.store, kind, 5))
    worker()
    done = job.submit_sync()
    done.result_sync(PATIENCE)
    assert text_of(bb, done.id) == "abcdef"
    assert look(bb.store, done.id).tries == 0


class Forgetful(Balking):
    """Writes, and loses the answer."""

    def write(self, operation: Any) -> Any:
        if isinstance(operation, self._kind) and self._left:
            self._store.write_sync(operation)
        return super().write(operation)


@pytest.mark.parametrize("kind", [SetProgress, Notify], ids=lambda kind: kind.__name__)
def test_what_was_said_of_a_job_is_not_said_twice_when_the_answer_of_a_commit_is_lost(
    bb: Backburner, worker: Start, monkeypatch: pytest.MonkeyPatch, kind: type
) -> None:
    monkeypatch.setattr(running, "STORE_BACK_OFF", 0.001)
    monkeypatch.setattr(engine, "STORE_BACK_OFF", 0.001)

    @bb.task(notify=("started", "progress"))
    async def job(run: Run) -> None:
        await run.progress(10, "reading")
        await run.progress(20, "writing")
        await run.progress(10, "reading")

    bb.open()
    monkeypatch.setattr(bb._open(), "store", Forgetful(bb.store, kind, 2))
    worker()
    done = job.using(owner="ann").submit_sync()
    done.result_sync(PATIENCE)
    log = bb.store.read_sync(JobEvents(done.id))
    assert [10, 20, 10] == [event.data["percent"] for event in log if event.kind == "job.progress"]
    assert ["progress", "progress", "progress", "started"] == [
        each.kind for each in bb.store.read_sync(ListNotifications("ann"))
    ]
