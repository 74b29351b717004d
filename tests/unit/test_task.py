from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

import pytest
from pydantic import BaseModel

from backburner import Backburner, Run, SyncRun, watcher
from backburner.domain.errors import (
    BackburnerError,
    ConfigurationError,
    InvalidArguments,
    JobNotFound,
    ResultTimeout,
    StoreUnavailable,
    TooLarge,
    UnknownTask,
)
from backburner.domain.job import Status
from backburner.domain.operations import Cancel, Erase, ListJobs
from tests.conftest import Start
from tests.support.making import look

PATIENCE = 20.0


class Genre(Enum):
    NOVEL = "novel"


class Book(BaseModel):
    title: str
    year: int


@dataclass
class Page:
    number: int
    printed: datetime


WHEN = datetime(2024, 5, 1, 12, 30, tzinfo=UTC)
BOOK = Book(title="雪", year=1947)


def test_arguments_and_results_keep_their_types(bb: Backburner, worker: Start) -> None:
    seen: list[Any] = []

    @bb.task
    async def typed(
        run: Run, book: Book, page: Page, when: datetime, genre: Genre, counts: dict[int, str], pair: tuple[int, str]
    ) -> tuple[Book, list[Page]]:
        seen.extend([book, page, when, genre, counts, pair])
        return book, [page]

    worker()
    job = typed.submit_sync(BOOK, Page(3, WHEN), WHEN, genre=Genre.NOVEL, counts={1: "a"}, pair=(1, "b"))
    assert job.result_sync(PATIENCE) == (BOOK, [Page(3, WHEN)])
    assert seen == [BOOK, Page(3, WHEN), WHEN, Genre.NOVEL, {1: "a"}, (1, "b")]


def test_a_sync_function_gets_its_types_too(bb: Backburner, worker: Start) -> None:
    @bb.task
    def typed(run: SyncRun, page: Page, books: list[Book], note: str | None = None) -> dict[str, Book]:
        assert page.printed == WHEN
        return {book.title: book for book in books}

    worker()
    assert typed.submit_sync(Page(1, WHEN), [BOOK]).result_sync(PATIENCE) == {"雪": BOOK}


def test_a_function_without_annotations_gets_plain_json(bb: Backburner, worker: Start) -> None:
    @bb.task
    async def plain(run, value, other=1):  # type: ignore[no-untyped-def]
        return [value, other]

    worker()
    assert plain.submit_sync({"a": [1, None, "雪"]}).result_sync(PATIENCE) == [{"a": [1, None, "雪"]}, 1]


@pytest.fixture
def greet(bb: Backburner) -> Any:
    @bb.task
    async def greet(run: Run, name: str, times: int = 1) -> str:
        return name * times

    return greet


@pytest.mark.parametrize(
    ("args", "kwargs", "named"),
    [
        ((), {}, "name"),
        (("a",), {"nick": "b"}, "nick"),
        (("a", 1, 2), {}, "too many"),
        (("a",), {"name": "b"}, "name"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_at_submit(
    bb: Backburner, greet: Any, args: Any, kwargs: Any, named: str
) -> None:
    with pytest.raises(InvalidArguments, match=named):
        greet.submit_sync(*args, **kwargs)
    assert bb.store.read_sync(ListJobs()) == ()


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), object(), {1, 2}, b"bytes", [lambda: None]], ids=lambda v: type(v).__name__
)
def test_arguments_that_are_not_json_are_refused_at_submit(greet: Any, value: Any) -> None:
    with pytest.raises(InvalidArguments, match="the arguments cannot be written as JSON"):
        greet.submit_sync(value)


def test_arguments_that_contain_themselves_are_refused_at_submit(greet: Any) -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(InvalidArguments, match="the arguments cannot be written as JSON"):
        greet.submit_sync(loop)


def test_arguments_over_16_mib_are_refused_and_just_below_taken(bb: Backburner, greet: Any) -> None:
    with pytest.raises(TooLarge, match="16 MiB"):
        greet.submit_sync("雪" * (16 * 2**20 // 3))
    job = greet.submit_sync("x" * (16 * 2**20 - len('{"name":""}')))
    assert look(bb.store, job.id).status is Status.PENDING


def test_options_of_one_submit(bb: Backburner, greet: Any) -> None:
    soon = greet.using(owner="ann", priority=9, delay=timedelta(hours=1)).submit_sync("a")
    record = look(bb.store, soon.id)
    assert (record.owner, record.priority, record.waiting_for) == ("ann", 9, "time")
    assert record.run_at is not None
    assert record.run_at - record.created_at == 3_600_000_000
    then = greet.using(run_at=datetime(2100, 1, 1, tzinfo=UTC)).submit_sync("a")
    assert look(bb.store, then.id).run_at == 4_102_444_800_000_000
    assert then.record.run_at == 4_102_444_800_000_000


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"priority": 0}, "priority"),
        ({"priority": 11}, "priority"),
        ({"delay": -1}, "delay"),
        ({"delay": float("nan")}, "delay"),
        ({"delay": float("inf")}, "delay"),
        ({"delay": 1e15}, "delay"),
        ({"run_at": datetime(2100, 1, 1)}, "time zone"),
    ],
)
def test_options_that_make_no_sense_are_refused_in_words(greet: Any, options: Any, named: str) -> None:
    with pytest.raises(InvalidArguments, match=named):
        greet.using(**options)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"priority": 0}, "priority"),
        ({"retries": -1}, "retries"),
        ({"concurrency": 0}, "concurrency"),
        ({"timeout": 0}, "timeout"),
        ({"notify": ["finished"]}, "finished"),
        ({"name": "two words"}, "no name"),
        ({"name": 'quo"te'}, "no name"),
    ],
)
def test_a_task_that_makes_no_sense_is_refused_in_words(bb: Backburner, options: Any, named: str) -> None:
    async def function(run: Run) -> None: ...

    with pytest.raises(ConfigurationError, match=named):
        bb.task(**options)(function)


def test_a_function_that_cannot_be_a_task_is_refused_in_words(bb: Backburner) -> None:
    with pytest.raises(ConfigurationError, match="first parameter must be the run"):
        bb.task(name="odd")(lambda: None)  # type: ignore[call-overload]
    for function in (lambda run, *rest: None, lambda run, **rest: None, lambda run, x, /: None):
        with pytest.raises(ConfigurationError, match="ordinary parameters"):
            bb.task(name="odd")(function)  # type: ignore[call-overload]


def test_two_tasks_cannot_share_a_name(bb: Backburner, greet: Any) -> None:
    with pytest.raises(ConfigurationError, match="two tasks are called 'greet'"):

        @bb.task(name="greet")
        async def other(run: Run) -> None: ...


def test_a_task_that_is_not_there_is_named(bb: Backburner, greet: Any) -> None:
    with pytest.raises(UnknownTask, match="known are greet"):
        bb.find_task("greed")


def test_a_task_can_be_called_as_the_function_it_is(greet: Any) -> None:
    assert asyncio.run(greet(None, "a", times=2)) == "aa"


def test_waiting_gives_up_in_words_and_the_job_goes_on(bb: Backburner, greet: Any) -> None:
    job = greet.submit_sync("a")
    with pytest.raises(ResultTimeout, match="it goes on"):
        job.wait_sync(0.01)
    with pytest.raises(ResultTimeout, match="it goes on"):
        job.result_sync(0)
    with pytest.raises(ResultTimeout, match=r"within 0\.01 s"):
        asyncio.run(job.result(0.01))
    assert look(bb.store, job.id).status is Status.PENDING


def test_whoever_waits_is_woken_by_the_end(bb: Backburner, greet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher, "SLOW_LOOK", 3600.0)
    jobs = [greet.submit_sync("a") for _ in range(4)]

    def wait(number: int) -> Status:
        if number % 2:
            return jobs[number].wait_sync(PATIENCE).status  # type: ignore[no-any-return]
        return asyncio.run(jobs[number].wait(PATIENCE)).status  # type: ignore[no-any-return]

    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(wait, number) for number in range(4)]
        while len(bb.watcher._waiting) < 4:
            threading.Event().wait(0.001)
        for job in jobs:
            bb.store.write_sync(Cancel(job.id, None))
        assert [each.result() for each in waiting] == [Status.CANCELLED] * 4


def test_an_erased_job_is_not_found_by_its_handle(bb: Backburner, greet: Any) -> None:
    job = greet.submit_sync("a")
    bb.store.write_sync(Cancel(job.id, None))
    bb.store.write_sync(Erase(job.id, None))
    with pytest.raises(JobNotFound):
        job.refresh_sync()
    with pytest.raises(JobNotFound):
        job.wait_sync(PATIENCE)
    with pytest.raises(JobNotFound):
        bb.handle(job.id).refresh_sync()


def test_a_job_is_cancelled_and_retried_by_its_handle(bb: Backburner, greet: Any) -> None:
    async def story() -> None:
        job = await greet.submit("a")
        assert (await job.cancel()).status is Status.CANCELLED
        assert (await job.retry()).status is Status.PENDING
        assert (await job.refresh()).status is job.status is Status.PENDING

    asyncio.run(story())


def test_submits_from_many_loops_and_threads_at_once(bb: Backburner, greet: Any) -> None:
    async def many() -> list[str]:
        return [job.id for job in await asyncio.gather(*[greet.submit("a") for _ in range(25)])]

    with ThreadPoolExecutor(4) as pool:
        loops = [pool.submit(asyncio.run, many()) for _ in range(2)]
        threads = [pool.submit(lambda: [greet.submit_sync("a").id for _ in range(25)]) for _ in range(2)]
        made = {job for each in [*loops, *threads] for job in each.result()}
    assert made == {job.id for job in bb.store.read_sync(ListJobs(limit=200))}
    assert len(made) == 100


def test_a_closed_backburner_opens_itself_again(bb: Backburner, greet: Any) -> None:
    job = greet.submit_sync("a")
    bb.close()
    assert job.refresh_sync().status is Status.PENDING
    bb.close()
    bb.close()
    assert greet.submit_sync("b").refresh_sync().status is Status.PENDING


def test_closing_while_many_submit_answers_everybody(bb: Backburner, greet: Any) -> None:
    made: list[str] = []
    over = threading.Event()

    def submit_for_ever() -> None:
        while not over.is_set():
            try:
                made.append(greet.submit_sync("a").id)
            except StoreUnavailable:
                continue

    async def submit_on_a_loop() -> None:
        while not over.is_set():
            answers = await asyncio.gather(*[greet.submit("a") for _ in range(5)], return_exceptions=True)
            for answer in answers:
                if isinstance(answer, BaseException):
                    assert isinstance(answer, StoreUnavailable)
                else:
                    made.append(answer.id)

    threads = [threading.Thread(target=submit_for_ever, daemon=True) for _ in range(2)]
    threads.append(threading.Thread(target=lambda: asyncio.run(submit_on_a_loop()), daemon=True))
    for thread in threads:
        thread.start()
    for _ in range(5):
        bb.close()
        greet.submit_sync("a")
    over.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads), "somebody waits for an answer that never comes"
    assert {job.id for job in bb.store.read_sync(ListJobs(limit=100_000))} >= set(made)


def test_what_an_application_prepares_is_done_at_each_opening(bb: Backburner) -> None:
    opened: list[int] = []
    bb.on_open(lambda it: opened.append(len(it.store.read_sync(ListJobs()))))
    bb.open()
    bb.open()
    bb.close()
    bb.open()
    assert opened == [0, 0]


def test_an_application_that_cannot_prepare_leaves_nothing_open(bb: Backburner) -> None:
    def fail(it: Backburner) -> None:
        raise RuntimeError("no")

    bb.on_open(fail)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="no"):
            bb.open()
    assert bb._parts is None


def test_every_error_is_one_of_ours() -> None:
    assert issubclass(ResultTimeout, TimeoutError)
    for error in (InvalidArguments, TooLarge, StoreUnavailable, JobNotFound, UnknownTask):
        assert issubclass(error, BackburnerError)


@pytest.mark.parametrize(
    ("option", "words"),
    [("retrys", "did you mean 'retries'"), ("concurency", "did you mean 'concurrency'"), ("xyz", "it has backoff")],
)
def test_an_option_that_does_not_exist_is_refused_with_what_was_meant(bb: Backburner, option: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=f"no option '{option}': {words}"):
        bb.task(**{option: 3})
