"""Everything from threads without an event loop."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from backburner import Backburner, Status
from backburner.sync_run import SyncRun
from tests.support.backends import Backend, backburner_on

PATIENCE = 20.0


@pytest.fixture
def bb(backend: Backend, tmp_path: Path) -> Iterator[Backburner]:
    with backburner_on(backend, tmp_path) as bb:
        yield bb


def test_the_log_is_followed_to_its_end_as_it_comes(bb: Backburner) -> None:
    @bb.task
    def speak(run: SyncRun, words: list[str]) -> None:
        for word in words:
            run.text(word)

    job = speak.submit_sync(["a", "b"])
    events = job.events_sync()
    assert "job.submitted" == next(events).kind
    stop = bb.start_worker()
    kinds = [event.kind for event in events]
    stop()
    assert ["job.started", "job.completed"] == [kinds[0], kinds[-1]]
    assert "text.delta" in kinds
    assert ["job.completed"] == [event.kind for event in job.events_sync(after=job.refresh_sync().seq - 1)]


def test_a_job_is_cancelled_and_run_again(bb: Backburner) -> None:
    @bb.task
    def noted(run: SyncRun) -> str:
        return "noted"

    job = noted.submit_sync()
    assert Status.CANCELLED is job.cancel_sync().status
    assert Status.PENDING is job.retry_sync().status
    stop = bb.start_worker()
    assert "noted" == job.result_sync(PATIENCE)
    stop()
