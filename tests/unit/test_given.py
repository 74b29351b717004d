"""What is given wrongly is told at once, in words, whatever database lies behind."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from backburner import (
    Backburner,
    BatchNotFound,
    ConfigurationError,
    InvalidArguments,
    JobFailed,
    Retry,
    Run,
)
from backburner.domain.backoff import Backoff
from tests.conftest import Start

SOON = Backoff(first=0.001, longest=0.001)


async def nothing(run: Run) -> None: ...


@pytest.mark.parametrize(
    "options",
    [
        {"concurrency": 2.5},
        {"concurrency": 10**30},
        {"concurrency": "3"},
        {"concurrency": True},
        {"rate": (1, float("inf"))},
        {"rate": (2.5, 1)},
        {"rate": (10**20, 1)},
        {"rate": 10},
        {"rate": ("10", "60")},
        {"priority": 5.5},
        {"priority": "high"},
        {"priority": True},
        {"retries": 2.5},
        {"retries": 10**30},
        {"retries": None},
        {"timeout": "60"},
        {"timeout": float("nan")},
        {"timeout": 0},
        {"expires": timedelta(0)},
        {"retry_on": 5},
        {"retry_on": ("ValueError",)},
        {"give_up_on": int},
        {"cache": 60},
        {"queue": 5},
        {"queue": "a b"},
        {"notify": None},
        {"notify": "failed"},
        {"notify": (5,)},
        {"name": 5},
        {"name": ""},
        {"backoff": 5},
        {"backoff": Backoff},
        {"words": "hi"},
        {"public": "no"},
        {"detached": "x"},
        {"retention": []},
    ],
    ids=str,
)
def test_an_option_of_a_task_is_refused_by_its_name(bb: Backburner, options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(ConfigurationError, match=f"{name}|no name for a"):
        bb.task(**options)(nothing)


@pytest.mark.parametrize("given", ["name", int, 5, None])
def test_what_is_no_function_is_no_task(bb: Backburner, given: Any) -> None:
    with pytest.raises(ConfigurationError, match="stands above a function"):
        bb.task(retries=1)(given)


def test_a_generator_is_no_task(bb: Backburner) -> None:
    async def words(run: Run) -> Any:
        yield "a"

    with pytest.raises(ConfigurationError, match=r"run\.text"):
        bb.task(words)


@pytest.mark.parametrize("arguments", [(timedelta(1),), (float("nan"),), (-1.0,), (1.0, 0.5)], ids=str)
def test_a_backoff_of_no_numbers_is_refused(arguments: Any) -> None:
    with pytest.raises(ConfigurationError, match="Backoff"):
        Backoff(*arguments)


@pytest.mark.parametrize(
    "options",
    [
        {"owner": 5},
        {"key": 5},
        {"queue": 5},
        {"priority": "5"},
        {"priority": 5.5},
        {"delay": "abc"},
        {"delay": None},
        {"delay": -1},
        {"run_at": "2030-01-01"},
        {"run_at": date(2030, 1, 1)},
        {"run_at": datetime(2030, 1, 1)},
        {"expires": "1h"},
        {"size": "3"},
        {"size": float("inf")},
        {"detached": "x"},
    ],
    ids=str,
)
def test_an_option_of_a_submit_is_refused_by_its_name(bb: Backburner, options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(InvalidArguments) as caught:
        bb.task(nothing).using(**options)
    assert name in caught.value.fields


async def test_durations_are_seconds_or_timedeltas(bb: Backburner) -> None:
    task = bb.task(timeout=timedelta(minutes=1), expires=timedelta(hours=1), retry_on=ValueError)(nothing)
    assert (task.options.timeout, task.options.expires, task.options.retry_on) == (60.0, 3600.0, (ValueError,))
    job = await task.using(delay=timedelta(seconds=5), run_at=None, expires=timedelta(seconds=9)).submit()
    assert job.record.expires_at is not None
    later = await task.using(run_at=datetime(2100, 1, 1, tzinfo=UTC)).submit()
    assert later.status == "pending"


@pytest.mark.parametrize(
    "options",
    [{"tz": UTC}, {"tz": None}, {"args": [1]}, {"owner": 5}, {"priority": "x"}, {"name": 5}],
    ids=str,
)
def test_an_option_of_a_cron_is_refused(bb: Backburner, options: dict[str, Any]) -> None:
    task = bb.task(nothing)
    with pytest.raises(ConfigurationError):
        bb.cron("0 3 * * *", **options)(task)


def test_an_expression_that_is_no_text_is_refused(bb: Backburner) -> None:
    with pytest.raises(ConfigurationError, match="cron expression"):
        bb.cron(None)(bb.task(nothing))  # type: ignore[arg-type]


@pytest.mark.parametrize("calls", [[5], 5, [None], "abc", ["x"], {"a": 1}], ids=str)
def test_calls_that_are_none_are_refused(bb: Backburner, calls: Any) -> None:
    with pytest.raises(InvalidArguments, match="mappings"):
        bb.task(nothing).submit_many_sync(calls)


def test_what_is_no_task_is_not_taken_into_a_batch(bb: Backburner) -> None:
    with bb.batch("Many") as batch, pytest.raises(InvalidArguments, match="give a task"):
        batch.add(nothing)  # type: ignore[call-overload, arg-type, unused-ignore]


@pytest.mark.parametrize("arguments", [{"title": None}, {"title": "x", "owner": 5}])
def test_a_batch_of_no_texts_is_refused(bb: Backburner, arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidArguments):
        bb.batch(**arguments)


async def test_nothing_is_added_to_a_batch_whose_block_has_ended(bb: Backburner) -> None:
    task = bb.task(nothing)
    async with bb.batch("Many") as batch:
        batch.add(task)
    with pytest.raises(InvalidArguments, match="make another"):
        batch.add(task)
    with pytest.raises(InvalidArguments, match="make another"):
        async with batch:
            pass
    with pytest.raises(InvalidArguments, match="make another"):
        bb.find_batch(batch.id).add(task)


async def test_a_batch_that_is_not_there_is_not_found_whatever_is_asked(bb: Backburner) -> None:
    lost = bb.find_batch("nope")
    for ask in (lost.look, lost.wait, lost.cancel, lost.retry, lost.erase):
        with pytest.raises(BatchNotFound):
            await ask()  # type: ignore[operator]


async def test_a_loops_thread_does_not_wait_for_a_batch(bb: Backburner) -> None:
    with pytest.raises(ConfigurationError, match=r"await batch\.wait"):
        bb.find_batch("x").wait_sync()


@pytest.mark.parametrize("name", [None, "a\0b", "q" * 300, "a b"])
async def test_a_queue_is_paused_by_a_name_that_one_can_have(bb: Backburner, name: Any) -> None:
    for ask in (bb.pause_queue, bb.resume_queue):
        with pytest.raises(ConfigurationError, match="no name for a queue"):
            await ask(name)
    with pytest.raises(ConfigurationError, match="no name for a queue"):
        bb.queue(name)


@pytest.mark.parametrize("id", ["a\0b", "\ud800", None])
def test_what_can_be_no_id_is_refused(bb: Backburner, id: Any) -> None:
    for ask in (bb.handle, bb.find_batch):
        with pytest.raises(InvalidArguments):
            ask(id)


def test_a_database_is_named_by_a_text() -> None:
    with pytest.raises(ConfigurationError, match="sqlite"):
        Backburner(5)  # type: ignore[arg-type]


async def test_a_wait_is_of_seconds(bb: Backburner) -> None:
    job = await bb.task(nothing).submit()
    for ask in (job.result, job.wait):
        with pytest.raises(InvalidArguments, match="timeout"):
            await ask(timeout="5")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda run: run.progress("abc"), "percent"),
        (lambda run: run.progress(float("nan")), "percent"),
        (lambda run: run.step(5, nothing), "the name of a step"),
        (lambda run: run.step("a", 5), "the function of a step"),
        (lambda run: run.command(["echo", 5]), "str"),
        (lambda run: run.gather(limit="2"), "limit"),
        (lambda run: run.ask("Sure?", timeout="5"), "timeout"),
    ],
)
async def test_a_run_is_asked_in_words_to_be_called_rightly(
    bb: Backburner, worker: Start, call: Callable[[Run], Any], words: str
) -> None:
    @bb.task(retries=0)
    async def wrong(run: Run) -> None:
        await call(run)

    worker()
    with pytest.raises(JobFailed, match=words):
        await (await wrong.submit()).result(20)


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


async def test_an_error_that_cannot_say_anything_costs_one_try_as_any_other(bb: Backburner, worker: Start) -> None:
    tries: list[int] = []

    @bb.task(retries=1, backoff=SOON)
    async def odd(run: Run) -> str:
        tries.append(run.tries)
        if len(tries) == 1:
            raise Mute
        return "done"

    worker()
    assert await (await odd.submit()).result(20) == "done"


@pytest.mark.parametrize("after", [float("nan"), float("inf"), 1e30, -1.0])
async def test_a_retry_at_no_time_says_so(bb: Backburner, worker: Start, after: float) -> None:
    @bb.task(retries=1)
    async def odd(run: Run) -> None:
        raise Retry(after=after)

    worker()
    with pytest.raises(JobFailed, match="choose 0 s to 100 years"):
        await (await odd.submit()).result(20)
