"""A run that waits for the jobs it has submitted."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from backburner import Backburner, JobCancelled, JobFailed, ResultTimeout, Run, Status, SyncRun
from backburner.domain.backoff import Backoff
from backburner.domain.errors import ConfigurationError, JobNotFound
from backburner.domain.operations import Erase, JobEvents, ListJobs
from tests.conftest import Start
from tests.support.making import kinds, look

SOON = Backoff(first=0.001, longest=0.001)
PATIENCE = 30.0


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parks come at once."""
    monkeypatch.setattr("backburner.outcomes.IN_PLACE", 0.0)


def parks(bb: Backburner, job: str) -> int:
    events = bb.store.read_sync(JobEvents(job))
    return sum(event.data["reason"] == "child" for event in events if event.kind == "job.retrying")


def wait_until_parked(bb: Backburner, job: str) -> None:
    record = bb.watcher.wait_sync(job, lambda record: record.waiting_for == "child", PATIENCE)
    assert record.status is Status.PENDING


@pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
def test_a_parent_and_its_child_need_one_slot(bb: Backburner, worker: Start, sync: bool) -> None:
    @bb.task
    async def child(run: Run, number: int) -> int:
        return number * 2

    if sync:

        @bb.task(name="parent")
        def parent(run: SyncRun) -> int:
            return sum(child.submit_sync(number).result_sync() for number in (1, 2))

    else:

        @bb.task(name="parent")
        async def parent(run: Run) -> int:
            return sum([await (await child.submit(number)).result() for number in (1, 2)])

    worker(concurrency=1)
    job = parent.submit_sync()
    assert job.result_sync(PATIENCE) == 6
    assert parks(bb, job.id) == 2
    assert look(bb.store, job.id).tries == 0
    assert len(bb.store.read_sync(ListJobs(task="child"))) == 2


def test_grandchildren_need_one_slot_too(bb: Backburner, worker: Start) -> None:
    @bb.task
    async def count(run: Run, depth: int) -> int:
        return 0 if depth == 0 else 1 + await (await count.submit(depth - 1)).result()

    worker(concurrency=1)
    assert count.submit_sync(3).result_sync(PATIENCE) == 3


def test_a_child_that_ends_soon_is_waited_for_in_place(
    bb: Backburner, worker: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backburner.outcomes.IN_PLACE", PATIENCE)

    @bb.task
    async def child(run: Run) -> int:
        return 1

    @bb.task
    async def parent(run: Run) -> int:
        return await (await child.submit()).result()

    worker()
    job = parent.submit_sync()
    assert job.result_sync(PATIENCE) == 1
    assert parks(bb, job.id) == 0


@pytest.mark.usefixtures("soon")
def test_many_children_side_by_side_are_one_park(bb: Backburner, worker: Start) -> None:
    @bb.task
    async def child(run: Run, number: int) -> int:
        return number

    @bb.task
    async def parent(run: Run) -> list[int]:
        jobs = [await child.submit(number) for number in range(5)]
        return list(await asyncio.gather(*[job.result() for job in jobs]))

    worker(concurrency=1)
    job = parent.submit_sync()
    assert job.result_sync(PATIENCE) == [0, 1, 2, 3, 4]
    assert parks(bb, job.id) == 1


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("how", ["task group", "return exceptions", "run.gather", "bare except"])
def test_a_park_survives_whatever_holds_the_waits(bb: Backburner, worker: Start, how: str) -> None:
    @bb.task
    async def child(run: Run, number: int) -> int:
        return number

    async def wait_for_all(run: Run, jobs: list[Any]) -> list[Any]:
        calls = [job.result() for job in jobs]
        match how:
            case "task group":
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(call) for call in calls]
                return [task.result() for task in tasks]
            case "return exceptions":
                return list(await asyncio.gather(*calls, return_exceptions=True))
            case "run.gather":
                return await run.gather(*calls)
        found = []
        for call in calls:
            try:
                found.append(await call)
            except:  # noqa: E722
                found.append(-1)
        return found

    @bb.task
    async def parent(run: Run) -> list[Any]:
        found = await wait_for_all(run, [await child.submit(number) for number in range(3)])
        return [number + 1 for number in found]

    worker(concurrency=1)
    assert parent.submit_sync().result_sync(PATIENCE) == [1, 2, 3]


@pytest.mark.usefixtures("soon")
def test_a_step_beside_a_wait_is_finished_before_the_park(bb: Backburner, worker: Start) -> None:
    calls: list[str] = []
    begun, release = threading.Event(), threading.Event()

    def work() -> str:
        calls.append("work")
        begun.set()
        assert release.wait(PATIENCE)
        return "done"

    @bb.task
    async def child(run: Run) -> int:
        return 1

    @bb.task
    async def parent(run: Run) -> list[Any]:
        job = await child.using(delay=3600).submit()
        if run.attempt > 1:
            await job.cancel()
        return list(await asyncio.gather(run.step("work", work), job.wait()))

    worker(concurrency=1)
    job = parent.submit_sync()
    assert begun.wait(PATIENCE)
    assert look(bb.store, job.id).status is Status.RUNNING
    release.set()
    wait_until_parked(bb, job.id)
    assert "step.completed" in kinds(bb.store, job.id)
    (waited,) = bb.store.read_sync(ListJobs(task="child"))
    asyncio.run(bb.handle(waited.id).cancel())
    job.wait_sync(PATIENCE)
    assert calls == ["work"]


@pytest.mark.usefixtures("soon")
def test_a_wait_inside_a_step_parks_and_the_step_goes_on(bb: Backburner, worker: Start) -> None:
    @bb.task
    async def child(run: Run, number: int) -> int:
        return number

    async def part(number: int) -> int:
        return await (await child.submit(number)).result()

    @bb.task
    async def parent(run: Run) -> int:
        first = await run.step("first", part, 1)
        return first + sum(await run.gather(*[run.step(f"part {n}", part, n) for n in (2, 3)]))

    worker(concurrency=1)
    assert parent.submit_sync().result_sync(PATIENCE) == 6
    assert len(bb.store.read_sync(ListJobs(task="child"))) == 3


@pytest.mark.usefixtures("soon")
def test_the_failure_of_a_child_is_raised_and_kept_although_the_child_is_erased(bb: Backburner, worker: Start) -> None:
    @bb.task(retries=0)
    async def child(run: Run) -> None:
        raise ValueError("no ink")

    @bb.task(backoff=SOON)
    async def parent(run: Run) -> str:
        job = await child.submit()
        with pytest.raises(JobFailed, match="no ink") as raised:
            await job.result()
        assert (job.status, raised.value.error["type"]) == (Status.FAILED, "ValueError")
        if run.tries == 0:
            await bb.store.write(Erase(job.id, None))
            raise RuntimeError
        return job.id

    worker(concurrency=1)
    gone = parent.submit_sync().result_sync(PATIENCE)
    with pytest.raises(JobNotFound):
        bb.handle(gone).refresh_sync()


def test_the_result_of_a_child_is_typed_and_kept_although_the_child_is_erased(bb: Backburner, worker: Start) -> None:
    @bb.task
    async def child(run: Run) -> date:
        return date(2024, 5, 6)

    @bb.task(backoff=SOON)
    async def parent(run: Run) -> int:
        job = await child.submit()
        day = await job.result()
        if run.tries == 0:
            await bb.store.write(Erase(job.id, None))
            raise RuntimeError
        return day.year

    worker()
    assert parent.submit_sync().result_sync(PATIENCE) == 2024


@pytest.mark.usefixtures("soon")
def test_waiting_with_a_limit_is_over_when_its_time_is_and_the_child_goes_on(bb: Backburner, worker: Start) -> None:
    @bb.task
    async def child(run: Run) -> None: ...

    @bb.task
    async def parent(run: Run) -> str:
        job = await child.using(delay=3600).submit()
        try:
            await job.result(timeout=0.3)
        except ResultTimeout:
            return job.id
        return "it has ended"

    worker(concurrency=1)
    job = parent.submit_sync()
    assert look(bb.store, job.result_sync(PATIENCE)).status is Status.PENDING
    assert parks(bb, job.id) == 1


@pytest.mark.usefixtures("soon")
def test_a_cancelled_parent_takes_its_children_with_it_and_leaves_detached_ones(bb: Backburner, worker: Start) -> None:
    @bb.task
    async def child(run: Run) -> None: ...

    @bb.task(detached=True)
    async def mail(run: Run) -> None: ...

    @bb.task
    async def parent(run: Run) -> None:
        await mail.using(delay=3600).submit()
        await child.using(delay=3600, detached=True).submit()
        await (await child.using(delay=3600).submit()).result()

    worker()
    job = parent.using(owner="ann").submit_sync()
    wait_until_parked(bb, job.id)
    assert asyncio.run(job.cancel()).status is Status.CANCELLED
    with pytest.raises(JobCancelled):
        job.result_sync(PATIENCE)
    states = {each.task + str(each.parent is None): each.status for each in bb.store.read_sync(ListJobs())}
    assert (states["mailTrue"], states["childTrue"], states["childFalse"]) == ("pending", "pending", "cancelled")


@pytest.mark.parametrize("call", [lambda job: job.result_sync(), lambda job: job.wait_sync()], ids=["result", "wait"])
def test_an_async_function_that_would_block_its_own_loop_is_told(
    bb: Backburner, worker: Start, call: Callable[[Any], Any]
) -> None:
    @bb.task
    async def child(run: Run) -> None: ...

    @bb.task
    async def parent(run: Run) -> None:
        call(await child.submit())

    worker()
    record = parent.submit_sync().wait_sync(PATIENCE)
    assert record.error is not None
    assert (record.error.type, "await" in record.error.detail) == (ConfigurationError.type, True)
