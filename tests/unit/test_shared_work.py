"""Submits of the same work, through a Backburner with a real worker."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from backburner import Backburner, Run, SyncRun
from backburner.domain.errors import ConfigurationError, DuplicateJob, InvalidArguments, JobFailed
from backburner.domain.job import Status
from backburner.domain.notifications import Notice
from backburner.domain.operations import ListNotifications
from tests.conftest import Start

PATIENCE = 20.0


async def test_a_live_job_with_the_key_is_what_a_submit_answers(bb: Backburner, worker: Start) -> None:
    @bb.task
    async def index(run: Run, document: str) -> str:
        return document

    first = await index.using(owner="ann", key="doc-7").submit("first")
    second = await index.using(owner="ann", key="doc-7").submit("second")
    other = await index.using(owner="bob", key="doc-7").submit("third")
    assert second.id == first.id != other.id
    assert second.record.args == {"document": "first"}
    worker()
    assert await second.result(PATIENCE) == "first"
    assert (await index.using(owner="ann", key="doc-7").submit("again")).id != first.id


async def test_a_task_may_refuse_a_second_job_with_the_key(bb: Backburner) -> None:
    @bb.task(on_duplicate="reject")
    async def index(run: Run) -> None: ...

    first = await index.using(key="doc-7").submit()
    with pytest.raises(DuplicateJob) as refused:
        await index.using(key="doc-7").submit()
    assert refused.value.job == first.id
    assert first.id in str(refused.value)
    with pytest.raises(ConfigurationError, match="on_duplicate"):
        bb.task(on_duplicate="maybe")  # type: ignore[call-overload]


def test_a_key_that_no_database_could_hold_is_refused(bb: Backburner) -> None:
    @bb.task
    async def index(run: Run) -> None: ...

    for key in ("", "k" * 256, "a\0b", "\ud800"):
        with pytest.raises(InvalidArguments) as refused:
            index.using(key=key)
        assert list(refused.value.fields) == ["key"]


def test_threads_are_answered_with_the_live_job_too(bb: Backburner) -> None:
    @bb.task
    def index(run: object) -> None: ...

    first = index.using(key="k").submit_sync()
    assert index.using(key="k").submit_sync().id == first.id
    assert first.status is Status.PENDING


async def test_the_same_work_is_done_once_and_its_result_answers_later_submits(bb: Backburner, worker: Start) -> None:
    calls: list[str] = []

    @bb.task(cache=timedelta(hours=1))
    async def summarize(run: Run, text: str, language: str = "en") -> str:
        calls.append(text)
        await run.text(text)
        return text.upper()

    jobs = [
        await summarize.using(owner="ann").submit("red"),
        await summarize.using(owner="ann").submit(text="red"),
        await summarize.using(owner="ann").submit("red", "en"),
        await summarize.using(owner="ann").submit(language="en", text="red"),
    ]
    worker()
    assert [await job.result(PATIENCE) for job in jobs] == ["RED"] * 4
    late = await summarize.using(owner="ann").submit("red")
    assert late.status is Status.COMPLETED
    assert await late.result(PATIENCE) == "RED"
    assert calls == ["red"]
    assert await (await summarize.using(owner="ann").submit("red", "de")).result(PATIENCE) == "RED"
    assert await (await summarize.using(owner="bob").submit("red")).result(PATIENCE) == "RED"
    assert await (await summarize.submit("red")).result(PATIENCE) == "RED"
    assert calls == ["red"] * 4


async def test_everyone_may_share_what_the_named_arguments_agree_in(bb: Backburner, worker: Start) -> None:
    calls: list[tuple[str, str, str | None]] = []

    @bb.task(cache=timedelta(hours=1), cache_scope="everyone", cache_args=("text",))
    async def analyse(run: Run, text: str, article: int) -> str:
        calls.append((text, str(article), run.owner))
        return text.upper()

    first = await analyse.using(owner="ann").submit("red", article=1)
    second = await analyse.using(owner="bob").submit("red", article=2)
    worker()
    assert (await first.result(PATIENCE), await second.result(PATIENCE)) == ("RED", "RED")
    assert calls == [("red", "1", None)]
    assert (await second.refresh()).args == {"text": "red", "article": 2}


async def test_results_of_a_shared_execution_keep_their_types(bb: Backburner, worker: Start) -> None:
    @bb.task(cache=timedelta(hours=1))
    async def when(run: Run, day: date) -> date:
        return day + timedelta(days=1)

    worker()
    for _ in range(2):
        assert await (await when.submit(date(2024, 2, 28))).result(PATIENCE) == date(2024, 2, 29)


async def test_a_failure_is_explained_to_whoever_gave_the_arguments(bb: Backburner, worker: Start) -> None:
    @bb.task(cache=timedelta(hours=1), cache_scope="everyone", cache_args=(), retries=0)
    async def broken(run: Run, secret: str) -> None:
        raise ValueError(secret)

    ann = await broken.using(owner="ann").submit("ann's")
    bob = await broken.using(owner="bob").submit("bob's")
    worker()
    with pytest.raises(JobFailed, match="ann's"):
        await ann.result(PATIENCE)
    with pytest.raises(JobFailed, match="done once for several") as failed:
        await bob.result(PATIENCE)
    assert failed.value.error["type"] == "shared_work_failed"
    retried = await bob.retry()
    assert retried.status is Status.PENDING
    with pytest.raises(JobFailed):
        await bob.result(PATIENCE)


async def test_the_last_cancel_interrupts_the_function(bb: Backburner, worker: Start) -> None:
    begun, ended = threading.Event(), threading.Event()

    @bb.task(cache=timedelta(hours=1))
    async def forever(run: Run) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    jobs = [await forever.submit(), await forever.submit()]
    worker()
    assert await asyncio.to_thread(begun.wait, PATIENCE)
    assert (await jobs[0].cancel()).status is Status.CANCELLED
    assert not ended.is_set()
    assert (await jobs[1].cancel()).status is Status.CANCELLED
    assert await asyncio.to_thread(ended.wait, PATIENCE)


async def test_each_jobs_notification_has_the_words_of_its_own_submit(bb: Backburner, worker: Start) -> None:
    def words(kind: str, args: dict[str, Any], reason: str | None) -> Notice | None:
        return None if args["article"] == 3 else Notice(f"{kind}: article {args['article']}", reason or "")

    @bb.task(cache=timedelta(hours=1), cache_scope="everyone", cache_args=("text",), words=words)
    async def analyse(run: Run, text: str, article: int) -> None: ...

    jobs = [await analyse.using(owner="ann").submit("red", article) for article in (1, 2, 3)]
    worker()
    for job in jobs:
        await job.wait(PATIENCE)
    await analyse.using(owner="ann").submit("red", 4)
    titles = [each.title for each in await bb.store.read(ListNotifications("ann"))]
    assert sorted(titles) == [f"completed: article {article}" for article in (1, 2, 4)]


async def test_a_submit_that_is_to_run_later_runs_by_itself(bb: Backburner) -> None:
    @bb.task(cache=timedelta(hours=1))
    async def count(run: Run) -> int:
        return 1

    assert count.using(delay=60).new_job((), {}).shared is None
    assert count.using(run_at=datetime(2100, 1, 1, tzinfo=UTC)).new_job((), {}).shared is None
    assert count.using().new_job((), {}).shared is not None


def test_a_job_submitted_in_the_applications_transaction_shares_its_work(bb: Backburner, worker: Start) -> None:
    calls = []

    @bb.task(cache=timedelta(hours=1))
    def count(run: SyncRun) -> int:
        calls.append(run.job_id)
        return len(calls)

    first = count.submit_sync()
    engine = bb.create_engine()
    with Session(engine) as session:
        second = bb.submit_in(session, count)
        session.commit()
    engine.dispose()
    worker()
    assert [job.result_sync(PATIENCE) for job in (first, second)] == [1, 1]
    assert len(calls) == 1


async def test_a_submit_inside_a_run_is_answered_too(bb: Backburner, worker: Start) -> None:
    calls: list[int] = []

    @bb.task(cache=timedelta(hours=1))
    async def inner(run: Run, n: int) -> int:
        calls.append(n)
        return n * 2

    @bb.task
    async def outer(run: Run) -> list[str]:
        return [(await inner.submit(n)).id for n in (1, 1, 2)]

    worker()
    ids = await (await outer.using(owner="ann").submit()).result(PATIENCE)
    results = [await bb.handle(job).result(PATIENCE) for job in ids]
    assert results == [2, 2, 4]
    assert sorted(calls) == [1, 2]


def test_a_cache_that_makes_no_sense_is_refused(bb: Backburner) -> None:
    async def f(run: Run, text: str) -> None: ...

    wrong: list[tuple[dict[str, Any], str]] = [
        ({"cache": timedelta(0)}, "above 0"),
        ({"cache": timedelta(hours=1), "cache_scope": "all"}, "cache_scope"),
        ({"cache": timedelta(hours=1), "cache_args": ("texts",)}, "texts"),
        ({"cache": timedelta(hours=1), "cache_args": "text"}, "tuple"),
        ({"cache_args": ("text",)}, "without cache"),
    ]
    for options, message in wrong:
        with pytest.raises(ConfigurationError, match=message):
            bb.task(**options)(f)


async def test_jobs_of_a_batch_share_their_work_and_the_batch_ends(bb: Backburner, worker: Start) -> None:
    calls: list[str] = []

    @bb.task(cache=timedelta(hours=1))
    async def summarize(run: Run, text: str) -> str:
        calls.append(text)
        return text.upper()

    worker()
    await (await summarize.using(owner="ann").submit("known")).result(PATIENCE)
    async with bb.batch("summaries", owner="ann") as batch:
        for text in ("red", "red", "known", "blue"):
            batch.add(summarize, text)
    assert (await batch.wait(PATIENCE)).counts == {Status.COMPLETED: 4}
    assert sorted(calls) == ["blue", "known", "red"]
    async with bb.batch("of another owner", owner="bob") as other:
        other.add(summarize, "red")
    await other.wait(PATIENCE)
    assert sorted(calls) == ["blue", "known", "red", "red"]
    kinds = [(each.kind, each.job) for each in await bb.store.read(ListNotifications("ann"))]
    assert [kind for kind, job in kinds if job is None] == ["completed"]
    assert len(kinds) == 2


async def test_a_function_that_waits_for_a_submit_of_itself_fails_with_a_sentence(
    bb: Backburner, worker: Start
) -> None:
    @bb.task(cache=timedelta(hours=1))
    async def endless(run: Run, text: str) -> str:
        return await (await endless.submit(text)).result()

    @bb.task(cache=timedelta(hours=1))
    async def roundabout(run: Run, text: str) -> str:
        return await (await between.submit(text)).result()

    @bb.task
    async def between(run: Run, text: str) -> str:
        return await (await roundabout.submit(text)).result()

    worker()
    for task in (endless, roundabout):
        with pytest.raises(JobFailed, match="waits for"):
            await (await task.using(owner="ann").submit("red")).result(PATIENCE)
