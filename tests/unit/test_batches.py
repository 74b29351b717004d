"""Batches through a Backburner, with real workers."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from backburner import Backburner, BatchNotFound, ResultTimeout, Run, Status, SyncRun
from backburner.cli import main
from backburner.domain.backoff import Backoff
from backburner.domain.errors import ConfigurationError, IllegalTransition, InvalidArguments
from backburner.domain.operations import ListBatches, ListJobs, ListNotifications
from tests.conftest import Start

SOON = Backoff(first=0.001, longest=0.001)
PATIENCE = 30.0


async def test_jobs_are_added_typed_and_are_on_disk_together(bb: Backburner, worker: Start) -> None:
    reported: list[str] = []

    @bb.task
    async def double(run: Run, number: int) -> int:
        return number * 2

    @bb.task
    async def shout(run: Run, text: str) -> str:
        return text.upper()

    @bb.task
    async def report(run: Run, batch: str) -> None:
        reported.append(batch)

    async with bb.batch("Numbers", owner="ann", on_complete=report.using(priority=9)) as batch:
        numbers = [batch.add(double, number) for number in range(50)]
        word = batch.add(shout.using(owner="bob"), text="snow")
        assert await bb.store.read(ListJobs()) == ()
    assert (await batch.look()).counts == {Status.PENDING: 51}
    assert [job.record.owner for job in (numbers[0], word)] == ["ann", "bob"]
    worker()
    record = await batch.wait(PATIENCE)
    assert (record.status, record.percent, record.total) == (Status.COMPLETED, 100.0, 51)
    assert [await job.result() for job in numbers] == [number * 2 for number in range(50)]
    assert await word.result() == "SNOW"
    (done,) = await bb.store.read(ListJobs(task="report"))
    await bb.handle(done.id).wait(PATIENCE)
    assert (reported, done.owner, done.priority) == ([batch.id], "ann", 9)
    kinds = [(notice.kind, notice.title) for notice in await bb.store.read(ListNotifications("ann"))]
    assert ("completed", "Numbers is done") in kinds
    assert len([kind for kind in kinds if "double" in kind[1]]) == 0


def test_the_sync_form_and_a_block_that_raises(bb: Backburner, worker: Start) -> None:
    @bb.task
    def double(run: SyncRun, number: int) -> int:
        return number * 2

    never = bb.batch("Never")

    def broken() -> None:
        with never:
            never.add(double, 1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken()
    with pytest.raises(BatchNotFound):
        never.look_sync()
    with bb.batch("Numbers") as batch:
        jobs = [batch.add(double, number) for number in range(3)]
    with pytest.raises(ResultTimeout):
        batch.wait_sync(0.01)
    worker()
    assert batch.wait_sync(PATIENCE).status is Status.COMPLETED
    assert [job.result_sync() for job in jobs] == [0, 2, 4]


def test_what_cannot_be_submitted_is_refused_before_anything_is_on_disk(bb: Backburner) -> None:
    @bb.task
    async def double(run: Run, number: int) -> int:
        return number * 2

    @bb.task
    async def nothing(run: Run) -> None: ...

    def wrong() -> None:
        with bb.batch("Wrong") as batch:
            batch.add(double, 1)
            batch.add(double, numbers=1)  # type: ignore[call-arg]

    with pytest.raises(InvalidArguments):
        wrong()
    with pytest.raises(InvalidArguments, match="nothing"):
        bb.batch("No argument for the callback", on_complete=nothing)
    with pytest.raises(ConfigurationError, match="on_complete"):
        bb.batch("No task", on_complete=print)  # type: ignore[arg-type]
    with pytest.raises(InvalidArguments, match="call 1") as raised:
        double.submit_many_sync([{"number": 1}, {"number": {1}}])
    assert raised.value.args
    assert bb.store.read_sync(ListJobs()) == ()


async def test_many_jobs_of_one_task_are_one_commit(bb: Backburner, worker: Start) -> None:
    @bb.task
    async def double(run: Run, number: int, times: int = 2) -> int:
        return number * times

    jobs = await double.using(owner="ann").submit_many([{"number": 1}, (2,), (3, 3)])
    assert len({job.record.created_at for job in jobs}) == 1
    assert {job.record.owner for job in jobs} == {"ann"}
    worker()
    assert [await job.result(PATIENCE) for job in jobs] == [2, 4, 9]


@pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
def test_a_run_submits_its_batch_once_and_waits_for_it_without_a_slot(
    bb: Backburner, worker: Start, sync: bool
) -> None:
    @bb.task
    async def child(run: Run, number: int) -> int:
        return number

    if sync:

        @bb.task(name="parent", backoff=SOON)
        def parent(run: SyncRun) -> list[Any]:
            with bb.batch("Parts") as batch:
                jobs = [batch.add(child, number) for number in range(5)]
            many = child.submit_many_sync([(number,) for number in range(3)])
            batch.wait_sync()
            if run.tries == 0:
                raise ValueError
            return [batch.id, [job.result_sync() for job in jobs], [job.result_sync() for job in many]]

    else:

        @bb.task(name="parent", backoff=SOON)
        async def parent(run: Run) -> list[Any]:
            async with bb.batch("Parts") as batch:
                jobs = [batch.add(child, number) for number in range(5)]
            many = await child.submit_many([(number,) for number in range(3)])
            await batch.wait()
            if run.tries == 0:
                raise ValueError
            return [batch.id, [await job.result() for job in jobs], [await job.result() for job in many]]

    worker(concurrency=1)
    batch, parts, many = parent.using(owner="ann").submit_sync().result_sync(PATIENCE)
    assert (parts, many) == ([0, 1, 2, 3, 4], [0, 1, 2])
    (found,) = bb.store.read_sync(ListBatches())
    assert (found.id, found.owner, found.total) == (batch, "ann", 5)
    assert len(bb.store.read_sync(ListJobs(task="child"))) == 8


async def test_a_batch_is_cancelled_retried_and_erased_as_a_whole(bb: Backburner, worker: Start) -> None:
    working = True

    @bb.task(retries=0)
    async def part(run: Run, number: int) -> int:
        if working:
            raise ValueError("not yet")
        return number

    async with bb.batch("Parts") as batch:
        for number in range(3):
            batch.add(part, number)
        for _ in range(2):
            batch.add(part.using(delay=3600), 9)
    worker()
    await asyncio.gather(*[job.wait(PATIENCE) for job in batch.jobs[:3]])
    with pytest.raises(IllegalTransition):
        await batch.erase()
    record = await batch.cancel()
    assert record.counts == {Status.FAILED: 3, Status.CANCELLED: 2}
    working = False
    assert await batch.retry() == 3
    record = await batch.wait(PATIENCE)
    assert record.counts == {Status.COMPLETED: 3, Status.CANCELLED: 2}
    await bb.find_batch(batch.id).erase()
    with pytest.raises(BatchNotFound):
        await batch.look()
    assert await bb.store.read(ListJobs()) == ()


def test_the_command_line_lists_shows_and_cancels(bb: Backburner, tmp_path: Path) -> None:
    @bb.task
    async def part(run: Run) -> None: ...

    with bb.batch("Parts", owner="ann") as batch:
        batch.add(part)

    def call(*arguments: str) -> str:
        found = CliRunner().invoke(main, ["batches", "--database", f"sqlite:///{tmp_path}/jobs.db", *arguments])
        assert found.exit_code == 0, found.output
        return found.stdout

    assert batch.id in call("list")
    assert "Parts" in call("list", "--owner", "ann")
    assert json.loads(call("show", batch.id))["counts"]["pending"] == 1
    assert "cancelled" in call("cancel", batch.id)
    gone = CliRunner().invoke(main, ["batches", "--database", f"sqlite:///{tmp_path}/jobs.db", "show", "x"])
    assert (gone.exit_code, "no batch x" in gone.output) == (1, True)
