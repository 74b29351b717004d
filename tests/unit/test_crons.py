"""What users write for crons, and that an idle worker fires them."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from backburner import Backburner, Run
from backburner.cli import main
from backburner.domain.errors import ConfigurationError
from backburner.domain.operations import DeclareCrons, ListCrons, ListJobs
from backburner.worker import timetable
from tests.conftest import Start
from tests.support.clock import pass_time

PATIENCE = 20.0


def test_an_idle_worker_fires_a_cron_with_its_arguments(bb: Backburner, worker: Start) -> None:
    ran = threading.Event()
    seen: list[Any] = []

    @bb.cron("* * * * * *", args={"kind": "full"}, owner="ann", priority=7)
    @bb.task
    async def tidy(run: Run, kind: str, deep: bool = False) -> None:
        seen.append((run.owner, kind, deep))
        ran.set()

    worker(poll=3600.0)
    assert ran.wait(PATIENCE)
    assert seen[0] == ("ann", "full", False)
    assert bb.store.read_sync(ListJobs())[0].priority == 7
    (record,) = bb.store.read_sync(ListCrons())
    assert (record.name, record.task, record.expression, record.zone) == ("tidy", "tidy", "* * * * * *", "UTC")


def test_ticks_that_came_while_no_worker_was_there_make_one_job(bb: Backburner, worker: Start) -> None:
    ran = threading.Semaphore(0)

    @bb.cron("0 3 * * *")
    @bb.task
    async def nightly(run: Run) -> None:
        ran.release()

    bb.store.write_sync(DeclareCrons(tuple(bb.crons.values())))
    pass_time(bb.store, 5 * 86_400)
    worker()
    assert ran.acquire(timeout=PATIENCE)
    assert len(bb.store.read_sync(ListJobs())) == 1


def test_a_clock_that_was_set_is_noticed(bb: Backburner, worker: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timetable, "LONGEST_PAUSE", 0.01)
    ran, looked = threading.Event(), threading.Event()
    look = timetable.Timetable.look

    def look_and_say(self: timetable.Timetable) -> None:
        look(self)
        looked.set()

    monkeypatch.setattr(timetable.Timetable, "look", look_and_say)

    @bb.cron("0 0 1 * *")
    @bb.task
    async def monthly(run: Run) -> None:
        ran.set()

    worker()
    assert looked.wait(PATIENCE)
    pass_time(bb.store, 32 * 86_400)
    assert ran.wait(PATIENCE)


def test_two_crons_of_a_task_need_names(bb: Backburner) -> None:
    @bb.cron("0 4 * * *", name="tidy-late")
    @bb.cron("0 3 * * *")
    @bb.task
    async def tidy(run: Run) -> None: ...

    assert sorted(bb.crons) == ["tidy", "tidy-late"]
    with pytest.raises(ConfigurationError, match="two crons are called 'tidy'"):
        bb.cron("0 5 * * *")(tidy)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"expression": "at noon"}, "no cron expression"),
        ({"tz": "Mars/Olympus"}, "no time zone"),
        ({"args": {"when": 1}}, "unexpected keyword argument 'when'"),
        ({"missed": "twice"}, "'once' or 'skip'"),
        ({"name": "no name"}, "no name for a cron"),
        ({"priority": 11}, "priority is 11"),
    ],
)
def test_what_makes_no_sense_is_refused_at_registration(bb: Backburner, options: dict[str, Any], words: str) -> None:
    @bb.task
    async def tidy(run: Run) -> None: ...

    with pytest.raises(ConfigurationError, match=words):
        bb.cron(**{"expression": "0 3 * * *", **options})(tidy)
    assert bb.crons == {}


def test_a_function_that_is_no_task_is_refused_in_words(bb: Backburner) -> None:
    async def tidy(run: Run) -> None: ...

    with pytest.raises(ConfigurationError, match=r"above @bb\.task"):
        bb.cron("0 3 * * *")(tidy)  # type: ignore[arg-type]


def test_operators_see_the_crons(bb: Backburner, tmp_path: Path) -> None:
    @bb.cron("0 3 * * *", tz="Europe/Berlin")
    @bb.task
    async def nightly(run: Run) -> None: ...

    bb.store.write_sync(DeclareCrons(tuple(bb.crons.values())))
    command = ["crons", "--database", bb.settings.database_url]
    shown = CliRunner().invoke(main, [*command, "list"])
    assert shown.exit_code == 0
    assert "nightly  nightly  '0 3 * * *' Europe/Berlin  missed: once  next: " in shown.output
    assert " 03:00:00+0" in shown.output
    assert "last: never" in shown.output
    assert CliRunner().invoke(main, [*command, "forget", "nightly"]).output == "nightly is forgotten.\n"
    again = CliRunner().invoke(main, [*command, "forget", "nightly"])
    assert (again.exit_code, "there is no cron 'nightly'" in again.output) == (1, True)
