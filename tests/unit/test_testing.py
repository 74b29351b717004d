"""`backburner.testing`: jobs run in the test, on a clock that the test moves."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta

import pytest

from backburner import Backburner, ConfigurationError, Fail, JobFailed, Retry, Run, Status, SyncRun, testing
from tests.conftest import Start
from tests.support.backends import Backend

PATIENCE = 20.0


async def test_a_drain_runs_what_is_ready_and_what_that_submits(bb: Backburner) -> None:
    @bb.task
    async def leaf(run: Run, number: int) -> int:
        return number

    @bb.task
    async def root(run: Run) -> int:
        jobs = [await leaf.submit(number) for number in (1, 2)]
        return sum([await job.result() for job in jobs])

    job = await root.submit()
    drained = await testing.drain(bb)
    assert ["root", "leaf", "leaf"] == [record.task for record in drained.completed]
    assert len(drained) == 3
    assert await job.result() == 3
    assert len(await testing.drain(bb)) == 0


def test_a_drain_needs_no_event_loop(bb: Backburner) -> None:
    @bb.task
    def double(run: SyncRun, number: int) -> int:
        return 2 * number

    job = double.submit_sync(4)
    assert len(testing.drain_sync(bb).completed) == 1
    assert job.result_sync() == 8


async def test_a_failure_fails_the_test_with_what_caused_it(bb: Backburner) -> None:
    @bb.task(retries=0)
    async def broken(run: Run) -> None:
        raise ZeroDivisionError("by nought")

    await broken.submit()
    with pytest.raises(JobFailed, match=r"1 of the 1 jobs .*\n  broken .*by nought") as caught:
        await testing.drain(bb)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    await broken.submit()
    assert [Status.FAILED] == [job.status for job in (await testing.drain(bb, check=False)).failed]


async def test_what_is_due_later_waits_unless_the_clock_is_to_jump(bb: Backburner) -> None:
    tries = []

    @bb.task(retries=2)
    async def flaky(run: Run) -> int:
        tries.append(run.tries)
        if run.tries < 2:
            raise Retry("not yet", after=3600)
        return run.tries

    late = await flaky.using(delay=86_400).submit()
    assert len(await testing.drain(bb)) == 0
    drained = await testing.drain(bb, with_scheduled=True)
    assert [0, 1, 2] == tries
    assert [late.id] == [job.id for job in drained.completed]
    record = await late.refresh()
    assert record.finished_at is not None
    assert record.finished_at - record.created_at >= (86_400 + 2 * 3600) * 1_000_000


async def test_at_most_so_many_attempts_are_begun(bb: Backburner) -> None:
    @bb.task
    async def again(run: Run) -> None:
        await again.submit()

    await again.submit()
    assert len(await testing.drain(bb, max_jobs=3)) == 3
    assert len(testing.submitted(bb)) == 4
    assert len(await testing.drain(bb, max_jobs=0)) == 0


async def test_a_cron_is_fired_by_an_advanced_clock(bb: Backburner) -> None:
    @bb.cron("0 3 * * *")
    @bb.task
    async def nightly(run: Run) -> None: ...

    with testing.FakeClock(bb, datetime(2030, 1, 1, tzinfo=UTC)) as clock:
        assert len(await testing.drain(bb)) == 0
        clock.advance(hours=3, minutes=1)
        assert len(await testing.drain(bb)) == 1
        clock.move_to(datetime(2030, 1, 5, tzinfo=UTC))
        assert len(await testing.drain(bb)) == 1


async def test_a_frozen_clock_moves_only_when_it_is_told(bb: Backburner) -> None:
    @bb.task(expires=60)
    async def soon(run: Run) -> None: ...

    start = datetime(2030, 1, 1, 12, tzinfo=UTC)
    with testing.FakeClock(bb, start, frozen=True) as clock:
        first, second = await soon.submit(), await soon.using(delay=30).submit()
        assert first.record.created_at == second.record.created_at == start.timestamp() * 1e6
        assert [first.id] == [job.id for job in (await testing.drain(bb)).completed]
        assert clock.advance(timedelta(seconds=61)) == clock.now() == start + timedelta(seconds=61)
        assert len(await testing.drain(bb)) == 0
        assert (await second.refresh()).error is not None
        with pytest.raises(ValueError, match="does not go back"):
            clock.move_to(start)
        with pytest.raises(ValueError, match="no time zone"):
            clock.move_to(datetime(2031, 1, 1))
    assert bb.clock == (0, None)


def test_a_worker_that_waits_looks_when_the_clock_is_moved(bb: Backburner, worker: Start) -> None:
    ran, ticked = threading.Event(), threading.Event()

    @bb.task
    async def later(run: Run) -> None:
        ran.set()

    @bb.cron("0 0 1 1 *")
    @bb.task
    async def yearly(run: Run) -> None:
        ticked.set()

    with testing.FakeClock(bb) as clock:
        later.using(delay=7200).submit_sync()
        worker(poll=3600.0)
        clock.advance(hours=3)
        assert ran.wait(PATIENCE)
        clock.advance(days=366)
        assert ticked.wait(PATIENCE)


async def test_inline_runs_a_job_while_it_is_submitted(bb: Backburner) -> None:
    @bb.task
    async def child(run: Run) -> str:
        return "done"

    @bb.task(retries=1)
    async def parent(run: Run) -> str:
        if run.tries == 0:
            raise Retry("once more", after=3600)
        return await (await child.submit()).result()

    with testing.inline(bb):
        job = await parent.using(delay=60).submit()
        assert job.status is Status.COMPLETED
        assert await job.result() == "done"
    outside = await child.submit()
    assert (await outside.refresh()).status is Status.PENDING


def test_inline_serves_code_without_an_event_loop(bb: Backburner) -> None:
    @bb.task(retries=0)
    def broken(run: SyncRun) -> None:
        raise Fail("no luck")

    with testing.inline(bb):
        job = broken.submit_sync()
        assert job.status is Status.FAILED
        with pytest.raises(JobFailed, match="no luck"):
            job.result_sync()
    with testing.inline(bb, check=True), pytest.raises(JobFailed, match="no luck"):
        broken.submit_sync()


async def test_inline_answers_an_endpoint_at_once(bb: Backburner) -> None:
    import httpx
    from fastapi import FastAPI

    @bb.task(public=True)
    async def double(run: Run, number: int) -> int:
        return 2 * number

    app = FastAPI(lifespan=bb.lifespan)
    app.include_router(bb.router)
    with testing.inline(bb):
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(
                transport=httpx.ASGITransport(app, client=("127.0.0.1", 1)), base_url="http://127.0.0.1"
            ) as http,
        ):
            answer = await http.post("/backburner/jobs", json={"task": "double", "args": {"number": 2}})
            assert answer.json()["status"] == "completed"
            assert (await http.get(answer.json()["urls"]["result"])).json() == 4


async def test_what_was_submitted_can_be_asked_for(bb: Backburner) -> None:
    @bb.task
    async def summarize(run: Run, text: str, day: datetime | None = None, length: int = 5) -> None: ...

    with pytest.raises(AssertionError, match="no job was submitted at all"):
        testing.assert_submitted(summarize)
    day = datetime(2024, 5, 1, tzinfo=UTC)
    await summarize.submit("one", day=day)
    job = await summarize.using(owner="ann", key="k", priority=9).submit("two")
    assert ["one", "two"] == [each.args["text"] for each in testing.submitted(bb, task=summarize)]
    assert [job.id] == [each.id for each in testing.submitted(bb, owner="ann")]
    testing.assert_submitted(summarize, text="one", day=day, length=5)
    assert testing.assert_submitted(summarize.using(owner="ann", key="k", priority=9)).id == job.id
    testing.assert_not_submitted(summarize, text="three")
    with pytest.raises(AssertionError) as caught:
        testing.assert_submitted(summarize.using(owner="bob"), text="two")
    assert str(caught.value).splitlines() == [
        "no job summarize(text='two') owner='bob' was submitted; submitted were:",
        "  summarize(text='one', day='2024-05-01T00:00:00+00:00') priority=5 (pending)",
        "  summarize(text='two') owner='ann' key='k' priority=9 (pending)",
    ]
    with pytest.raises(AssertionError, match=r"1 job\(s\) summarize\(text='two'\) were submitted"):
        testing.assert_not_submitted(summarize, text="two")
    with pytest.raises(AssertionError, match="summarize has no parameter txt"):
        testing.assert_not_submitted(summarize, txt="two")


async def test_a_temporary_database_is_fresh_and_gone_afterwards(
    bb: Backburner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BACKBURNER_TEST_DATABASE_URL", raising=False)

    @bb.task
    async def noop(run: Run) -> None: ...

    kept = await noop.submit()
    settings = bb.settings
    for _ in range(2):
        with testing.temporary_backburner(bb):
            assert testing.submitted(bb) == []
            await noop.submit()
            await testing.drain(bb, with_scheduled=True)
    assert bb.settings is settings
    assert [kept.id] == [job.id for job in testing.submitted(bb)]


async def test_a_temporary_database_on_a_server(
    backend: Backend, bb: Backburner, monkeypatch: pytest.MonkeyPatch
) -> None:
    if backend.name == "sqlite":
        monkeypatch.setenv("BACKBURNER_TEST_DATABASE_URL", "mysql://localhost/x")
        with pytest.raises(ConfigurationError, match="name a PostgreSQL server"), testing.temporary_backburner(bb):
            raise AssertionError
        return
    from tests.support.postgres import server_url

    @bb.task
    async def noop(run: Run) -> None: ...

    monkeypatch.setenv("BACKBURNER_TEST_DATABASE_URL", server_url())
    with testing.temporary_backburner(bb), testing.FakeClock(bb, frozen=True) as clock:
        await noop.using(delay=3600).submit()
        assert len(await testing.drain(bb)) == 0
        clock.advance(hours=1)
        assert len((await testing.drain(bb)).completed) == 1


async def test_the_model_of_a_backburner_is_a_fake_one_for_a_while(bb: Backburner) -> None:
    @bb.task
    async def ask(run: Run) -> str:
        return await run.llm.text("How are you?")

    with testing.fake_model(bb) as model, testing.inline(bb):
        model.reply("Fine.")
        assert await (await ask.submit()).result() == "Fine."
    with pytest.raises(ConfigurationError):
        _ = bb.model


async def test_drains_may_run_side_by_side(bb: Backburner) -> None:
    @bb.task
    async def noop(run: Run) -> None: ...

    with testing.inline(bb):
        jobs = await asyncio.gather(*[noop.submit() for _ in range(5)])
        await asyncio.gather(*[job.result(timeout=PATIENCE) for job in jobs])


async def test_a_job_that_asks_waits_for_its_answer_or_for_the_clock(bb: Backburner) -> None:
    @bb.task
    async def approve(run: Run) -> str:
        return "sent" if await run.ask("Send it?", bool, timeout=3600, default=False) else "kept"

    with testing.temporary_backburner(bb):
        answered, ignored = await approve.submit(), await approve.submit()
        assert len((await testing.drain(bb)).pending) == 2
        await answered.answer(True)
        assert [answered.id] == [job.id for job in (await testing.drain(bb)).completed]
        assert await answered.result() == "sent"
        with testing.FakeClock(bb) as clock:
            clock.advance(hours=2)
            assert [ignored.id] == [job.id for job in (await testing.drain(bb)).completed]
        assert await ignored.result() == "kept"


async def test_inline_runs_what_is_submitted_together(bb: Backburner) -> None:
    ended = []

    @bb.task
    async def double(run: Run, number: int) -> int:
        return 2 * number

    @bb.task
    async def together(run: Run, batch: str) -> None:
        ended.append(batch)

    with testing.inline(bb):
        jobs = await double.submit_many([{"number": 1}, (2,)])
        assert [2, 4] == [await job.result() for job in jobs]
        async with bb.batch("Double", on_complete=together) as batch:
            batch.add(double, 3)
        assert [batch.id] == ended


@pytest.mark.parametrize("nested", [False, True])
async def test_inline_waits_for_a_person_and_goes_on_with_the_answer(bb: Backburner, nested: bool) -> None:
    @bb.task
    async def asks(run: Run) -> bool:
        return await run.ask("Sure?", timeout=3600, default=False)

    @bb.task
    async def parent(run: Run) -> bool:
        return await (await asks.submit()).result()

    with testing.inline(bb):
        job = await (parent if nested else asks).submit()
        assert job.status is Status.PENDING
        (asking,) = testing.submitted(bb, task=asks)
        await bb.handle(asking.id).answer(True)
        assert await job.result(timeout=5) is True


def test_inline_runs_a_job_that_is_sent_round_again(bb: Backburner) -> None:
    tries: list[int] = []

    @bb.task(retries=0)
    def moody(run: SyncRun) -> int:
        tries.append(1)
        if len(tries) == 1:
            raise ValueError("no luck")
        return len(tries)

    with testing.inline(bb):
        job = moody.submit_sync()
        assert job.status is Status.FAILED
        assert job.retry_sync().status is Status.COMPLETED
        assert job.result_sync(5) == 2
