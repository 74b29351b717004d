"""Submits of the same work, through a Backburner with a real worker."""

from __future__ import annotations

import pytest

from backburner import Backburner, Run
from backburner.domain.errors import ConfigurationError, DuplicateJob, InvalidArguments
from backburner.domain.job import Status
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
