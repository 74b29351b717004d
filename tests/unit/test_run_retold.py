"""Whatever a function says and wherever it dies, its text stands exactly once."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backburner.domain.job import JobError
from backburner.domain.operations import Claim, Completed, Failed, JobSnapshot, RegisterWorker, Settle, Submit
from backburner.domain.operations import Execution as Fence
from backburner.run import Run
from backburner.store.sqlite import SQLite
from backburner.store.store import SQLStore
from tests.support.making import new_job
from tests.support.migrated import copy_migrated

CHANNELS = st.sampled_from(["main", "side"])
SAY = st.tuples(st.just("say"), CHANNELS, st.text("ab雪🌨", min_size=1, max_size=3))
STORY: st.SearchStrategy[list[Any]] = st.recursive(
    st.lists(SAY, max_size=3),
    lambda inner: st.lists(SAY | st.tuples(st.just("step"), st.sampled_from("xy"), inner), max_size=4),
    max_leaves=8,
)


class Death(Exception):
    pass


class Teller:
    def __init__(self, run: Run, breath: int) -> None:
        self._run, self._breath = run, breath

    async def tell(self, story: list[Any]) -> None:
        for kind, name, what in story:
            self._breath -= 1
            if self._breath < 0:
                raise Death
            if kind == "say":
                await self._run.text(what, channel=name)
            else:
                await self._run.step(name, self.tell_part, what)

    async def tell_part(self, story: list[Any]) -> None:
        await self.tell(story)


def whole(story: list[Any], texts: dict[str, str]) -> dict[str, str]:
    for kind, name, what in story:
        if kind == "say":
            texts[name] = texts.get(name, "") + what
        else:
            whole(what, texts)
    return texts


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Any:
    file: Path = tmp_path_factory.mktemp("retold") / "jobs.db"
    copy_migrated(file)
    store = SQLStore(SQLite(str(file)), lambda hint: None)
    yield store
    store.close()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STORY, st.lists(st.integers(0, 12), max_size=4))
def test_text_stands_once_however_often_a_function_dies(store: Any, story: list[Any], breaths: list[int]) -> None:
    asyncio.run(_live(store, story, breaths))


async def _live(store: SQLStore, story: list[Any], breaths: list[int]) -> None:
    job = new_job()
    await store.write(Submit((job,)))
    await store.write(RegisterWorker(job.id, 60.0, ("t",)))
    for breath in itertools.chain(breaths, [10_000]):
        (claimed,) = (await store.write(Claim(job.id, {"t": None}, 1))).jobs
        run = Run(claimed, SimpleNamespace(timeout=None), store, None)  # type: ignore[arg-type]
        fence = Fence(job.id, claimed.attempt)
        try:
            await Teller(run, breath).tell(story)
        except Death:
            await store.write(Settle(fence, Failed(JobError("x", "", ""), 0.0)))
        else:
            await run.finish()
            await store.write(Settle(fence, Completed("null")))
            break
    snapshot = await store.read(JobSnapshot(job.id))
    assert snapshot is not None
    assert {name: text for name, text in snapshot.texts.items() if text} == whole(story, {})
