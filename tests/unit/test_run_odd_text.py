"""What a function says is stored whatever it is; the names it chooses are refused where a database would."""

from __future__ import annotations

from typing import Any

import pytest

from backburner import Backburner, Notice, Run
from backburner.domain.job import Status
from backburner.domain.operations import JobEvents, JobSnapshot, ListNotifications
from tests.conftest import Start
from tests.support.making import look

PATIENCE = 20.0
ODD, MENDED = "a\0b\ud800c", "a\ufffdb\ufffdc"


def test_what_cannot_be_stored_is_replaced_in_text_progress_errors_and_notifications(
    bb: Backburner, worker: Start
) -> None:
    def words(kind: str, args: dict[str, Any], reason: str | None) -> Notice:
        return Notice(ODD, reason or "", {"nul": "\0"})

    @bb.task(retries=0, words=words)
    async def job(run: Run) -> None:
        await run.progress(50, ODD)
        await run.text(ODD)
        await run.step("kept", lambda: "\0")
        raise ValueError("d\0e")

    worker()
    done = job.using(owner="o").submit_sync()
    assert done.wait_sync(PATIENCE).status is Status.FAILED
    snapshot = bb.store.read_sync(JobSnapshot(done.id))
    assert snapshot is not None
    assert snapshot.texts == {"main": MENDED}
    assert snapshot.job.message == MENDED
    assert snapshot.job.error is not None
    assert snapshot.job.error.detail == "ValueError: d\ufffde"
    (notification,) = bb.store.read_sync(ListNotifications("o"))
    assert (notification.title, notification.message) == (MENDED, "ValueError: d\ufffde")
    assert notification.data == {"nul": "\0"}
    assert "\0" not in "".join(str(event.data) for event in bb.store.read_sync(JobEvents(done.id)))


@pytest.mark.parametrize("name", ["a\0", "\ud800", "x" * 256])
@pytest.mark.parametrize("kind", ["step", "channel"])
def test_a_name_that_cannot_be_stored_fails_the_job_at_once(
    bb: Backburner, worker: Start, kind: str, name: str
) -> None:
    @bb.task(retries=3)
    async def job(run: Run) -> None:
        if kind == "step":
            await run.step(name, lambda: 1)
        else:
            await run.text("x", channel=name)

    worker()
    done = job.submit_sync()
    done.wait_sync(PATIENCE)
    record = look(bb.store, done.id)
    assert (record.status, record.tries) == (Status.FAILED, 1)
    assert record.error is not None
    assert record.error.type == "invalid_arguments"
    assert f"the {kind}'s name" in record.error.detail
