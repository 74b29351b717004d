"""A run that asks a person."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import pytest
from click.testing import CliRunner
from pydantic import BaseModel

from backburner import AlreadyAnswered, AnswerTimeout, Backburner, Run, Status, SyncRun
from backburner.cli import main
from backburner.domain.backoff import Backoff
from backburner.domain.errors import ConfigurationError, IllegalTransition, InvalidArguments
from backburner.domain.job import JobRecord
from backburner.domain.operations import JobEvents, JobQuestions, ListNotifications
from tests.conftest import Start
from tests.support.making import kinds, look

SOON = Backoff(first=0.001, longest=0.001)
PATIENCE = 30.0


class Review(BaseModel):
    verdict: Literal["good", "bad"]
    remarks: list[str] = []


def until_asked(bb: Backburner, job: str) -> JobRecord:
    return bb.watcher.wait_sync(job, lambda record: record.question is not None, PATIENCE)


@pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
def test_a_job_asks_without_a_slot_and_goes_on_with_the_typed_answer(bb: Backburner, worker: Start, sync: bool) -> None:
    calls: list[str] = []

    async def write() -> str:
        calls.append("write")
        return "a text"

    if sync:

        @bb.task(name="job")
        def job(run: SyncRun) -> list[Any]:
            draft = run.step("write", write)
            review = run.ask(f"How is {draft!r}?", Review)
            return [review.verdict, review.remarks]

    else:

        @bb.task(name="job")
        async def job(run: Run) -> list[Any]:
            draft = await run.step("write", write)
            review = await run.ask(f"How is {draft!r}?", Review)
            return [review.verdict, review.remarks]

    @bb.task
    async def other(run: Run) -> str:
        return "served"

    worker(concurrency=1)
    asking = job.using(owner="ann").submit_sync()
    record = until_asked(bb, asking.id)
    assert record.question is not None
    assert (record.waiting_for, record.question.prompt) == ("answer", "How is 'a text'?")
    assert other.submit_sync().result_sync(PATIENCE) == "served"
    with pytest.raises(InvalidArguments) as refused:
        asking.answer_sync({"verdict": "so so", "remarks": [1]})
    assert set(refused.value.fields) == {"verdict", "remarks.0"}
    assert look(bb.store, asking.id).waiting_for == "answer"
    asking.answer_sync({"verdict": "good"})
    assert asking.result_sync(PATIENCE) == ["good", []]
    assert calls == ["write"]
    assert look(bb.store, asking.id).tries == 0
    notices = bb.store.read_sync(ListNotifications("ann"))
    assert [(notice.kind, notice.message) for notice in notices][1:] == [("asked", "How is 'a text'?")]


def test_the_answer_survives_a_worker_and_a_store_that_were_closed_meanwhile(bb: Backburner, worker: Start) -> None:
    @bb.task
    async def job(run: Run) -> bool:
        return await run.ask("Approve?")

    thread = worker()
    asking = job.submit_sync()
    until_asked(bb, asking.id)
    thread.stop()
    bb.close()
    assert asyncio.run(bb.handle(asking.id).answer(True)).waiting_for == "turn"
    worker()
    assert asking.result_sync(PATIENCE) is True


def test_answers_are_kept_over_failures_and_may_be_given_once(bb: Backburner, worker: Start) -> None:
    @bb.task(backoff=SOON)
    async def job(run: Run) -> list[Any]:
        found = [await run.ask("Name?", str), await run.ask("Name?", str)]
        if run.tries == 0:
            raise ValueError
        return found

    worker()
    asking = job.submit_sync()
    for name in ("Ann", "Bob"):
        record = bb.watcher.wait_sync(
            asking.id, lambda record: record.question is not None and record.waiting_for == "answer", PATIENCE
        )
        assert record.question is not None
        asking.answer_sync(name)
        asking.answer_sync(name, token=record.question.token)
        with pytest.raises(AlreadyAnswered):
            asking.answer_sync("Eve", token=record.question.token)
    assert asking.result_sync(PATIENCE) == ["Ann", "Bob"]
    assert kinds(bb.store, asking.id).count("job.asked") == 2


def test_several_questions_at_once_are_told_apart_by_their_tokens(bb: Backburner, worker: Start) -> None:
    @bb.task
    async def job(run: Run) -> list[Any]:
        return list(await asyncio.gather(run.ask("Name?", str), run.ask("Age?", int)))

    worker()
    asking = job.submit_sync()
    until_asked(bb, asking.id)
    tokens = {question.prompt: question.token for question in bb.store.read_sync(JobQuestions(asking.id))}
    with pytest.raises(InvalidArguments, match="token"):
        asking.answer_sync("Ann")
    asking.answer_sync(7, token=tokens["Age?"])
    bb.watcher.wait_sync(asking.id, lambda record: record.attempt == 2 and record.question is not None, PATIENCE)
    asking.answer_sync("Ann")
    assert asking.result_sync(PATIENCE) == ["Ann", 7]


def test_without_an_answer_in_time_the_default_is_taken_or_the_job_fails(bb: Backburner, worker: Start) -> None:
    @bb.task
    async def with_default(run: Run) -> Any:
        return await run.ask("Approve?", timeout=0.05, default=None)

    @bb.task(backoff=SOON)
    async def without(run: Run) -> bool:
        return await run.ask("Approve?", timeout=0.05)

    worker()
    assert with_default.submit_sync().result_sync(PATIENCE) is None
    record = without.submit_sync().wait_sync(PATIENCE)
    assert (record.status, record.tries) == (Status.FAILED, 1)
    assert record.error is not None
    assert record.error.type == AnswerTimeout.type


def test_a_manual_retry_asks_again(bb: Backburner, worker: Start) -> None:
    @bb.task
    async def job(run: Run, timeout: float) -> bool:
        return await run.ask("Approve?", timeout=timeout if run.attempt <= 2 else None)

    worker()
    asking = job.submit_sync(0.05)
    assert asking.wait_sync(PATIENCE).status is Status.FAILED
    asyncio.run(asking.retry())
    until_asked(bb, asking.id)
    asking.answer_sync(False)
    assert asking.result_sync(PATIENCE) is False


def test_a_question_may_bring_a_json_schema_of_its_own(bb: Backburner, worker: Start) -> None:
    @bb.task
    async def job(run: Run) -> Any:
        return await run.ask("How many?", {"type": "integer", "minimum": 3})

    worker()
    asking = job.submit_sync()
    until_asked(bb, asking.id)
    with pytest.raises(InvalidArguments, match="minimum of 3"):
        asking.answer_sync(2)
    asking.answer_sync(3)
    assert asking.result_sync(PATIENCE) == 3


def test_a_job_that_asks_nothing_takes_no_answer(bb: Backburner) -> None:
    @bb.task
    async def job(run: Run) -> None: ...

    with pytest.raises(IllegalTransition, match="asked nothing"):
        job.submit_sync().answer_sync(True)


def test_what_makes_no_schema_is_refused_with_a_sentence(bb: Backburner, worker: Start) -> None:
    @bb.task
    async def job(run: Run) -> Any:
        return await run.ask("What?", threading_lock)

    worker()
    record = job.submit_sync().wait_sync(PATIENCE)
    assert record.error is not None
    assert record.error.type == ConfigurationError.type


threading_lock: Any = type(asyncio.Lock())


def test_the_command_line_answers(bb: Backburner, worker: Start, tmp_path: Path) -> None:
    @bb.task
    async def job(run: Run) -> dict[str, Any]:
        return (await run.ask("How is it?", Review)).model_dump()

    worker()
    asking = job.submit_sync()
    until_asked(bb, asking.id)

    def answer(text: str) -> Any:
        arguments = ["jobs", "--database", f"sqlite:///{tmp_path}/jobs.db", "answer", asking.id, text]
        return CliRunner().invoke(main, arguments)

    assert (answer("good").exit_code, "JSON" in answer("good").output) == (2, True)
    assert (answer('{"verdict": 1}').exit_code, "verdict" in answer('{"verdict": 1}').output) == (1, True)
    good = json.dumps({"verdict": "bad", "remarks": ["dull"]})
    assert answer(good).exit_code == 0
    assert asking.result_sync(PATIENCE) == json.loads(good)


@pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
def test_an_answer_that_only_the_type_refuses_is_asked_for_again(bb: Backburner, worker: Start, sync: bool) -> None:
    if sync:

        @bb.task(name="job", retries=0)
        def job(run: SyncRun) -> str:
            return str(run.ask("What price?", Decimal))

    else:

        @bb.task(name="job", retries=0)
        async def job(run: Run) -> str:
            return str(await run.ask("What price?", Decimal))

    worker()
    handle = job.submit_sync()
    tokens = []
    for answer in ("abc", "def", "12.50"):
        asked = bb.watcher.wait_sync(
            handle.id, lambda record: record.question is not None and record.question.token not in tokens, PATIENCE
        )
        assert asked.question is not None
        tokens.append(asked.question.token)
        handle.answer_sync(answer, token=tokens[-1])
    assert handle.result_sync(PATIENCE) == "12.50"
    said = [event.data for event in bb.store.read_sync(JobEvents(handle.id)) if event.kind == "job.asked"]
    assert [bool(data.get("refused")) for data in said] == [False, True, True]
