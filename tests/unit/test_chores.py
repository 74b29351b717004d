"""A worker keeps the store in order, and never lets that stand in the way of its jobs."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from backburner import Backburner, Run
from backburner.domain.errors import StoreUnavailable
from backburner.domain.job import Status
from backburner.domain.operations import (
    Chore,
    Claim,
    Execution,
    Limit,
    ListJobs,
    ListWorkers,
    OpenChores,
    TakeChore,
)
from backburner.worker import chores as sweeps
from tests.conftest import Start
from tests.support.clock import pass_time
from tests.support.making import complete, register

PATIENCE = 20.0


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeps, "LOOK", 0.01)


def test_a_worker_fails_what_was_not_started_in_time(bb: Backburner, worker: Start) -> None:
    began, go = threading.Event(), threading.Event()

    @bb.task(concurrency=1)
    def slow(run: Any) -> None:
        began.set()
        go.wait(PATIENCE)

    worker()
    first = slow.submit_sync()
    assert began.wait(PATIENCE)
    late = slow.using(expires=60).submit_sync()
    pass_time(bb.store, 61)
    assert late.wait_sync(PATIENCE).status is Status.FAILED
    go.set()
    assert first.wait_sync(PATIENCE).status is Status.COMPLETED


def test_a_worker_that_is_started_with_a_raised_limit_starts_the_jobs_that_were_set_aside(
    bb: Backburner, worker: Start
) -> None:
    began = threading.Semaphore(0)

    @bb.task(owner_concurrency=4)
    def task(run: Any) -> None:
        began.release()

    for _ in range(4):
        task.using(owner="ann").submit_sync()
    before = register(bb.store)
    unlock = bb.store.lock_worker(before)  # it lives
    (running,) = bb.store.write_sync(Claim(before, {task.name: Limit(owner_concurrency=1)}, 4)).jobs
    worker()
    for _ in range(3):
        assert began.acquire(timeout=PATIENCE)
    complete(bb.store, Execution(running.id, running.attempt))
    unlock()


def test_a_worker_waits_for_a_store_that_cannot_be_used(
    bb: Backburner, worker: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    looks = threading.Semaphore(0)
    off = threading.Event()
    off.set()
    store = bb.store
    read = store.read_sync

    def read_sync(query: Any) -> Any:
        if isinstance(query, OpenChores):
            looks.release()
            if off.is_set():
                raise StoreUnavailable("cut off")
        return read(query)

    monkeypatch.setattr(store, "read_sync", read_sync)

    @bb.task
    async def quick(run: Run) -> int:
        return 1

    worker()
    for _ in range(3):
        assert looks.acquire(timeout=PATIENCE)
    assert quick.submit_sync().result_sync(PATIENCE) == 1
    assert "cut off" in caplog.text
    off.clear()
    for _ in range(3):
        assert looks.acquire(timeout=PATIENCE)
    assert not store.write_sync(TakeChore(Chore.COUNT, 60))


def test_a_chore_that_takes_long_delays_no_lease(
    bb: Backburner, worker: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, go = threading.Event(), threading.Event()

    def never_ends(self: Any) -> bool:
        stuck.set()
        go.wait(PATIENCE)
        return False

    monkeypatch.setattr(sweeps.Chores, "_fold_counts", never_ends)

    @bb.task
    async def quick(run: Run) -> int:
        return 1

    worker(lease=1.0)
    quick.submit_sync().result_sync(PATIENCE)
    assert stuck.wait(PATIENCE)
    before = {each.id: each.expires_at for each in _workers(bb)}
    renewed = threading.Event()
    while not renewed.is_set():
        for each in _workers(bb):
            assert each.id in before
            if each.expires_at > before[each.id]:
                renewed.set()
    go.set()


def test_a_worker_that_is_told_to_stop_begins_no_chore(
    bb: Backburner, worker: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go = threading.Event(), threading.Event()
    parts = []

    def endless(self: Any) -> bool:
        parts.append(1)
        begun.set()
        go.wait(PATIENCE)
        return True

    monkeypatch.setattr(sweeps.Chores, "_fold_counts", endless)

    @bb.task
    async def quick(run: Run) -> int:
        return 1

    thread = worker()
    quick.submit_sync().result_sync(PATIENCE)
    assert begun.wait(PATIENCE)
    assert thread._stop is not None
    thread._stop()
    go.set()
    thread.stop()
    assert parts == [1]


def _workers(bb: Backburner) -> Any:
    return bb.store.read_sync(ListWorkers())


def test_a_worker_removes_what_has_been_kept_long_enough(
    bb: Backburner, worker: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    pruned = threading.Event()
    prune_the_rest = sweeps.Chores._prune_the_rest

    def say_so(self: Any) -> bool:
        more = prune_the_rest(self)
        if not bb.store.read_sync(ListJobs(task="brief")):
            pruned.set()
        return more

    monkeypatch.setattr(sweeps.Chores, "_prune_the_rest", say_so)
    monkeypatch.setattr(sweeps, "JOBS_AT_ONCE", 2)

    @bb.task(retention="completed=1h")
    async def brief(run: Run) -> None: ...

    @bb.task
    async def usual(run: Run) -> None: ...

    thread = worker()
    kept = usual.submit_sync()
    for job in [*(brief.submit_sync() for _ in range(5)), kept]:
        job.wait_sync(PATIENCE)
    thread.stop()
    pass_time(bb.store, 2 * 3600)
    worker()
    assert pruned.wait(PATIENCE)
    assert [job.id for job in bb.store.read_sync(ListJobs())] == [kept.id]
