"""Workers that die, freeze, block and race."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from pathlib import Path

from backburner import Backburner, Status
from backburner.domain.ids import new_id
from backburner.domain.job import NewJob
from backburner.domain.json import encode
from backburner.domain.operations import Cancel, GetJob, GetResult, JobEvents, ListJobs, Submit

from .support import freeze_between_transactions, start_worker, until


def put(bb: Backburner, task: str, **args: object) -> str:
    job = NewJob(new_id(), task, encode(args), max_tries=1)
    bb.store.write_sync(Submit((job,)))
    return job.id


def status(bb: Backburner, job: str) -> Status:
    record = bb.store.read_sync(GetJob(job))
    assert record is not None
    return record.status


def test_no_job_runs_twice_under_two_workers(bb: Backburner, env: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "marks"
    jobs = [NewJob(new_id(), "mark", encode({"path": str(path), "number": number})) for number in range(2000)]
    bb.store.write_sync(Submit(tuple(jobs)))
    with start_worker(env), start_worker(env):
        until(lambda: not bb.store.read_sync(ListJobs(status=Status.PENDING, limit=1)), "the line is empty")
        until(lambda: not bb.store.read_sync(ListJobs(status=Status.RUNNING, limit=1)), "all jobs have ended")
    assert Counter(int(line) for line in path.read_text().split()) == Counter(range(2000))


def test_a_killed_workers_job_goes_on_within_two_seconds_of_a_restart(
    bb: Backburner, env: dict[str, str], tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    job = put(bb, "hold", gate=str(gate))
    with start_worker(env) as first:
        until(lambda: status(bb, job) is Status.RUNNING, "the job runs")
        first.kill()
    gate.touch()
    with start_worker(env) as second:
        ready = time.time()
        until(lambda: status(bb, job) is Status.COMPLETED, "the job is done")
        assert bb.store.read_sync(GetResult(job)) == encode(str(second.pid))
    record = bb.store.read_sync(GetJob(job))
    assert record is not None
    assert record.tries == 0, "a rescue costs no try"
    assert record.rescues == 1
    assert record.attempt == 2
    started = [event for event in bb.store.read_sync(JobEvents(job)) if event.kind == "job.started"][-1]
    assert started.at / 1e6 - ready < 2


def test_a_worker_frozen_beyond_its_lease_cannot_write_when_it_wakes(
    bb: Backburner, env: dict[str, str], tmp_path: Path
) -> None:
    env = {**env, "BACKBURNER_LEASE": "1"}
    gate = tmp_path / "gate"
    job = put(bb, "hold", gate=str(gate))
    with start_worker(env) as frozen:
        until(lambda: status(bb, job) is Status.RUNNING, "the job runs")
        freeze_between_transactions(frozen, tmp_path / "jobs.db")
        with start_worker(env) as other:
            until(lambda: (found := bb.store.read_sync(GetJob(job))) and found.attempt == 2, "the job was rescued")
            frozen.thaw()
            frozen.wait_for_line("signs on again")
            gate.touch()
            until(lambda: status(bb, job) is Status.COMPLETED, "the job is done")
            assert bb.store.read_sync(GetResult(job)) == encode(str(other.pid))
            after = put(bb, "mark", path=str(tmp_path / "marks"), number=1)
            until(lambda: status(bb, after) is Status.COMPLETED, "work goes on")
    kinds = [event.kind for event in bb.store.read_sync(JobEvents(job))]
    assert kinds.count("job.completed") == 1
    assert kinds[-1] == "job.completed"
    messages = [event.data["message"] for event in bb.store.read_sync(JobEvents(job)) if event.kind == "job.progress"]
    assert messages[-1] == f"let go by {other.pid}"
    assert f"let go by {frozen.pid}" not in messages


def test_a_handler_that_blocks_the_event_loop_keeps_its_lease(bb: Backburner, env: dict[str, str]) -> None:
    env = {**env, "BACKBURNER_LEASE": "1"}
    job = put(bb, "block", seconds=4.0)
    with start_worker(env), start_worker(env):
        until(lambda: status(bb, job) is Status.COMPLETED, "the job is done")
    assert bb.store.read_sync(GetResult(job)) == "1", "it was never taken from its worker"


def test_a_stopping_worker_ends_what_it_runs(bb: Backburner, env: dict[str, str], tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    job = put(bb, "hold", gate=str(gate))
    with start_worker(env) as worker:
        until(lambda: status(bb, job) is Status.RUNNING, "the job runs")
        gate.touch()
        assert worker.stop() == 0
    assert status(bb, job) is Status.COMPLETED


def test_a_stopping_worker_gives_back_what_does_not_end(bb: Backburner, env: dict[str, str], tmp_path: Path) -> None:
    job = put(bb, "hold", gate=str(tmp_path / "never"))
    with start_worker({**env, "BACKBURNER_GRACE": "0.2"}) as worker:
        until(lambda: status(bb, job) is Status.RUNNING, "the job runs")
        assert worker.stop() == 0
    record = bb.store.read_sync(GetJob(job))
    assert record is not None
    assert (record.status, record.tries, record.rescues) == (Status.PENDING, 0, 0)


def test_a_job_is_cancelled_from_another_process(bb: Backburner, env: dict[str, str], tmp_path: Path) -> None:
    job = put(bb, "hold", gate=str(tmp_path / "never"))
    with start_worker(env):
        until(lambda: status(bb, job) is Status.RUNNING, "the job runs")

        assert bb.store.write_sync(Cancel(job, None)).cancel_requested
        until(lambda: status(bb, job) is Status.CANCELLED, "the job is cancelled")


def test_a_thread_that_outlives_its_stopping_worker_never_beats_beside_its_successor(
    bb: Backburner, env: dict[str, str], tmp_path: Path
) -> None:
    path, enough = tmp_path / "beats", tmp_path / "enough"
    job = put(bb, "stubborn", path=str(path), enough=str(enough))
    with start_worker({**env, "BACKBURNER_GRACE": "0.2"}) as first:
        until(path.exists, "the first worker's thread beats")
        with start_worker(env) as second:
            first.hurry()
            assert first.stop() == 0
            until(lambda: str(second.pid) in path.read_text().split(), "its successor's thread beats")
            enough.touch()
            until(lambda: status(bb, job) is Status.COMPLETED, "the job is done")
    beats = [int(line) for line in path.read_text().split()]
    changes = sum(before != after for before, after in itertools.pairwise(beats))
    assert changes <= 1, "one process after the other, never both"
