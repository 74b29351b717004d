from __future__ import annotations

import pytest
from click.testing import CliRunner, Result

from backburner import Backburner
from backburner.cli import main
from backburner.domain.operations import Cancel, ListJobs
from tests.support.making import complete, start, submit


@pytest.fixture
def jobs(bb: Backburner) -> dict[str, str]:
    done = start(bb.store)
    complete(bb.store, done)
    cancelled = submit(bb.store)
    bb.store.write_sync(Cancel(cancelled, None))
    return {"completed": done.job, "cancelled": cancelled, "pending": submit(bb.store)}


def prune(bb: Backburner, *options: str) -> Result:
    return CliRunner().invoke(main, ["jobs", "--database", bb.settings.database_url, "prune", *options])


def left(bb: Backburner) -> set[str]:
    return {job.id for job in bb.store.read_sync(ListJobs())}


def test_nothing_is_removed_before_its_time(bb: Backburner, jobs: dict[str, str]) -> None:
    assert prune(bb).output == "removed: 0\n"
    assert prune(bb, "--older-than", "1h").output == "removed: 0\n"
    assert left(bb) == set(jobs.values())


def test_a_dry_run_only_counts(bb: Backburner, jobs: dict[str, str]) -> None:
    assert prune(bb, "--older-than", "0s", "--dry-run").output == "to remove: 2\n"
    assert left(bb) == set(jobs.values())


def test_one_status_alone_is_removed(bb: Backburner, jobs: dict[str, str]) -> None:
    assert prune(bb, "--older-than", "0s", "--status", "completed").output == "removed: 1\n"
    assert left(bb) == {jobs["cancelled"], jobs["pending"]}


def test_all_that_has_ended_is_removed_and_nothing_else(bb: Backburner, jobs: dict[str, str]) -> None:
    assert prune(bb, "--older-than", "0s").output == "removed: 2\n"
    assert left(bb) == {jobs["pending"]}


@pytest.mark.parametrize("age", ["soon", "forever"])
def test_an_age_that_makes_no_sense_is_refused_in_words(bb: Backburner, jobs: dict[str, str], age: str) -> None:
    result = prune(bb, "--older-than", age)
    assert (result.exit_code, "--older-than" in result.output) == (2, True)
