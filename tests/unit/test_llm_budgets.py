"""Budgets as a running job meets them: waits, parks, refusals, what the endpoint asks for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest

from backburner import Backburner, BudgetExceeded, Run, meter
from backburner.domain.backoff import Backoff
from backburner.domain.deadline import Deadline
from backburner.domain.errors import ConfigurationError, JobCancelled, JobFailed
from backburner.domain.job import Status
from backburner.domain.operations import Cancel, Execution, JobEvents, ReserveBudget, SettleBudget, UsageByDay
from backburner.llm import exchange
from backburner.llm.settings import ModelSettings
from backburner.ports import Hint
from backburner.store.store import SQLStore
from backburner.testing.model import FakeModel
from tests.conftest import Start
from tests.support.clock import pass_time
from tests.support.making import kinds, look

PATIENCE = 20.0


@pytest.fixture
def model(bb: Backburner) -> Iterator[FakeModel]:
    with FakeModel() as fake:
        bb.use_model(ModelSettings(base_url=fake.base_url, api_key="k", model="fake-model"))
        yield fake


def wait_until_parked(bb: Backburner, job: str) -> None:
    """Follows the job's log until it says so."""
    for _ in range(2000):
        if look(bb.store, job).waiting_for == "budget":
            return
        asyncio.run(asyncio.sleep(0.01))
    raise AssertionError(f"job {job} is not parked: {look(bb.store, job)}")


def go_on_after(bb: Backburner, seconds: float) -> None:
    pass_time(bb.store, seconds)
    bb.signal.ring(Hint(work=True))


def test_without_budgets_a_call_writes_nothing_about_them(
    bb: Backburner, worker: Start, model: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[type] = []
    original = SQLStore.write

    def write(self: SQLStore, operation: Any) -> Any:
        written.append(type(operation))
        return original(self, operation)

    monkeypatch.setattr(SQLStore, "write", write)

    @bb.task
    async def job(run: Run) -> str:
        return await run.llm.text("hello", max_tokens=5)

    worker()
    done = job.using(owner="ann").submit_sync()
    done.result_sync(PATIENCE)
    assert {ReserveBudget, SettleBudget}.isdisjoint(written)
    (taken,) = bb.store.read_sync(UsageByDay(0, "ann"))
    assert ("fake-model", 1, 1, None) == (taken.model, taken.calls, taken.input_tokens, taken.cost)


def test_a_job_that_must_wait_long_frees_its_slot_and_pays_for_no_finished_call_again(
    bb: Backburner, worker: Start, model: FakeModel
) -> None:
    bb.llm_budget("fake-model", requests_per_minute=2)

    @bb.task(timeout=30)
    async def chapters(run: Run) -> list[str]:
        return [await run.llm.text(f"chapter {number}", max_tokens=5) for number in range(3)]

    @bb.task
    async def other(run: Run) -> str:
        return "done meanwhile"

    worker(concurrency=1)
    job = chapters.submit_sync()
    wait_until_parked(bb, job.id)
    assert other.submit_sync().result_sync(PATIENCE) == "done meanwhile"
    record = look(bb.store, job.id)
    assert (Status.PENDING, 0) == (record.status, record.tries)
    assert len(model.calls) == 2
    go_on_after(bb, 40)
    assert len(job.result_sync(PATIENCE)) == 3
    assert ["chapter 0", "chapter 1", "chapter 2"] == [call.prompt for call in model.calls]
    reasons = [event.data["reason"] for event in bb.store.read_sync(JobEvents(job.id)) if event.kind == "job.retrying"]
    assert reasons == ["budget"]


def test_a_short_wait_is_in_place_while_the_time_limit_stands_still(
    bb: Backburner, worker: Start, model: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    bb.llm_budget("fake-model", tokens_per_minute=60_000)
    full = ReserveBudget(Execution("x", 1), "s", "fake-model", "", 60_000, 0, bb.llm_rules.buckets("fake-model", None))
    bb.store.write_sync(full)
    bb.store.write_sync(SettleBudget(full.execution, "s", 63_000, 0))
    stops: list[Deadline] = []
    stopped = Deadline.stopped

    def stop(self: Deadline) -> AbstractContextManager[None]:
        stops.append(self)
        return stopped(self)

    monkeypatch.setattr(Deadline, "stopped", stop)

    @bb.task(timeout=30)
    async def job(run: Run) -> str:
        return await run.llm.text("hello", max_tokens=300)

    worker()
    done = job.submit_sync()
    assert done.result_sync(PATIENCE)
    assert stops
    assert "job.retrying" not in kinds(bb.store, done.id)


def test_a_retry_after_pauses_the_model_for_all(bb: Backburner, worker: Start, model: FakeModel) -> None:
    bb.llm_budget("fake-model")
    model.fail(429, headers={"Retry-After": "50"})

    @bb.task
    async def job(run: Run) -> str:
        return await run.llm.text("hello", max_tokens=5)

    worker()
    first = job.submit_sync()
    wait_until_parked(bb, first.id)
    second = job.using(owner="ann").submit_sync()
    wait_until_parked(bb, second.id)
    assert len(model.calls) == 1
    go_on_after(bb, 65)
    assert first.result_sync(PATIENCE)
    assert second.result_sync(PATIENCE)
    assert look(bb.store, first.id).tries == 0


def test_an_endpoint_that_puts_a_call_off_again_and_again_fails_the_job_in_the_end(
    bb: Backburner, worker: Start, model: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "MOST_TIMES", 3)
    bb.llm_budget("fake-model")
    model.fail(429, headers={"Retry-After": "50"}, times=6)

    @bb.task(retries=1, backoff=Backoff(first=0.001, longest=0.001))
    async def job(run: Run) -> str:
        return await run.llm.text("hello", max_tokens=5)

    worker()
    done = job.submit_sync()
    while not (record := look(bb.store, done.id)).status.finished:
        if record.waiting_for == "budget":
            go_on_after(bb, 65)
        asyncio.run(asyncio.sleep(0.01))
    assert record.status is Status.FAILED
    assert record.error is not None
    assert "asks for fewer requests (429)" in record.error.detail
    assert "has put this call off 6 times" in record.error.detail
    assert 6 == len(model.calls), "three of each try"
    done.retry_sync()
    wait_until_parked(bb, done.id)
    go_on_after(bb, 65)
    assert done.result_sync(PATIENCE)


def test_what_the_endpoint_says_is_left_is_shared(bb: Backburner, worker: Start, model: FakeModel) -> None:
    bb.llm_budget("fake-model")
    model.headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "45s"}

    @bb.task
    async def job(run: Run) -> str:
        return await run.llm.text("hello", max_tokens=5)

    worker()
    assert job.submit_sync().result_sync(PATIENCE)
    second = job.submit_sync()
    wait_until_parked(bb, second.id)
    assert len(model.calls) == 1
    go_on_after(bb, 60)
    assert second.result_sync(PATIENCE)


def test_a_days_budget_refuses_with_a_sentence_and_is_not_tried_again(
    bb: Backburner, worker: Start, model: FakeModel
) -> None:
    bb.llm_budget("fake-model", owner_tokens_per_day=100)

    @bb.task
    async def job(run: Run, tokens: int) -> str:
        return await run.llm.text("hello", max_tokens=tokens)

    worker()
    model.reply(["word"] * 79)
    assert job.using(owner="ann").submit_sync(tokens=90).result_sync(PATIENCE)
    refused = job.using(owner="ann").submit_sync(tokens=30)
    with pytest.raises(JobFailed, match="budget"):
        refused.result_sync(PATIENCE)
    record = look(bb.store, refused.id)
    assert record.error is not None
    assert ("budget_exceeded", 1) == (record.error.type, record.tries)
    said = record.error.detail
    assert "the budget of ann for the model fake-model is 100 tokens a day; 80 tokens are used" in said
    assert "may take 32 tokens" in said
    assert "begins again at 20" in said
    assert "00:00 UTC" in said
    never = job.using(owner="bob").submit_sync(tokens=300)
    with pytest.raises(JobFailed, match="never fits"):
        never.result_sync(PATIENCE)
    assert job.using(owner="bob").submit_sync(tokens=20).result_sync(PATIENCE)
    assert job.submit_sync(tokens=300).result_sync(PATIENCE)
    assert len(model.calls) == 3


def test_a_refused_budget_is_a_fail_with_status_429() -> None:
    assert (429, "budget_exceeded") == (BudgetExceeded("no").status, BudgetExceeded("no").type)


def test_prices_make_costs_and_a_budget_of_money(bb: Backburner, worker: Start, model: FakeModel) -> None:
    bb.llm_price("fake-model", input_per_million=1_000, output_per_million=2_000)
    bb.llm_budget(owner_cost_per_day=0.02)
    model.reply(["a", "b", "c"])

    @bb.task
    async def job(run: Run) -> str:
        return await run.llm.text("one two", max_tokens=5)

    worker()
    done = job.using(owner="ann").submit_sync()
    done.result_sync(PATIENCE)
    assert look(bb.store, done.id).cost == pytest.approx(0.008)
    (step,) = [event.data for event in bb.store.read_sync(JobEvents(done.id)) if event.kind == "step.completed"]
    assert step["usage"]["cost"] == pytest.approx(0.008)
    job.using(owner="ann").submit_sync()
    with pytest.raises(JobFailed, match=r"0\.02 in cost a day"):
        job.using(owner="ann").submit_sync().result_sync(PATIENCE)


def test_a_call_that_waits_does_not_tear_another_one_from_its_answer(
    bb: Backburner, worker: Start, model: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meter, "LONGEST_IN_PLACE", 0.05)
    bb.llm_budget("fake-model", requests_per_minute=1)
    model.pause(after=1)

    @bb.task
    async def job(run: Run) -> list[str]:
        return await run.gather(*[run.llm.text(f"part {n}", channel=f"{n}", max_tokens=5) for n in range(3)])

    worker()
    done = job.submit_sync()
    model.wait_held()
    assert look(bb.store, done.id).status is Status.RUNNING
    model.resume()
    wait_until_parked(bb, done.id)
    assert len(model.calls) == 1
    for calls in (2, 3):
        go_on_after(bb, 70)
        model.wait_for_calls(calls)
        if calls == 2:
            wait_until_parked(bb, done.id)
    assert len(done.result_sync(PATIENCE)) == 3
    assert len(model.calls) == 3


def test_a_cancelled_call_gives_its_tokens_back(bb: Backburner, worker: Start, model: FakeModel) -> None:
    bb.llm_budget("fake-model", tokens_per_minute=1000)
    model.pause()

    @bb.task
    async def job(run: Run) -> str:
        return await run.llm.text("hello", max_tokens=900)

    worker()
    first = job.submit_sync()
    model.wait_held()
    bb.store.write_sync(Cancel(first.id, None))
    with pytest.raises(JobCancelled):
        first.result_sync(PATIENCE)
    model.resume()
    assert job.submit_sync().result_sync(PATIENCE)


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        ({"tokens_per_minute": 0}, "tokens_per_minute=0"),
        ({"requests_per_minute": 1.5}, "no whole number"),
        ({"owner_cost_per_day": "ten"}, "no number"),
    ],
)
def test_a_budget_that_makes_no_sense_is_refused(bb: Backburner, budget: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        bb.llm_budget("m", **budget)
    with pytest.raises(ConfigurationError, match="name of a model"):
        bb.llm_budget("", requests_per_minute=1)
