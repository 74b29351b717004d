from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from backburner import Backburner, Run, SyncRun
from backburner.domain.backoff import Backoff
from backburner.domain.errors import Fail, JobCancelled, JobFailed, Retry, StoreUnavailable
from backburner.domain.job import JobRecord, Status
from backburner.domain.notifications import Notice
from backburner.domain.operations import Cancel, JobEvents, ListNotifications, ListWorkers, Notify, RegisterWorker
from backburner.domain.operations import Rescue as RescueJobs
from backburner.ports import Store
from backburner.worker import worker as engine
from tests.conftest import Start
from tests.support.making import kinds, look

SOON = Backoff(first=0.001, longest=0.001)
PATIENCE = 20.0


class Gate:
    """A job that says when it has begun and ends when it is let go."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.go = threading.Event()
        self._asleep: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    def wait_begun(self) -> None:
        assert self.begun.wait(PATIENCE), "it never began"

    def let_go(self) -> None:
        self.go.set()
        for loop, event in self._asleep:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(event.set)

    async def pass_through(self) -> None:
        event = asyncio.Event()
        self._asleep.append((asyncio.get_running_loop(), event))
        self.begun.set()
        if not self.go.is_set():
            await event.wait()


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.let_go()


def test_async_and_sync_functions_are_run(bb: Backburner, worker: Start) -> None:
    @bb.task
    async def add(run: Run, a: int, b: int = 2) -> int:
        return a + b

    @bb.task
    def multiply(run: SyncRun, a: int, b: int = 2) -> int:
        return a * b

    worker()
    assert add.submit_sync(5).result_sync(PATIENCE) == 7
    assert multiply.submit_sync(a=5, b=3).result_sync(PATIENCE) == 15


def test_a_failing_function_is_tried_as_often_as_its_retries_say(bb: Backburner, worker: Start) -> None:
    @bb.task(retries=2, backoff=SOON)
    async def broken(run: Run) -> None:
        raise ValueError(f"try {run.tries}")

    worker()
    job = broken.submit_sync()
    record = job.wait_sync(PATIENCE)
    assert (record.status, record.tries, record.attempt) == (Status.FAILED, 3, 3)
    assert record.error is not None
    assert (record.error.type, record.error.detail, record.error.retrying) == ("ValueError", "ValueError: try 2", False)
    events = bb.store.read_sync(JobEvents(job.id))
    told = [event.data["error"]["retrying"] for event in events if "error" in event.data]
    assert told == [True, True, False]
    with pytest.raises(JobFailed, match="try 2"):
        job.result_sync(PATIENCE)


def test_a_function_that_succeeds_at_last_leaves_no_error(bb: Backburner, worker: Start) -> None:
    @bb.task(backoff=SOON)
    async def shaky(run: Run) -> int:
        if run.tries < 2:
            raise ValueError("not yet")
        return run.tries

    worker()
    job = shaky.submit_sync()
    assert job.result_sync(PATIENCE) == 2
    assert look(bb.store, job.id).error is None


def test_fail_is_final(bb: Backburner, worker: Start) -> None:
    @bb.task(retries=5)
    async def hopeless(run: Run) -> None:
        raise Fail("the book is empty", type="empty")

    worker()
    record = hopeless.submit_sync().wait_sync(PATIENCE)
    assert (record.status, record.tries) == (Status.FAILED, 1)
    assert record.error is not None
    assert (record.error.type, record.error.detail) == ("empty", "the book is empty")


@pytest.mark.parametrize(
    ("policy", "tries"),
    [
        ({}, 3),
        ({"retry_on": (ConnectionError,)}, 1),
        ({"retry_on": (ConnectionError, LookupError)}, 3),
        ({"give_up_on": (LookupError,)}, 1),
        ({"give_up_on": (ConnectionError,)}, 3),
        ({"retry_on": (Exception,), "give_up_on": (KeyError,)}, 1),
    ],
)
def test_a_task_says_which_errors_are_worth_another_try(
    bb: Backburner, worker: Start, policy: dict[str, Any], tries: int
) -> None:
    @bb.task(retries=2, backoff=SOON, **policy)
    async def broken(run: Run) -> None:
        raise KeyError("x")

    worker()
    record = broken.submit_sync().wait_sync(PATIENCE)
    assert (record.status, record.tries) == (Status.FAILED, tries)


def test_a_time_limit_is_worth_another_try_whatever_the_policy_names(bb: Backburner, worker: Start) -> None:
    @bb.task(retries=1, backoff=SOON, timeout=0.05, retry_on=(ConnectionError,))
    async def slow(run: Run) -> str:
        if run.tries == 0:
            await asyncio.Event().wait()
        return "done"

    worker()
    assert slow.submit_sync().result_sync(PATIENCE) == "done"


@pytest.mark.parametrize("after", [60, timedelta(minutes=1), 60.0])
def test_retry_says_when(bb: Backburner, worker: Start, after: Any) -> None:
    @bb.task
    async def later(run: Run) -> None:
        raise Retry("busy", after=after)

    worker()
    job = later.submit_sync()
    record = until(bb, job.id, lambda record: record.tries == 1)
    assert (record.status, record.waiting_for) == (Status.PENDING, "time")
    event = bb.store.read_sync(JobEvents(job.id))[-1]
    assert event.data["retry_at"] - event.at == 60_000_000


def test_a_retry_whose_time_is_no_plain_number_is_not_lost(bb: Backburner, worker: Start) -> None:
    from decimal import Decimal

    @bb.task
    async def later(run: Run) -> str:
        if run.tries == 0:
            raise Retry(after=Decimal("0"))  # type: ignore[arg-type]
        return "done"

    worker()
    assert later.submit_sync().result_sync(PATIENCE) == "done"


@pytest.mark.parametrize("after", [float("inf"), float("nan")])
def test_a_retry_at_no_time_at_all_fails_the_job(bb: Backburner, worker: Start, after: float) -> None:
    @bb.task
    async def never(run: Run) -> None:
        raise Retry(after=after)

    worker()
    assert never.submit_sync().wait_sync(PATIENCE).status is Status.FAILED


@pytest.mark.parametrize("value", [object(), float("nan"), {1, 2}, "\udc80"], ids=["object", "nan", "set", "surrogate"])
def test_a_result_that_is_not_json_fails_the_job_at_once(
    bb: Backburner, worker: Start, value: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "backburner")

    @bb.task(retries=5)
    async def odd(run: Run) -> Any:
        return value

    worker()
    record = odd.submit_sync().wait_sync(PATIENCE)
    assert (record.status, record.tries) == (Status.FAILED, 1)
    assert record.error is not None
    assert "the result cannot be written as JSON" in record.error.detail


def test_a_result_that_is_too_large_fails_the_job_at_once(bb: Backburner, worker: Start) -> None:
    @bb.task(retries=5)
    def huge(run: SyncRun) -> str:
        return "x" * (17 * 2**20)

    worker()
    record = huge.submit_sync().wait_sync(PATIENCE)
    assert (record.status, record.tries) == (Status.FAILED, 1)
    assert record.error is not None
    assert record.error.type == "too_large"
    assert "16 MiB" in record.error.detail


def test_an_error_whose_words_are_no_text_still_fails_the_job(
    bb: Backburner, worker: Start, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "backburner")  # pytest-xdist cannot carry what is no text

    @bb.task(retries=1, backoff=SOON)
    async def garbled(run: Run) -> None:
        raise ValueError("caf\udce9")

    worker()
    record = garbled.submit_sync().wait_sync(PATIENCE)
    assert (record.status, record.tries) == (Status.FAILED, 2)
    assert record.error is not None
    assert record.error.type == "ValueError"


def test_an_error_that_cannot_even_be_said_still_fails_the_job(bb: Backburner, worker: Start) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    @bb.task(retries=0)
    async def mute(run: Run) -> None:
        raise Mute

    worker()
    assert mute.submit_sync().wait_sync(PATIENCE).status is Status.FAILED


def test_an_attempt_that_takes_too_long_fails_and_names_the_limit(bb: Backburner, worker: Start) -> None:
    @bb.task(timeout=0.05, retries=0)
    async def slow(run: Run) -> None:
        await asyncio.sleep(60)

    worker()
    record = slow.submit_sync().wait_sync(PATIENCE)
    assert record.error is not None
    assert (record.error.type, record.error.detail) == ("timeout", "the job took longer than its limit of 0.05 s")


def test_a_timeout_costs_a_try_and_is_retried(bb: Backburner, worker: Start) -> None:
    @bb.task(timeout=0.05, retries=1, backoff=SOON)
    async def slow(run: Run) -> str:
        if run.tries == 0:
            await asyncio.sleep(60)
        return "quick"

    worker()
    job = slow.submit_sync()
    assert job.result_sync(PATIENCE) == "quick"
    assert look(bb.store, job.id).tries == 1


def test_a_running_async_function_is_interrupted_by_a_cancel(bb: Backburner, worker: Start, gate: Gate) -> None:
    ended: list[str] = []

    @bb.task
    async def long(run: Run) -> None:
        try:
            await gate.pass_through()
        except asyncio.CancelledError:
            ended.append("cleaned up")
            raise

    worker()
    job = long.submit_sync()
    gate.wait_begun()
    bb.store.write_sync(Cancel(job.id, None))
    with pytest.raises(JobCancelled):
        job.result_sync(PATIENCE)
    assert ended == ["cleaned up"]


def test_a_running_thread_hears_of_its_cancel_at_its_next_word(bb: Backburner, worker: Start, gate: Gate) -> None:
    heard: list[str] = []
    over = threading.Event()

    @bb.task
    def long(run: SyncRun) -> None:
        gate.begun.set()
        try:
            while not run.cancelled:
                gate.go.wait(0.002)
            run.text("still here")
        except JobCancelled:
            heard.append("cancelled")
            raise
        finally:
            over.set()

    worker()
    job = long.submit_sync()
    gate.wait_begun()
    bb.store.write_sync(Cancel(job.id, None))
    assert job.wait_sync(PATIENCE).status is Status.CANCELLED
    assert over.wait(PATIENCE)
    assert heard == ["cancelled"]
    assert "text.delta" not in kinds(bb.store, job.id)


def test_a_pending_job_that_is_cancelled_never_runs(bb: Backburner, worker: Start) -> None:
    ran: list[int] = []

    @bb.task
    async def noted(run: Run, number: int) -> None:
        ran.append(number)

    job = noted.submit_sync(1)
    bb.store.write_sync(Cancel(job.id, None))
    worker()
    noted.submit_sync(2).result_sync(PATIENCE)
    assert ran == [2]


@pytest.fixture
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "ABANDON_AFTER", 0.05)


def stubborn_task(bb: Backburner, gate: Gate, **options: Any) -> Any:
    @bb.task(**options)
    async def stubborn(run: Run) -> str:
        gate.begun.set()
        while not gate.go.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.002)
        return "too late"

    return stubborn


@pytest.mark.usefixtures("short_patience")
def test_a_function_that_ignores_its_cancel_is_abandoned(bb: Backburner, worker: Start, gate: Gate) -> None:
    stubborn = stubborn_task(bb, gate)
    worker()
    job = stubborn.submit_sync()
    gate.wait_begun()
    bb.store.write_sync(Cancel(job.id, None))
    assert job.wait_sync(PATIENCE).status is Status.CANCELLED


@pytest.mark.usefixtures("short_patience")
def test_a_function_that_ignores_its_timeout_is_abandoned(bb: Backburner, worker: Start, gate: Gate) -> None:
    stubborn = stubborn_task(bb, gate, timeout=0.02, retries=0)
    worker()
    record = stubborn.submit_sync().wait_sync(PATIENCE)
    assert record.status is Status.FAILED
    assert record.error is not None
    assert record.error.type == "timeout"


@pytest.mark.usefixtures("short_patience")
def test_a_worker_ends_although_a_function_ignores_its_end(bb: Backburner, worker: Start, gate: Gate) -> None:
    """And its job is back in the line, at no cost."""
    stubborn = stubborn_task(bb, gate)
    thread = worker(grace=0.01)
    job = stubborn.submit_sync()
    gate.wait_begun()
    stopping = threading.Thread(target=thread.stop, daemon=True)
    stopping.start()
    stopping.join(PATIENCE)
    assert not stopping.is_alive(), "the worker does not end"
    record = look(bb.store, job.id)
    assert (record.status, record.tries, record.rescues) == (Status.PENDING, 0, 0)
    assert bb.store.read_sync(ListWorkers()) == ()


@pytest.mark.usefixtures("short_patience")
def test_an_abandoned_function_can_write_no_more(bb: Backburner, worker: Start, gate: Gate) -> None:
    refused: list[str] = []
    over = threading.Event()

    @bb.task
    async def stubborn(run: Run) -> None:
        gate.begun.set()
        while not gate.go.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.002)
        try:
            await run.progress(99)
        except Exception as error:
            refused.append(type(error).__name__)
        over.set()

    worker()
    job = stubborn.submit_sync()
    gate.wait_begun()
    bb.store.write_sync(Cancel(job.id, None))
    job.wait_sync(PATIENCE)
    gate.let_go()
    assert over.wait(PATIENCE)
    assert refused == ["LeaseLost"]


def test_a_stopping_worker_lets_its_jobs_end(bb: Backburner, worker: Start, gate: Gate) -> None:
    @bb.task
    async def long(run: Run) -> str:
        await gate.pass_through()
        return "whole"

    thread = worker(grace=PATIENCE)
    job = long.submit_sync()
    gate.wait_begun()
    stopping = threading.Thread(target=thread.stop)
    stopping.start()
    gate.let_go()
    stopping.join()
    assert job.result_sync(0.01) == "whole"


def test_a_stopping_worker_gives_back_what_does_not_end_in_time(bb: Backburner, worker: Start, gate: Gate) -> None:
    @bb.task
    async def long(run: Run) -> str:
        await gate.pass_through()
        return "whole"

    thread = worker(grace=0.01)
    job = long.submit_sync()
    gate.wait_begun()
    thread.stop()
    record = look(bb.store, job.id)
    assert (record.status, record.tries, record.rescues) == (Status.PENDING, 0, 0)
    gate.let_go()
    worker()
    assert job.result_sync(PATIENCE) == "whole"


def test_a_worker_that_is_told_twice_to_stop_hurries(bb: Backburner, worker: Start, gate: Gate) -> None:
    @bb.task
    async def long(run: Run) -> None:
        await gate.pass_through()

    thread = worker(grace=3600.0)
    job = long.submit_sync()
    gate.wait_begun()
    first = threading.Thread(target=thread.stop)
    first.start()
    thread.stop()
    first.join()
    assert look(bb.store, job.id).status is Status.PENDING


def test_a_worker_may_be_stopped_before_it_runs(bb: Backburner) -> None:
    @bb.task
    async def never(run: Run) -> None: ...

    job = never.submit_sync()
    asyncio.run(bb.run_worker(lambda stop: stop()))
    assert look(bb.store, job.id).status is Status.PENDING
    assert bb.store.read_sync(ListWorkers()) == ()


@pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
async def test_a_cancelled_worker_gives_its_jobs_back(bb: Backburner, gate: Gate, sync: bool) -> None:
    """`asyncio.Task.cancel` on `run_worker`, as frameworks do at their end."""

    @bb.task
    async def long(run: Run) -> None:
        await gate.pass_through()

    @bb.task
    def long_thread(run: SyncRun) -> None:
        gate.begun.set()
        while not run.cancelled:
            gate.go.wait(0.002)

    job = await (long_thread if sync else long).submit()
    working = asyncio.create_task(bb.run_worker())
    await asyncio.to_thread(gate.wait_begun)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    record = await job.refresh()
    assert (record.status, record.tries, record.rescues) == (Status.PENDING, 0, 0)
    assert await bb.store.read(ListWorkers()) == ()


async def test_a_worker_that_is_cancelled_at_any_moment_leaves_nothing_running(bb: Backburner) -> None:
    @bb.task
    async def quick(run: Run) -> None: ...

    for moment in range(20):
        job = await quick.submit()
        working = asyncio.create_task(bb.run_worker())
        for _ in range(moment):
            await bb.store.read(ListWorkers())
        working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await working
        assert (await job.refresh()).status is not Status.RUNNING


def test_a_lost_job_is_run_again_and_its_first_run_interrupted(bb: Backburner, worker: Start) -> None:
    attempts: list[int] = []
    began = threading.Event()
    interrupted = threading.Event()

    @bb.task
    async def long(run: Run) -> str:
        attempts.append(run.attempt)
        if run.attempt == 1:
            began.set()
            try:
                while True:
                    await asyncio.sleep(0.002)
                    await run.progress(1)
            finally:
                interrupted.set()
        return "second"

    worker()
    job = long.submit_sync()
    assert began.wait(PATIENCE)
    (lost,) = bb.store.read_sync(ListWorkers())
    bb.store.write_sync(RescueJobs((lost.id,), expired=False, cap=5))
    assert job.result_sync(PATIENCE) == "second"
    assert interrupted.wait(PATIENCE)
    assert attempts == [1, 2]
    assert look(bb.store, job.id).rescues == 1


def test_notifications_of_start_progress_and_end(bb: Backburner, worker: Start) -> None:
    @bb.task(notify=("started", "progress", "completed"))
    async def told(run: Run) -> None:
        await run.progress(50, "half")

    worker()
    told.using(owner="ann").submit_sync().result_sync(PATIENCE)
    assert [each.kind for each in bb.store.read_sync(ListNotifications("ann"))] == ["completed", "progress", "started"]


def test_a_task_says_its_notifications_in_its_own_words(bb: Backburner, worker: Start) -> None:
    def words(kind: str, args: dict[str, Any], reason: str | None) -> Notice | None:
        return Notice(f"{args['title']}: {kind}", reason or "", {"n": 1}) if kind == "failed" else None

    @bb.task(words=words, retries=0)
    async def told(run: Run, title: str, works: bool) -> None:
        if not works:
            raise Fail("no luck")

    worker()
    told.using(owner="ann").submit_sync("A", True).wait_sync(PATIENCE)
    told.using(owner="ann").submit_sync("B", False).wait_sync(PATIENCE)
    (notice,) = bb.store.read_sync(ListNotifications("ann"))
    assert (notice.title, notice.message, notice.data) == ("B: failed", "no luck", {"n": 1})


def _raises(kind: str, args: dict[str, Any], reason: str | None) -> Notice:
    raise KeyError("title")


def _no_json(kind: str, args: dict[str, Any], reason: str | None) -> Notice:
    return Notice("Title", data={"x": object()})


def _no_notice(kind: str, args: dict[str, Any], reason: str | None) -> Any:
    return "a plain string"


@pytest.mark.parametrize("words", [_raises, _no_json, _no_notice])
def test_bad_words_cost_only_the_words(
    bb: Backburner, worker: Start, words: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "backburner")

    @bb.task(words=words, notify=("started", "progress", "completed", "failed"), retries=0)
    async def told(run: Run, works: bool) -> str:
        await run.progress(50)
        if not works:
            raise Fail("no luck")
        return "done"

    worker()
    assert told.using(owner="ann").submit_sync(True).result_sync(PATIENCE) == "done"
    assert told.using(owner="ann").submit_sync(False).wait_sync(PATIENCE).status is Status.FAILED
    titles = [each.title for each in bb.store.read_sync(ListNotifications("ann"))]
    assert titles.count("told is done") == titles.count("told has failed") == 1


def test_words_that_are_no_text_are_told_as_far_as_they_are(bb: Backburner, worker: Start) -> None:
    @bb.task(words=lambda kind, args, reason: Notice("caf\udce9", "\udc80"))
    async def told(run: Run) -> None: ...

    worker()
    told.using(owner="ann").submit_sync().result_sync(PATIENCE)
    (notice,) = bb.store.read_sync(ListNotifications("ann"))
    assert (notice.title, notice.message) == ("caf\ufffd", "\ufffd")


@pytest.mark.usefixtures("short_patience")
def test_bad_words_do_not_keep_an_abandoned_job_running(bb: Backburner, worker: Start, gate: Gate) -> None:
    stubborn = stubborn_task(bb, gate, timeout=0.02, retries=0, words=_no_json)
    worker()
    assert stubborn.using(owner="ann").submit_sync().wait_sync(PATIENCE).status is Status.FAILED


class Balking:
    """A store that cannot be written now and then."""

    def __init__(self, store: Store, kind: type, times: int) -> None:
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


@pytest.mark.parametrize("kind", [Notify, RegisterWorker], ids=lambda kind: kind.__name__)
def test_a_store_that_balks_for_a_moment_costs_no_job(
    bb: Backburner, worker: Start, monkeypatch: pytest.MonkeyPatch, kind: type
) -> None:
    monkeypatch.setattr(engine, "STORE_BACK_OFF", 0.001)

    @bb.task(notify=("started",))
    async def told(run: Run) -> str:
        return "done"

    job = told.using(owner="ann").submit_sync()
    monkeypatch.setattr(bb._open(), "store", Balking(bb.store, kind, 2))
    worker()
    assert job.result_sync(PATIENCE) == "done"
    assert look(bb.store, job.id).tries == 0


def test_a_job_whose_arguments_no_longer_fit_the_function_fails_at_once(bb: Backburner, worker: Start) -> None:
    from tests.support.making import submit

    @bb.task
    async def changed(run: Run, count: int) -> None: ...

    worker()
    job = submit(bb.store, "changed", args=json.dumps({"number": 1}), max_tries=3)
    record = bb.watcher.wait_sync(job, lambda record: record.status.finished, PATIENCE)
    assert record.error is not None
    assert (record.tries, record.error.type) == (1, "invalid_arguments")


def test_concurrency_of_a_task_is_kept(bb: Backburner, worker: Start) -> None:
    at_once: list[int] = []
    running = 0

    @bb.task(concurrency=2)
    async def counted(run: Run) -> None:
        nonlocal running
        running += 1
        at_once.append(running)
        await asyncio.sleep(0.002)
        running -= 1

    jobs = [counted.submit_sync() for _ in range(10)]
    worker()
    for job in jobs:
        job.wait_sync(PATIENCE)
    assert max(at_once) == 2


def until(bb: Backburner, job: str, condition: Any) -> JobRecord:
    return bb.watcher.wait_sync(job, condition, PATIENCE)
