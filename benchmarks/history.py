"""What a long history and a long line cost: a claim with a million finished jobs, counts, delayed jobs."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
from tests.support.backends import BACKENDS, Backend

from backburner.domain.ids import new_id
from backburner.domain.job import NewJob
from backburner.domain.operations import (
    UNLIMITED,
    Claim,
    Completed,
    CountJobs,
    Execution,
    FoldCounts,
    RegisterWorker,
    Settle,
    Submit,
)
from backburner.store.store import SQLStore

from . import processes
from .measures import Figures

FINISHED = 1_000_000
DELAYED = 100_000
CLAIMS = 300

JOBS = """INSERT INTO bb_jobs (id, task, queue, status, priority, owner, attempt, tries, max_tries, rescues, seq,
    percent, message, created_at, updated_at, started_at, finished_at, input_tokens, output_tokens)
SELECT {id}, 'noop', 'default', 'completed', 5, 'ann', 1, 0, 4, 0, 3,
    100, '', n, n, n, n + 1000, 0, 0 FROM {numbers}"""
ARGS = "INSERT INTO bb_job_args (job_id, body) SELECT {id}, '{{}}' FROM {numbers}"
EVENTS = """INSERT INTO bb_events (job_id, seq, owner, position, kind, at, data)
SELECT {id}, 3, 'ann', n, 'job.completed', n, '{{"task":"noop","duration_seconds":0.1}}' FROM {numbers}"""
COUNTS = "INSERT INTO bb_counts VALUES ('ann', 'noop', 'default', 'completed', {finished}, 1000, 1000)"
WORDS = {
    "sqlite": (
        "printf('00000000-0000-7000-8000-%012d', n)",
        "(WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {finished}) "
        "SELECT n FROM numbers)",
    ),
    "postgres": (
        "'00000000-0000-7000-8000-' || lpad(n::text, 12, '0')",
        "generate_series(1, {finished}) AS numbers(n)",
    ),
}


def history(folder: Path) -> Figures:
    """A claim of ten jobs with a million finished ones against an empty store, and counting them, on each database."""
    figures: Figures = {}
    for name, backend in BACKENDS.items():
        with _store(backend, folder, "empty") as empty, _store(backend, folder, "full") as full:
            _fill(full, name)
            little, much = _claims(empty, full)
            figures[f"{name}_claim_ms"] = much
            figures[f"{name}_claim_history_ratio"] = much / little
            figures[f"{name}_count_ms"] = _counts(full)
    return figures


def delayed(folder: Path, seconds: int = 10) -> Figures:
    """What 100,000 delayed jobs cost a worker that has nothing else to do."""
    env = processes.environment(folder)
    from .measures import open_tasks

    bb = open_tasks(env)
    without = _idle_cpu(env, seconds)
    for _ in range(0, DELAYED, 5000):
        bb.store.write_sync(Submit(tuple(NewJob(new_id(), "noop", "{}", delay=86_400.0) for _ in range(5000))))
    within = _idle_cpu(env, seconds)
    bb.close()
    return {"idle_without_delayed_cpu_percent": without, "idle_with_delayed_cpu_percent": within}


def _idle_cpu(env: dict[str, str], seconds: int) -> float:
    with processes.worker(env) as started:
        time.sleep(3)  # it has signed on and looked
        watched = psutil.Process(started.pid)
        before = watched.cpu_times()
        time.sleep(seconds)
        after = watched.cpu_times()
    return (after.user + after.system - before.user - before.system) / seconds * 100


@contextlib.contextmanager
def _store(backend: Backend, folder: Path, name: str) -> Iterator[SQLStore]:
    (folder / name).mkdir(exist_ok=True)
    with backend.fresh(folder / name) as url:
        store = SQLStore(backend.open(url), lambda hint: None)
        try:
            yield store
        finally:
            store.close()


def _claims(*stores: SQLStore) -> list[float]:
    """The median of claims on each store, in milliseconds: by turns, so that all see the same machine. What was claimed
    is settled before the next."""
    workers = [new_id() for _ in stores]
    for worker, store in zip(workers, stores, strict=True):
        store.write_sync(RegisterWorker(worker, 3600.0, ("noop",)))
        store.write_sync(Submit(tuple(NewJob(new_id(), "noop", "{}") for _ in range(CLAIMS * 10))))
    took: list[list[float]] = [[] for _ in stores]
    for _ in range(CLAIMS):
        for number, store in enumerate(stores):
            began = time.perf_counter()
            jobs = store.write_sync(Claim(workers[number], {"noop": UNLIMITED}, 10)).jobs
            took[number].append((time.perf_counter() - began) * 1000)
            assert len(jobs) == 10
            for job in jobs:
                store.write_sync(Settle(Execution(job.id, job.attempt), Completed("null")))
    for store in stores:
        while store.write_sync(FoldCounts()):
            pass
    return [statistics.median(each) for each in took]


def _fill(store: SQLStore, name: str) -> None:
    identity, numbers = WORDS[name]
    numbers = numbers.format(finished=FINISHED)
    raw = store.database.open_writer()
    for statement in (JOBS, ARGS, EVENTS, COUNTS):
        raw.execute(statement.format(id=identity, numbers=numbers, finished=FINISHED))
    raw.execute("ANALYZE")
    store.database.close(raw)


def _counts(store: SQLStore) -> float:
    took = []
    for _ in range(50):
        began = time.perf_counter()
        assert store.read_sync(CountJobs("ann"))
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)
