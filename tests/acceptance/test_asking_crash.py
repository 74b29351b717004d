"""Workers that are killed while a question stands, and after its answer before the job has gone on."""

from __future__ import annotations

from pathlib import Path

import pytest

from backburner import Backburner, Status
from backburner.domain.json import encode
from backburner.domain.operations import Answer, GetJob, GetResult, JobQuestions
from tests.support.making import kinds

from .support import TASKS, Process, freeze_between_transactions, start_worker, until
from .test_workers import put, status


def ask(bb: Backburner, tmp_path: Path) -> str:
    return put(bb, "interview", path=str(tmp_path / "lines"))


def question(bb: Backburner, job: str) -> str | None:
    found = bb.store.read_sync(JobQuestions(job))
    return found[0].token if found else None


def answer(bb: Backburner, job: str) -> None:
    """The same answer again changes nothing."""
    token = until(lambda: question(bb, job), "it was asked")
    bb.store.write_sync(Answer(token, encode("Ann")))


def is_parked(bb: Backburner, job: str) -> bool:
    record = bb.store.read_sync(GetJob(job))
    return record is not None and record.waiting_for == "answer"


def assert_answered_once(bb: Backburner, job: str, tmp_path: Path) -> None:
    until(lambda: status(bb, job).finished, "the job has ended")
    record = bb.store.read_sync(GetJob(job))
    assert record is not None
    assert (Status.COMPLETED, 0) == (record.status, record.tries), record.error
    assert encode("Ann") == bb.store.read_sync(GetResult(job))
    assert ["before", "after Ann"] == (tmp_path / "lines").read_text().splitlines(), "each was paid for once"
    said = kinds(bb.store, job)
    assert (1, 1, 2) == (said.count("job.asked"), said.count("job.answered"), said.count("step.completed"))


def test_a_question_outlives_the_worker_that_asked_it(bb: Backburner, env: dict[str, str], tmp_path: Path) -> None:
    job = ask(bb, tmp_path)
    with start_worker(env) as asking:
        until(lambda: is_parked(bb, job), "the job is parked")
        asking.kill()
    answer(bb, job)
    assert Status.PENDING is status(bb, job)
    with start_worker(env):
        assert_answered_once(bb, job, tmp_path)


def test_an_answer_outlives_the_worker_that_was_to_go_on(bb: Backburner, env: dict[str, str], tmp_path: Path) -> None:
    job = ask(bb, tmp_path)
    with start_worker(env) as asking:
        until(lambda: is_parked(bb, job), "the job is parked")
        freeze_between_transactions(asking, tmp_path / "jobs.db")
        answer(bb, job)
        asking.kill()
    assert Status.PENDING is status(bb, job)
    with start_worker(env):
        assert_answered_once(bb, job, tmp_path)


@pytest.mark.parametrize("commits", range(1, 8))
def test_a_worker_killed_after_any_commit_of_a_job_that_asks_loses_neither_question_nor_answer(
    bb: Backburner, env: dict[str, str], tmp_path: Path, commits: int
) -> None:
    """Its claim, the first step, the question, the park, the claim after the answer, the second step, the end."""
    job = ask(bb, tmp_path)
    with Process(str(commits), TASKS, env=env, module="tests.acceptance.dying_worker") as dying:
        until(lambda: dying.ended or is_parked(bb, job), "it is dead, or the job is parked")
        if question(bb, job) is not None:
            answer(bb, job)
        until(lambda: dying.ended, "it is dead")
    with start_worker(env):
        answer(bb, job)
        assert_answered_once(bb, job, tmp_path)
