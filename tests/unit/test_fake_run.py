"""`backburner.testing.FakeRun`: a task's function in a unit test, without a store."""

from __future__ import annotations

from datetime import date

import pytest
from pydantic import BaseModel
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from backburner import Backburner, ConfigurationError, DuplicateStep, Fail, Run, SyncRun
from backburner.testing import FakeRun


class Person(BaseModel):
    name: str


bb = Backburner("sqlite:///never-opened.db")


def shout(words: str) -> str:
    return words.upper()


@bb.task
async def chapter(run: Run, topic: str) -> str:
    await run.progress(10, "Reading")
    title = await run.step("title", shout, topic)
    written = await run.llm.text(f"Write about {title}")
    person = await run.llm.json("Who?", Person)
    await run.progress(100)
    return f"{title}: {written} ({person.name})"


async def test_it_records_what_a_function_does() -> None:
    run = FakeRun(llm=[["It was ", "dark."], {"name": "Ann"}])
    assert await run.call(chapter, "night") == "NIGHT: It was dark. (Ann)"
    assert run.progressed == [(10, "Reading"), (100, "")]
    assert run.said() == "It was dark."
    assert run.kept["title"] == "NIGHT"
    assert run.prompts == ["Write about NIGHT", "Who?"]


async def test_a_function_can_be_given_it_in_place_of_its_run() -> None:
    run = FakeRun(llm=["dark.", {"name": "Ann"}])
    assert await chapter(run, "night") == "NIGHT: dark. (Ann)"


def test_a_sync_function_is_called_in_a_thread() -> None:
    @bb.task
    def when(run: SyncRun, day: date) -> date:
        run.text("said")
        run.step("noted", shout, "x")
        return day

    run = FakeRun(owner="ann")
    assert run.call_sync(when, date(2024, 5, 1)) == date(2024, 5, 1)
    assert (run.said(), run.kept) == ("said", {"noted": "X"})


async def test_jobs_that_it_submits_are_recorded_and_not_run() -> None:
    @bb.task
    async def parent(run: Run) -> None:
        job = await chapter.using(priority=9).submit(topic="x")
        await job.result()

    run = FakeRun(owner="ann")
    with pytest.raises(ConfigurationError, match=r"testing\.inline or testing\.drain"):
        await run.call(parent)
    assert [("chapter", "ann", 9, '{"topic":"x"}')] == [
        (job.task, job.owner, job.priority, job.args) for job in run.submitted
    ]


async def test_a_transaction_gets_the_session_of_the_test() -> None:
    def count(session: Session, by: int) -> int:
        found: int = session.execute(text("SELECT 40 + :by"), {"by": by}).scalar_one()
        return found

    @bb.task
    async def saving(run: Run) -> int:
        return await run.transaction("save", count, 2)

    engine = create_engine("sqlite://")
    with Session(engine) as session:
        run = FakeRun(session=session)
        assert await run.call(saving) == 42
        assert run.kept == {"save": 42}
    engine.dispose()
    with pytest.raises(ConfigurationError, match=r"FakeRun\(session="):
        await FakeRun().call(saving)


async def test_what_a_real_run_refuses_it_refuses() -> None:
    @bb.task
    async def twice(run: Run) -> None:
        await run.gather(run.step("same", shout, "a"), run.step("same", shout, "b"))

    with pytest.raises(DuplicateStep):
        await FakeRun().call(twice)


async def test_a_model_may_fail_and_must_be_scripted() -> None:
    @bb.task
    async def ask(run: Run) -> str:
        return await run.llm.text("How many?")

    with pytest.raises(Fail, match="broken"):
        await FakeRun(llm=[Fail("broken")]).call(ask)
    assert await FakeRun(llm=[lambda prompt: prompt[::-1]]).call(ask) == "?ynam woH"
    with pytest.raises(ConfigurationError, match=r"FakeRun\(llm="):
        await FakeRun().call(ask)


async def test_people_answer_as_the_test_says() -> None:
    @bb.task
    async def approve(run: Run) -> str:
        return "sent" if await run.ask("Send it?") else "kept"

    run = FakeRun(answers=[True])
    assert await run.call(approve) == "sent"
    assert run.asked == ["Send it?"]
    with pytest.raises(ConfigurationError, match=r"FakeRun\(answers="):
        await FakeRun().call(approve)
    with pytest.raises(ConfigurationError, match="no answer to 'Send it"):
        await FakeRun(answers=["perhaps"]).call(approve)
