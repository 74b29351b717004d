from __future__ import annotations

import asyncio
import threading
from functools import partial
from typing import Any

import pytest

from backburner import Backburner, Run, SyncRun
from backburner.domain.backoff import Backoff
from backburner.domain.errors import DuplicateStep, InvalidArguments
from backburner.domain.job import Status
from tests.conftest import Start
from tests.support.making import kinds

SOON = Backoff(first=0.001, longest=0.001)
PATIENCE = 20.0


class Counter:
    """How many are inside at once."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.now -= 1


@pytest.mark.parametrize("limit", [None, 1, 3, 100])
def test_results_come_in_order_and_no_more_than_the_limit_run_at_once(
    bb: Backburner, worker: Start, limit: int | None
) -> None:
    inside = Counter()

    async def work(number: int) -> int:
        with inside:
            await asyncio.sleep(0.001 * (10 - number))
        return number

    @bb.task
    async def job(run: Run) -> list[int]:
        return await run.gather(*[run.step(f"part {n}", work, n) for n in range(10)], limit=limit)

    worker()
    assert job.submit_sync().result_sync(PATIENCE) == list(range(10))
    assert inside.most == min(limit or 10, 10)


def test_finished_calls_are_kept_when_another_fails(bb: Backburner, worker: Start) -> None:
    calls: list[Any] = []
    finished = asyncio.Event()

    async def quick(run: Run) -> str:
        calls.append("quick")
        await run.text("quick ")
        finished.set()
        return "quick"

    async def slow() -> str:
        calls.append("slow")
        await asyncio.sleep(3600 if len(calls) <= 3 else 0)
        return "slow"

    async def failing(run: Run) -> str:
        calls.append("failing")
        await finished.wait()
        if run.tries == 0:
            raise ValueError
        return "well"

    @bb.task(backoff=SOON)
    async def job(run: Run) -> list[str]:
        return await run.gather(
            run.step("quick", lambda: quick(run)), run.step("slow", slow), run.step("failing", lambda: failing(run))
        )

    worker()
    done = job.submit_sync()
    assert done.result_sync(PATIENCE) == ["quick", "slow", "well"]
    assert calls.count("quick") == 1
    assert calls.count("slow") == 2
    assert kinds(bb.store, done.id).count("step.completed") == 3


@pytest.mark.parametrize("limit", [None, 1, 2])
@pytest.mark.parametrize("names", [["same", "same"], ["same", "other", "same"]])
def test_a_name_used_twice_is_refused_whatever_the_timing(
    bb: Backburner, worker: Start, limit: int | None, names: list[str]
) -> None:
    async def work() -> None: ...

    @bb.task
    async def job(run: Run) -> None:
        await run.gather(*[run.step(name, work) for name in names], limit=limit)

    worker()
    record = job.submit_sync().wait_sync(PATIENCE)
    assert record.error is not None
    assert (record.status, record.error.type) == (Status.FAILED, DuplicateStep.type)


def test_one_call_may_repeat_a_name_and_what_comes_after_may_too(bb: Backburner, worker: Start) -> None:
    async def work(number: int) -> int:
        return number

    @bb.task(backoff=SOON)
    async def job(run: Run) -> list[Any]:
        async def part(name: str) -> list[int]:
            return [await run.step(name, work, number) for number in range(3)]

        first = await run.gather(part("a"), part("b"), limit=1)
        again = await run.gather(part("a"), part("b"))
        alone = await run.step("a", work, 7)
        if run.tries == 0:
            raise ValueError
        return [*first, *again, alone]

    worker()
    assert job.submit_sync().result_sync(PATIENCE) == [[0, 1, 2]] * 4 + [7]


@pytest.mark.parametrize("clash", [False, True])
def test_names_differ_between_a_gather_and_the_one_around_it(bb: Backburner, worker: Start, clash: bool) -> None:
    async def work() -> int:
        return 1

    @bb.task
    async def job(run: Run) -> Any:
        async def inner() -> list[int]:
            return await run.gather(run.step("a", work), run.step("b", work))

        return await run.gather(inner(), run.step("b" if clash else "c", work), limit=1)

    worker()
    record = job.submit_sync().wait_sync(PATIENCE)
    assert record.status is (Status.FAILED if clash else Status.COMPLETED)


def test_steps_inside_gathered_steps_may_share_names(bb: Backburner, worker: Start) -> None:
    async def work(number: int) -> int:
        return number

    @bb.task
    async def job(run: Run) -> list[int]:
        async def part(number: int) -> int:
            return await run.step("inner", work, number)

        return await run.gather(*[run.step(f"part {n}", part, n) for n in range(3)])

    worker()
    assert job.submit_sync().result_sync(PATIENCE) == [0, 1, 2]


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_is_refused_and_nothing_begins(bb: Backburner, worker: Start, limit: int) -> None:
    async def never() -> None:
        raise AssertionError

    @bb.task
    async def job(run: Run) -> None:
        await run.gather(run.step("never", never), limit=limit)

    worker()
    record = job.submit_sync().wait_sync(PATIENCE)
    assert record.error is not None
    assert (record.error.type, record.error.detail) == (
        InvalidArguments.type,
        f"limit is {limit}: choose 1 or more, or None for no limit",
    )


def test_nothing_to_gather_is_nothing(bb: Backburner, worker: Start) -> None:
    @bb.task
    async def job(run: Run) -> list[int]:
        return await run.gather()

    worker()
    assert job.submit_sync().result_sync(PATIENCE) == []


def test_threads_gather_functions(bb: Backburner, worker: Start) -> None:
    inside = Counter()
    together = threading.Barrier(2)
    calls: list[int] = []

    def work(number: int) -> int:
        calls.append(number)
        with inside:
            together.wait(PATIENCE)
        return number

    @bb.task(backoff=SOON)
    def job(run: SyncRun) -> list[int]:
        found = run.gather(*[partial(run.step, f"part {n}", work, n) for n in range(6)], limit=2)
        if run.tries == 0:
            raise ValueError
        return found

    worker()
    assert job.submit_sync().result_sync(PATIENCE) == list(range(6))
    assert (inside.most, sorted(calls)) == (2, list(range(6)))


def test_in_threads_too_names_must_differ_and_a_failure_waits_for_the_others(bb: Backburner, worker: Start) -> None:
    ended = threading.Event()
    failed = threading.Event()

    @bb.task(retries=0)
    def job(run: SyncRun, same: bool) -> None:
        def fail() -> None:
            failed.set()
            raise ValueError("broken")

        def slow() -> None:
            failed.wait(PATIENCE)
            ended.set()

        if same:
            run.gather(*[partial(run.step, "same", int) for _ in range(2)], limit=1)
        try:
            run.gather(fail, slow)
        finally:
            assert ended.is_set()

    worker()
    same = job.submit_sync(True).wait_sync(PATIENCE)
    assert same.error is not None
    assert same.error.type == DuplicateStep.type
    broken = job.submit_sync(False).wait_sync(PATIENCE)
    assert broken.error is not None
    assert broken.error.detail == "ValueError: broken"
