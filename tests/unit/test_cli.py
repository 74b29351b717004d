from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from backburner import Backburner, Run, Settings
from backburner.cli import main
from backburner.domain.job import JobError, KeptStep, Status
from backburner.domain.operations import Execution, Failed, KeepStep, Settle, Usage
from tests.support.making import claim, look, register, start, submit

Command = Callable[..., Result]
PATIENCE = 20.0


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BACKBURNER_DATABASE_URL", f"sqlite:///{tmp_path}/jobs.db")
    path = list(sys.path)
    yield tmp_path
    sys.path[:] = path


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run `backburner …` in this process; an exception that is no sentence comes through."""
    monkeypatch.setattr("logging.basicConfig", lambda **_: None)

    def command(*args: str) -> Result:
        result = CliRunner().invoke(main, args)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return command


def failed_job(bb: Backburner) -> str:
    job = submit(bb.store, "t", owner="ann")
    (claimed,) = claim(bb.store, register(bb.store))
    error = JobError("x", "It broke", "in two\nor three")
    bb.store.write_sync(Settle(Execution(job, claimed.attempt), Failed(error, None)))
    return job


def test_migrate_makes_the_database(command: Command, folder: Path) -> None:
    result = command("migrate")
    assert (result.exit_code, (folder / "jobs.db").exists()) == (0, True)
    assert "is up to date" in result.output
    assert command("migrate").exit_code == 0


def test_jobs_are_listed_newest_first_one_a_line(command: Command, bb: Backburner) -> None:
    failed = failed_job(bb)
    waiting = submit(bb.store, "other")
    lines = command("jobs", "list").output.splitlines()
    assert [line.split()[0] for line in lines] == [waiting, failed]
    assert lines[1].endswith("It broke: in two")
    assert [line.split()[0] for line in command("jobs", "list", "--status", "failed").output.splitlines()] == [failed]
    assert [line.split()[0] for line in command("jobs", "list", "--task", "other").output.splitlines()] == [waiting]
    assert [line.split()[0] for line in command("jobs", "list", "--owner", "ann").output.splitlines()] == [failed]
    assert len(command("jobs", "list", "--limit", "1").output.splitlines()) == 1


def test_a_job_is_shown_with_its_log_as_json(command: Command, bb: Backburner) -> None:
    job = failed_job(bb)
    shown = json.loads(command("jobs", "show", job).output)
    assert (shown["id"], shown["status"]) == (job, "failed")
    assert [event["event"] for event in shown["events"]] == ["job.submitted", "job.started", "job.failed"]


def test_a_job_is_retried_and_cancelled(command: Command, bb: Backburner) -> None:
    job = failed_job(bb)
    assert "is pending" in command("jobs", "retry", job).output
    assert "is cancelled" in command("jobs", "cancel", job).output
    assert look(bb.store, job).status is Status.CANCELLED


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("jobs", "show", "nothing"), "nothing"),
        (("jobs", "retry", "nothing"), "there is no job nothing"),
        (("jobs", "cancel", "nothing"), "there is no job nothing"),
        (("worker", "nonsense"), "is not MODULE:ATTRIBUTE"),
        (("worker", ":bb"), "is not MODULE:ATTRIBUTE"),
        (("worker", "nowhere.at_all:bb"), "there is no module 'nowhere'"),
        (("worker", "json:nothing"), "json has no 'nothing'"),
        (("worker", "json:JSONEncoder"), "not a Backburner"),
        (("worker", "empty:bb"), "has no tasks"),
        (("serve", "json:__name__"), "neither an ASGI application nor a Backburner"),
        (("dev", "nonsense"), "is not MODULE:ATTRIBUTE"),
        (("migrate", "nowhere:bb"), "there is no module 'nowhere'"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...], words: str
) -> None:
    (folder / "empty.py").write_text("from backburner import Backburner\nbb = Backburner()\n")
    command("migrate")
    result = command(*args)
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert words in result.output
    sys.modules.pop("empty", None)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("BACKBURNER_CONCURRENCY", "lots", "BACKBURNER_CONCURRENCY: "),
        ("BACKBURNER_DATABASE_URL", "mongodb://x", "mongodb"),
        ("BACKBURNER_DATABASE_URL", "sqlite:////no/such/jobs.db", "there is no database"),
    ],
)
def test_settings_that_make_no_sense_are_named(
    command: Command, monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(name, value)
    result = command("jobs", "list")
    assert (result.exit_code, words in result.output) == (1, True)


def test_a_broken_import_inside_a_module_is_not_mistaken_for_a_missing_module(command: Command, folder: Path) -> None:
    (folder / "broken_app.py").write_text("import no_such_library\n")
    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        command("worker", "broken_app:bb")


APP = """
import threading
from backburner import Backburner, SyncRun
from backburner.worker import worker

worker.ABANDON_AFTER = 0.1
bb = Backburner()

@bb.task
def endless(run: SyncRun) -> None:
    run.progress(1, "begun")
    threading.Event().wait()

@bb.task
def quick(run: SyncRun) -> int:
    return 42
"""


def test_a_worker_process_ends_although_a_thread_of_its_does_not(folder: Path) -> None:
    """And keeps the job to its very end, so that it never runs twice; then whoever looks knows that it is free."""
    (folder / "stuck_app.py").write_text(APP)
    environment = {**os.environ, "BACKBURNER_GRACE": "0.1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "backburner.cli", "worker", "stuck_app:bb"],
        env=environment,
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
    )
    bb = Backburner(settings=Settings(_env_file=None, database_url=f"sqlite:///{folder}/jobs.db"))  # type: ignore[call-arg]

    @bb.task
    async def endless(run: Run) -> None: ...

    log: list[str] = []
    reader = threading.Thread(target=lambda: log.extend(process.stderr or ()), daemon=True)
    reader.start()
    try:
        job = endless.submit_sync()
        bb.watcher.wait_sync(job.id, lambda record: record.message == "begun", PATIENCE)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0, "".join(log)
        record = job.refresh_sync()
        assert (record.status, record.tries) == (Status.RUNNING, 0)
        assert len(bb.store.dead_workers()) == 1
    finally:
        process.kill()
        process.wait()
        reader.join()
        if process.stderr is not None:
            process.stderr.close()
        bb.close()


def test_the_version_is_told(command: Command) -> None:
    result: Any = command("--version")
    assert (result.exit_code, "version" in result.output) == (0, True)


def test_looking_at_jobs_makes_no_database(command: Command, folder: Path) -> None:
    for args in (("jobs", "list"), ("jobs", "show", "x"), ("doctor",)):
        result = command(*args)
        assert (result.exit_code, "there is no database" in result.output) == (1, True)
    assert list(folder.glob("jobs.db*")) == []


def test_another_database_than_the_settings_can_be_looked_at(command: Command, bb: Backburner, folder: Path) -> None:
    job = submit(bb.store, "t")
    (folder / "elsewhere").mkdir()
    other = f"sqlite:///{folder}/elsewhere/other.db"
    elsewhere = Backburner(other)
    elsewhere.open()
    elsewhere.close()
    assert job in command("jobs", "list").output
    assert "no such jobs" in command("jobs", "--database", other, "list").output


def test_all_failed_jobs_are_run_again(command: Command, bb: Backburner) -> None:
    jobs = [failed_job(bb) for _ in range(3)]
    assert "0 jobs" in command("jobs", "retry", "--all", "--task", "other").output
    assert "3 jobs" in command("jobs", "retry", "--all").output
    assert {look(bb.store, job).status for job in jobs} == {Status.PENDING}


def test_retry_wants_one_job_or_all(command: Command, bb: Backburner) -> None:
    for args in (("jobs", "retry"), ("jobs", "retry", "x", "--all")):
        result = command(*args)
        assert result.exit_code == 2
        assert "name one job, or say --all" in result.output


def test_a_queue_is_paused_and_resumed(command: Command, bb: Backburner) -> None:
    submit(bb.store, queue="slow")
    assert command("queues", "pause", "slow").output == "slow is paused\n"
    assert command("queues", "list").output == "slow  paused  1 pending  0 running\n"
    assert claim(bb.store, register(bb.store)) == []
    assert command("queues", "resume", "slow").output == "slow is open\n"
    assert len(claim(bb.store, register(bb.store))) == 1


def test_usage_is_told_by_day_owner_and_model(command: Command, folder: Path) -> None:
    bb = Backburner(f"sqlite:///{folder}/jobs.db")
    execution = start(bb.store, owner="ann")
    bb.store.write_sync(KeepStep(execution, KeptStep("a", 0, "k", "1"), usage=Usage("m", 10, 5, 1_500_000_000)))
    bb.store.write_sync(KeepStep(start(bb.store), KeptStep("a", 0, "k", "1"), usage=Usage("n", 1, 2)))
    bb.close()
    everybody = command("usage").output
    assert "  -  n  1 calls  1 in  2 out\n" in everybody
    assert "  ann  m  1 calls  10 in  5 out  cost 1.5\n" in everybody
    assert "total  2 calls  11 in  7 out  cost 1.5\n" in everybody
    assert "total  1 calls  10 in  5 out  cost 1.5\n" in command("usage", "--owner", "ann", "--days", "1").output
    of_job = json.loads(command("usage", "--job", execution.job, "--json").output)
    assert (["m"], 1.5) == ([each["model"] for each in of_job["usage"]], of_job["total"]["cost"])
    assert command("usage", "--job", execution.job, "--model", "m").exit_code == 2


def test_stats_count_the_jobs_of_all_or_of_one_owner(command: Command) -> None:
    bb = Backburner(settings=Settings(_env_file=None))
    failed_job(bb)
    submit(bb.store, "other", owner="bob")
    bb.close()
    every = json.loads(command("jobs", "stats").output)
    assert (every["counts"]["failed"], every["counts"]["pending"]) == (1, 1)
    assert every["tasks"]["t"]["success_rate"] == 0
    assert list(json.loads(command("jobs", "stats", "--owner", "bob").output)["tasks"]) == ["other"]


def test_show_tells_the_place_in_the_line(command: Command) -> None:
    bb = Backburner(settings=Settings(_env_file=None))
    submit(bb.store, "t")
    job = submit(bb.store, "t")
    assert bb.handle(job).outlook_sync().position == 2
    bb.close()
    assert json.loads(command("jobs", "show", job).output)["position"] == 2
