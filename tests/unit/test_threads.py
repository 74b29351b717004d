"""Ordinary functions in threads: what they are given, and what becomes of those that do not listen."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
import threading
from typing import Any

import pytest

from backburner import Backburner, JobCancelled, Run, SyncRun
from backburner.domain.backoff import Backoff
from backburner.domain.job import Status
from backburner.domain.operations import Cancel
from backburner.llm.client import Llm
from backburner.run import current_run
from backburner.sync_llm import SyncLlm
from backburner.worker import worker as engine
from tests.conftest import Start
from tests.support.processes import until

SOON = Backoff(first=0.001, longest=0.001)
PATIENCE = 20.0

FOR_THE_ENGINE = {
    "begin",
    "calls",
    "finish",
    "interrupt",
    "outcomes",
    "spec",
    "submit",
    "threads",
    "wait_sync",
    "waiting",
}


def public(thing: Any) -> set[str]:
    return {name for name in dir(thing) if not name.startswith("_")} - FOR_THE_ENGINE


def test_both_runs_have_the_same_names(bb: Backburner, worker: Start) -> None:
    names: dict[bool, set[str]] = {}

    @bb.task
    async def job(run: Run) -> None:
        names[False] = public(run)

    @bb.task
    def sync_job(run: SyncRun) -> None:
        names[True] = public(run)

    worker()
    for each in (job, sync_job):
        each.submit_sync().result_sync(PATIENCE)
    for_the_engine = {"count", "deadline", "execution", "has_threads", "send", "write", "step_key"}
    assert names[False] - for_the_engine == names[True] - {"cancelled"}


@pytest.mark.parametrize("name", sorted(public(Llm)))
def test_the_model_of_a_thread_has_the_same_methods(name: str) -> None:
    expected, actual = getattr(Llm, name), getattr(SyncLlm, name)
    if not isinstance(expected, property):
        assert list(inspect.signature(expected).parameters) == list(inspect.signature(actual).parameters)


def test_the_methods_take_the_same_parameters() -> None:
    other = {"gather", "keep"}  # functions instead of awaitables
    for name in public(Run) & public(SyncRun) - other:
        expected, actual = getattr(Run, name), getattr(SyncRun, name)
        if callable(expected):
            assert list(inspect.signature(expected).parameters) == list(inspect.signature(actual).parameters), name


def test_a_thread_keeps_what_it_makes(bb: Backburner, worker: Start) -> None:
    calls: list[str] = []

    @bb.task(backoff=SOON)
    def job(run: SyncRun) -> Any:
        def make() -> tuple[list[int], None]:
            calls.append("made")
            run.text("made ")
            return [1], None

        found = run.keep("thing", {"of": 1}, make)
        run.text("after")
        if run.tries == 0:
            raise ValueError
        return [found, run.written(), run.priority]

    worker()
    assert job.submit_sync().result_sync(PATIENCE) == [[1], len("made after"), 5]
    assert calls == ["made"]


async def test_context_of_whoever_runs_the_worker_reaches_threads_and_steps(bb: Backburner) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
    seen: dict[str, tuple[str, str | None]] = {}

    def look(place: str) -> None:
        run = current_run.get()
        seen[place] = (variable.get(), run.job_id if run else None)

    @bb.task
    async def job(run: Run) -> None:
        look("coroutine")
        await run.step("thread", look, "step in a thread")
        await run.gather(run.step("gathered", look, "gathered step"))

    @bb.task
    def sync_job(run: SyncRun) -> None:
        async def in_loop() -> None:
            look("async step of a thread")

        look("thread")
        variable.set("changed")
        run.step("thread", look, "step of a thread")
        run.step("loop", in_loop)
        run.gather(lambda: look("gathered thread"))

    variable.set("set")
    stops: list[Any] = []
    working = asyncio.create_task(bb.run_worker(stops.append))
    first, second = await job.submit(), await sync_job.submit()
    await first.result(PATIENCE)
    await second.result(PATIENCE)
    stops[0]()
    await working
    assert seen == {
        "coroutine": ("set", first.id),
        "step in a thread": ("set", first.id),
        "gathered step": ("set", first.id),
        "thread": ("set", second.id),
        "step of a thread": ("changed", second.id),
        "async step of a thread": ("changed", second.id),
        "gathered thread": ("changed", second.id),
    }
    assert current_run.get() is None


def test_a_thread_that_waits_is_woken_by_its_cancel(bb: Backburner, worker: Start) -> None:
    begun, raised = threading.Event(), threading.Event()

    @bb.task
    def job(run: SyncRun) -> None:
        async def forever() -> None:
            begun.set()
            await asyncio.Event().wait()

        try:
            run.step("forever", forever)
        except JobCancelled:
            try:
                run.progress(1)
            except JobCancelled:
                raised.set()

    worker()
    submitted = job.submit_sync()
    assert begun.wait(PATIENCE)
    bb.store.write_sync(Cancel(submitted.id, None))
    assert submitted.wait_sync(PATIENCE).status is Status.CANCELLED
    assert raised.wait(PATIENCE)


@pytest.mark.parametrize("where", ["job", "step"])
@pytest.mark.parametrize("why", ["cancel", "timeout"])
def test_a_thread_that_does_not_listen_is_abandoned_by_name_and_keeps_its_slot(
    bb: Backburner,
    worker: Start,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    where: str,
    why: str,
) -> None:
    monkeypatch.setattr(engine, "ABANDON_AFTER", 0.05)
    begun, go, next_began = threading.Event(), threading.Event(), threading.Event()
    names: list[str] = []

    def deaf() -> None:
        names.append(threading.current_thread().name)
        begun.set()
        assert go.wait(PATIENCE)

    @bb.task(timeout=0.05 if why == "timeout" else None, retries=0)
    def job(run: SyncRun) -> None:
        deaf()

    @bb.task(timeout=0.05 if why == "timeout" else None, retries=0)
    async def step_job(run: Run) -> None:
        await run.step("deaf", deaf)

    @bb.task
    def after(run: SyncRun) -> None:
        next_began.set()

    task = job if where == "job" else step_job
    with caplog.at_level(logging.WARNING, "backburner.worker"):
        worker(concurrency=1)
        stuck = task.submit_sync()
        assert begun.wait(PATIENCE)
        if why == "cancel":
            bb.store.write_sync(Cancel(stuck.id, None))
        assert stuck.wait_sync(PATIENCE).status is (Status.CANCELLED if why == "cancel" else Status.FAILED)
        warning = until(
            lambda: next((each for each in caplog.messages if "is abandoned" in each), None), "a warning of it"
        )
        waiting = after.submit_sync()
        assert not next_began.wait(0.1)
        go.set()
        waiting.result_sync(PATIENCE)
    assert warning == (
        f"job {stuck.id} ({task.name}) ignores its cancellation and is abandoned; it keeps its slot until its thread "
        f"ends: {names[0]}"
    )
    assert f"backburner {task.name} {stuck.id}" in names[0]


def test_a_retry_beside_its_own_abandoned_thread_takes_a_slot_of_its_own(
    bb: Backburner, worker: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "ABANDON_AFTER", 0.05)
    go, next_began = threading.Event(), threading.Event()
    tries: list[threading.Event] = [threading.Event(), threading.Event()]

    @bb.task(timeout=0.05, retries=1, backoff=SOON)
    def job(run: SyncRun) -> None:
        tries[run.tries].set()
        assert go.wait(PATIENCE)

    @bb.task
    def after(run: SyncRun) -> None:
        next_began.set()

    worker(concurrency=2)
    stuck = job.submit_sync()
    assert stuck.wait_sync(PATIENCE).status is Status.FAILED
    assert all(each.is_set() for each in tries)
    waiting = after.submit_sync()
    assert not next_began.wait(0.1)
    go.set()
    waiting.result_sync(PATIENCE)
