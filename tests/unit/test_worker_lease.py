"""What a worker does when it cannot keep its lease."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from backburner import Backburner, Run
from backburner.domain.errors import JobFailed, StoreUnavailable
from backburner.domain.job import Status
from backburner.domain.operations import ListWorkers, RegisterWorker, Renew, Retire, Settle
from backburner.worker import heartbeat
from backburner.worker import worker as engine
from tests.conftest import Start
from tests.support.making import kinds, look

PATIENCE = 20.0


class Cut:
    """A store that some operations do not reach while it is cut off."""

    def __init__(self, store: Any, *kinds: type, times: int = -1, error: Exception | None = None) -> None:
        self._store, self._kinds = store, kinds
        self._times, self._error = times, error or StoreUnavailable("cut off")
        self.off = threading.Event()

    def write(self, operation: Any) -> Any:
        self._check(operation)
        return self._store.write(operation)

    def write_sync(self, operation: Any) -> Any:
        self._check(operation)
        return self._store.write_sync(operation)

    def _check(self, operation: Any) -> None:
        if self.off.is_set() and isinstance(operation, self._kinds) and self._times:
            self._times -= 1
            raise self._error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "STORE_BACK_OFF", 0.002)
    monkeypatch.setattr(heartbeat, "LOOK_FOR_DEAD", 0.01)


def cut_store(bb: Backburner, monkeypatch: pytest.MonkeyPatch, *kinds: type, **how: Any) -> Cut:
    cut = Cut(bb.store, *kinds, **how)
    monkeypatch.setattr(bb._open(), "store", cut)
    return cut


def test_a_worker_that_cannot_renew_gives_up_its_jobs_and_starts_afresh(
    bb: Backburner, worker: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, interrupted = threading.Event(), threading.Event()
    names: list[str] = []

    @bb.task
    async def long(run: Run) -> str:
        names.append(bb.store.read_sync(ListWorkers())[0].id)
        if run.attempt > 1:
            return "second"
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            interrupted.set()
        return "never"

    cut = cut_store(bb, monkeypatch, Renew)
    worker(lease=0.3)
    job = long.submit_sync()
    assert began.wait(PATIENCE)
    cut.off.set()
    assert interrupted.wait(PATIENCE)
    cut.off.clear()
    assert job.result_sync(PATIENCE) == "second"
    record = look(bb.store, job.id)
    assert (record.tries, record.rescues) == (0, 1)
    assert names[0] != names[1], "it signed on under another name"


def test_a_job_whose_end_cannot_be_written_by_a_mistake_of_ours_fails_and_is_not_waited_for_without_end(
    bb: Backburner, worker: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    @bb.task(retries=0)
    async def short(run: Run) -> int:
        return 1

    cut = cut_store(bb, monkeypatch, Settle, times=3, error=RuntimeError("a mistake of ours"))
    cut.off.set()
    worker()
    with pytest.raises(JobFailed, match="a mistake of ours"):
        short.submit_sync().result_sync(PATIENCE)


def test_a_worker_that_cannot_sign_on_again_by_a_mistake_of_ours_goes_on_trying(
    bb: Backburner, worker: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    @bb.task
    async def long(run: Run) -> int:
        if run.attempt > 1:
            return run.attempt
        cut.off.set()
        bb.store.write_sync(Retire(bb.store.read_sync(ListWorkers())[0].id))
        await asyncio.Event().wait()
        return 1

    cut = cut_store(bb, monkeypatch, RegisterWorker, times=3, error=RuntimeError("a mistake of ours"))
    worker(lease=0.3)
    assert long.submit_sync().result_sync(PATIENCE) == 2


def test_a_worker_that_is_stopped_while_it_cannot_sign_on_again_ends(
    bb: Backburner, worker: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted, began = threading.Event(), threading.Event()

    @bb.task
    async def long(run: Run) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            interrupted.set()

    cut = cut_store(bb, monkeypatch, Renew, RegisterWorker)
    thread = worker(lease=0.3)
    job = long.submit_sync()
    assert began.wait(PATIENCE)
    cut.off.set()
    assert interrupted.wait(PATIENCE)
    stopping = threading.Thread(target=thread.stop, daemon=True)
    stopping.start()
    stopping.join(PATIENCE)
    assert not stopping.is_alive()
    assert look(bb.store, job.id).status is Status.PENDING


def test_a_worker_that_is_stopped_before_it_could_sign_on_ends(
    bb: Backburner, worker: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    @bb.task
    async def never(run: Run) -> None: ...

    cut = cut_store(bb, monkeypatch, RegisterWorker)
    cut.off.set()
    thread = worker()
    stopping = threading.Thread(target=thread.stop, daemon=True)
    stopping.start()
    stopping.join(PATIENCE)
    assert not stopping.is_alive()
    assert not list((bb._open().database.locks).glob("worker-*"))


def test_a_function_that_blocks_the_event_loop_does_not_cost_the_lease(bb: Backburner, worker: Start) -> None:
    """Renewals come from a thread of their own."""
    renewed = threading.Event()

    @bb.task
    async def rude(run: Run) -> int:
        assert renewed.wait(PATIENCE)
        return run.attempt

    worker(lease=0.2)
    job = rude.submit_sync()
    bb.watcher.wait_sync(job.id, lambda record: record.status is Status.RUNNING, PATIENCE)
    first = bb.store.read_sync(ListWorkers())[0].expires_at
    while bb.store.read_sync(ListWorkers())[0].expires_at < first + 300_000:
        threading.Event().wait(0.01)
    renewed.set()
    assert job.result_sync(PATIENCE) == 1
    assert "job.retrying" not in kinds(bb.store, job.id)
