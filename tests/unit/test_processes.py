from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from backburner import Backburner, ConfigurationError, Run, SyncRun, process_group
from backburner.domain.deadline import Deadline
from backburner.domain.job import Status
from backburner.domain.operations import Cancel, Execution, JobSnapshot, ListJobs, ReserveBudget, SettleBudget
from backburner.llm.settings import ModelSettings
from backburner.ports import Hint
from backburner.processes import children
from backburner.testing.model import FakeModel
from tests.conftest import Start, settings_for
from tests.support import process_tasks as tasks
from tests.support.clock import pass_time
from tests.support.making import kinds
from tests.support.migrated import copy_migrated
from tests.support.processes import pid_in, until_gone

PATIENCE = 60.0


@pytest.fixture
def bb(tmp_path: Path) -> Iterator[Backburner]:
    """The one of the module that child processes import."""
    copy_migrated(tmp_path / "jobs.db")
    before = tasks.bb.settings
    tasks.bb.settings = settings_for(tmp_path)
    yield tasks.bb
    tasks.bb.close()
    tasks.bb.settings = before


def test_a_run_in_a_child_process_has_all_that_a_thread_has(bb: Backburner, worker: Start, tmp_path: Path) -> None:
    worker()
    job = tasks.everything.using(owner="ann", priority=7).submit_sync(str(tmp_path))
    found = job.result_sync(PATIENCE)
    assert found["pid"] != os.getpid()
    assert found["twice"] == 8
    assert found["parts"] == [0, 2, 4, 6]
    assert found["said"] == [str(os.getpid()), str(tmp_path)]
    assert found["about"] == ["ann", 7, 2, 1, False]
    assert found["written"] == len("hello world")
    assert len((tmp_path / "lines").read_text().split()) == 1
    snapshot = bb.store.read_sync(JobSnapshot(job.id))
    assert snapshot is not None
    assert snapshot.texts == {"main": "hello world"}
    assert kinds(bb.store, job.id).count("step.completed") == 8
    (child,) = bb.store.read_sync(ListJobs(task="whoami"))
    assert (child.id, child.owner) == (found["child"], "ann")


def test_a_child_is_used_again(bb: Backburner, worker: Start) -> None:
    worker()
    assert len({tasks.whoami.submit_sync().result_sync(PATIENCE) for _ in range(3)}) == 1


def test_jobs_at_once_have_a_child_each(bb: Backburner, worker: Start, tmp_path: Path) -> None:
    worker()
    folders = [tmp_path / name for name in "ab"]
    for folder in folders:
        folder.mkdir()
        tasks.hang.submit_sync(str(folder))
    assert len({pid_in(folder / "child") for folder in folders}) == 2


def test_an_idle_child_is_dismissed(bb: Backburner, worker: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "LONGEST_IDLE", 0.0)
    worker()
    until_gone(tasks.whoami.submit_sync().result_sync(PATIENCE))


def test_a_stopped_worker_leaves_no_child(bb: Backburner, worker: Start, tmp_path: Path) -> None:
    thread = worker(grace=0.01)
    idle = tasks.whoami.submit_sync().result_sync(PATIENCE)
    job = tasks.hang.submit_sync(str(tmp_path))
    pids = [idle, pid_in(tmp_path / "child"), pid_in(tmp_path / "grandchild")]
    thread.stop()
    for pid in pids:
        until_gone(pid)
    assert job.refresh_sync().status is Status.PENDING


@pytest.fixture
def table(bb: Backburner) -> None:
    engine = bb.create_engine()
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE notes (body TEXT)"))
    engine.dispose()


@pytest.mark.usefixtures("table")
def test_a_transaction_of_a_child_is_made_by_the_worker(bb: Backburner, worker: Start) -> None:
    worker()
    job = tasks.transact.using(owner="ann").submit_sync(False)
    wrote, pid = job.result_sync(PATIENCE)
    assert (wrote, True) == (os.getpid(), pid != os.getpid())
    (child,) = bb.store.read_sync(ListJobs(task="whoami"))
    assert child.owner == "ann"
    refused = tasks.transact.submit_sync(True).wait_sync(PATIENCE)
    assert refused.error is not None
    assert refused.error.type == ConfigurationError.type
    assert "must stand at the top of a module" in refused.error.detail


@pytest.mark.parametrize(
    ("how", "type", "words"),
    [
        ("exit", "process_died", "the job's process ended with exit code 7 before the job was done"),
        ("sys.exit", "process_died", "the job's process ended with exit code 5 before the job was done"),
        ("segfault", "process_died", "the job's process was killed by SIGSEGV before the job was done"),
        ("kill", "process_died", "killed by SIGKILL (perhaps for want of memory) before the job was done"),
        ("forked", "process_died", "the job's process ended with exit code 9 before the job was done"),
        ("close", "process_died", "the job's process has closed its line to the worker, and was killed"),
        ("odd", "Odd", "Odd: it broke: in two"),
    ],
)
def test_a_child_that_dies_fails_its_job_in_words(
    bb: Backburner, worker: Start, monkeypatch: pytest.MonkeyPatch, how: str, type: str, words: str
) -> None:
    monkeypatch.setattr(children, "TERM_GRACE", 0.5)
    worker()
    record = tasks.die.submit_sync(how).wait_sync(PATIENCE)
    assert record.error is not None
    assert (record.status, record.error.type) == (Status.FAILED, type)
    assert words in record.error.detail
    assert tasks.whoami.submit_sync().result_sync(PATIENCE) != os.getpid()


def test_a_child_may_park_its_job(bb: Backburner, worker: Start) -> None:
    worker()
    job = tasks.park.submit_sync()
    record = bb.watcher.wait_sync(job.id, lambda record: record.waiting_for == "answer", PATIENCE)
    assert (record.status, record.tries) == (Status.PENDING, 0)


def parked(bb: Backburner, job: str, what: str) -> None:
    record = bb.watcher.wait_sync(job, lambda record: record.waiting_for == what, PATIENCE)
    assert (Status.PENDING, 0) == (record.status, record.tries)


def test_a_question_parks_a_child_and_the_answer_has_it_go_on(bb: Backburner, worker: Start, tmp_path: Path) -> None:
    worker()
    job = tasks.ask_somebody.submit_sync(f"{tmp_path}/lines")
    parked(bb, job.id, "answer")
    job.answer_sync("Ann")
    assert "Ann" == job.result_sync(PATIENCE)
    assert 1 == len((tmp_path / "lines").read_text().split()), "what was finished before is not done again"


def test_waiting_for_another_job_parks_a_child(bb: Backburner, worker: Start, tmp_path: Path) -> None:
    worker(concurrency=1)
    job = tasks.wait_for_child.submit_sync(f"{tmp_path}/lines")
    parked(bb, job.id, "child")
    pass_time(bb.store, 2)
    bb.signal.ring(Hint(work=True))
    assert job.result_sync(PATIENCE) > 0
    assert 1 == len((tmp_path / "lines").read_text().split())


def drain_budget(bb: Backburner, seconds: float) -> None:
    """The next call has to wait so long."""
    buckets = bb.llm_rules.buckets("metered-model", None)
    full = ReserveBudget(Execution("x", 1), "s", "metered-model", "", 60_000, 0, buckets)
    bb.store.write_sync(full)
    bb.store.write_sync(SettleBudget(full.execution, "s", 60_000 + int(1000 * seconds), 0))


@pytest.fixture
def metered(bb: Backburner) -> Iterator[FakeModel]:
    with FakeModel() as fake:
        bb.use_model(ModelSettings(base_url=fake.base_url, api_key="k", model="metered-model"))
        yield fake
    bb.use_model(None)


def test_a_long_wait_for_a_budget_parks_a_child(bb: Backburner, worker: Start, metered: FakeModel) -> None:
    drain_budget(bb, 30)
    worker()
    job = tasks.ask_metered.submit_sync()
    parked(bb, job.id, "budget")
    pass_time(bb.store, 40)
    bb.signal.ring(Hint(work=True))
    assert job.result_sync(PATIENCE)
    assert 1 == len(metered.calls)


def test_a_short_wait_for_a_budget_in_a_child_is_in_place_while_the_time_limit_stands_still(
    bb: Backburner, worker: Start, metered: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    went_on: list[bool] = []
    stopped = Deadline.stopped

    @contextlib.contextmanager
    def stop(self: Deadline) -> Iterator[None]:
        with stopped(self):
            yield
        went_on.append(True)

    monkeypatch.setattr(Deadline, "stopped", stop)
    worker()
    tasks.whoami.submit_sync().result_sync(PATIENCE)  # a child that is there already: its start takes time, too
    drain_budget(bb, 3)
    job = tasks.ask_metered.submit_sync()
    assert job.result_sync(PATIENCE)
    assert went_on
    assert 1 == kinds(bb.store, job.id).count("job.started"), "it was not parked"


@pytest.mark.parametrize("stubborn", [False, True], ids=["mild", "stubborn"])
@pytest.mark.parametrize("why", ["cancel", "timeout"])
def test_timeout_and_cancel_kill_the_child_and_what_it_started(
    bb: Backburner, worker: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stubborn: bool, why: str
) -> None:
    if stubborn:
        monkeypatch.setattr(process_group, "TERM_GRACE", 0.05)
    worker()
    tasks.whoami.submit_sync().result_sync(PATIENCE)  # a child that is there already: its start takes time, too
    job = (tasks.hang if why == "cancel" else tasks.too_long).submit_sync(str(tmp_path), stubborn)
    pids = [pid_in(tmp_path / name) for name in ("child", "grandchild")]
    if why == "cancel":
        bb.store.write_sync(Cancel(job.id, None))
    record = job.wait_sync(PATIENCE)
    if why == "cancel":
        assert record.status is Status.CANCELLED
    else:
        assert record.error is not None
        assert record.error.type == "timeout"
    for pid in pids:
        until_gone(pid)
    if not stubborn:
        assert (tmp_path / "cleaned").read_text() == "True"


def test_cancelling_a_child_ends_the_program_it_waits_for(bb: Backburner, worker: Start, tmp_path: Path) -> None:
    worker()
    job = tasks.program.submit_sync(str(tmp_path))
    pid = pid_in(tmp_path / "program")
    bb.store.write_sync(Cancel(job.id, None))
    assert job.wait_sync(PATIENCE).status is Status.CANCELLED
    until_gone(pid)


def test_the_children_of_a_killed_worker_die_too(bb: Backburner, tmp_path: Path) -> None:
    code = """
import asyncio, pathlib, sys
from tests.conftest import settings_for
from tests.support.process_tasks import bb
bb.settings = settings_for(pathlib.Path(sys.argv[1]))
asyncio.run(bb.run_worker())
"""
    job = tasks.hang.submit_sync(str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) as process:
        try:
            pids = [pid_in(tmp_path / name) for name in ("child", "grandchild")]
        finally:
            process.send_signal(signal.SIGKILL)
    for pid in pids:
        until_gone(pid)
    assert job.refresh_sync().status is Status.RUNNING


def test_a_child_asks_the_model_that_the_worker_was_given(bb: Backburner, worker: Start) -> None:
    with FakeModel() as model:
        model.reply("Hello from the model")
        bb.use_model(ModelSettings(base_url=model.base_url, api_key="key", model="fake"))
        worker()
        job = tasks.ask_model.submit_sync()
        assert job.result_sync(PATIENCE) == "Hello from the model"
        snapshot = bb.store.read_sync(JobSnapshot(job.id))
    assert snapshot is not None
    assert snapshot.texts == {"main": "Hello from the model"}
    assert job.refresh_sync().output_tokens > 0


def test_what_cannot_run_in_a_process_is_refused_when_it_is_registered(tmp_path: Path) -> None:
    bb = Backburner(settings=settings_for(tmp_path))

    async def coroutine(run: Run) -> None: ...

    def closure(run: SyncRun) -> None: ...

    with pytest.raises(ConfigurationError, match="process=True is for ordinary functions"):
        bb.task(process=True)(coroutine)
    with pytest.raises(ConfigurationError, match=r"at the top of a module.*<locals>.closure is made inside"):
        bb.task(process=True)(closure)


def test_a_function_of_the_started_script_is_refused_in_words(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        f"""
import asyncio, threading
from backburner import Backburner, SyncRun

bb = Backburner("sqlite:///{tmp_path}/jobs.db")

@bb.task(process=True)
def job(run: SyncRun) -> int:
    return 1

async def main():
    stops = []
    working = asyncio.create_task(bb.run_worker(stops.append))
    record = await (await job.submit()).wait({PATIENCE})
    print(record.error.type, record.error.detail)
    stops[0]()
    await working

if __name__ == "__main__":
    asyncio.run(main())
    bb.close()
"""
    )
    said = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert said.stdout == (
        "configuration task job with process=True is defined in the script that was started, which a child process "
        "cannot import: move it into a module of its own and import that\n"
    )
