"""The measurements. Each answers figures by name; figures ending in `_ratio` compare with a peer in the same run."""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import time
from pathlib import Path

import httpx

from backburner import Backburner, Job, Settings, Status
from backburner.domain.operations import ListJobs
from backburner.testing.model import FakeModel

from . import processes
from .load import steady
from .tasks import noop, stamp

Figures = dict[str, float]

FULL_SPEED = 400
"""Jobs at once with which a worker drains SQLite fastest, on the machine described in docs/benchmarks.md."""


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def calibrate(folder: Path) -> Figures:
    """How fast this machine is right now: a loop of plain Python, and one fsynced insert at a time."""
    began = time.perf_counter()
    total = 0
    for number in range(2_000_000):
        total += number & 3
    loop = time.perf_counter() - began
    connection = sqlite3.connect(folder / "calibrate.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE t (x)")
    took = []
    for number in range(300):
        start = time.perf_counter()
        connection.execute("INSERT INTO t VALUES (?)", (number,))
        took.append(time.perf_counter() - start)
    connection.close()
    return {"python_loop_ms": loop * 1000, "fsynced_insert_ms": statistics.median(took) * 1000}


def drain(folder: Path, jobs: int = 20_000) -> Figures:
    """No-op jobs a second, results and events kept, in one worker process."""
    env = processes.environment(folder)
    submitted, drained = drain_in(env, jobs)
    return {"drain_jobs_per_s": drained, "submit_jobs_per_s": submitted}


def drain_in(env: dict[str, str], jobs: int, concurrency: int = FULL_SPEED) -> tuple[float, float]:
    """Submits and drains a second, on the database of ``env``."""
    bb = open_tasks(env)
    submitted, last = asyncio.run(fill(bb, jobs))
    with processes.worker(env, concurrency):
        while not last.refresh_sync().status.finished:  # next to nothing for the database, and among the last to end
            time.sleep(0.05)
        while bb.store.read_sync(ListJobs(status=Status.RUNNING, limit=1)):
            time.sleep(0.05)
    done = bb.store.read_sync(ListJobs(status=Status.COMPLETED, limit=jobs))
    assert len(done) == jobs, f"{len(done)} of {jobs} completed"
    seconds = (max(job.finished_at or 0 for job in done) - min(job.started_at or 0 for job in done)) / 1e6
    bb.close()
    return submitted, jobs / seconds


async def fill(bb: Backburner, jobs: int) -> tuple[float, Job[None]]:
    """Submits a second, and the last job of the line."""
    began = time.perf_counter()
    for _ in range(0, jobs, 1000):
        *_, last = await asyncio.gather(*(noop.submit() for _ in range(1000)))
    return jobs / (time.perf_counter() - began), last


def wake(folder: Path, jobs: int = 200) -> Figures:
    """From the call of submit to the first line of the handler, in another process."""
    took = wake_in(processes.environment(folder), jobs)
    return {"submit_to_running_p50_ms": percentile(took, 0.5), "submit_to_running_p99_ms": percentile(took, 0.99)}


def wake_in(env: dict[str, str], jobs: int) -> list[float]:
    """Milliseconds, on the database of ``env``."""
    bb = open_tasks(env)

    async def measure() -> list[float]:
        took = []
        await (await stamp.submit()).result(30)
        for _ in range(jobs):
            began = time.monotonic()
            job = await stamp.submit()
            took.append((await job.result(30) - began) * 1000)
        return took

    with processes.worker(env):
        took = asyncio.run(measure())
    bb.close()
    return took


def submit(folder: Path, rate: int = 200, seconds: int = 10) -> Figures:
    """A durable submit over HTTP: against a bare route with an idle worker, and while a worker drains at full speed."""
    env = processes.environment(folder)
    bb = open_tasks(env)
    body = {"task": "noop", "args": {}}
    with processes.worker(env), processes.server(env) as url, processes.bare_server(env) as bare:
        steady(url + "/backburner/jobs", body, rate, 2)
        steady(bare + "/items", body, rate, 2)
        idle: list[float] = []
        peer: list[float] = []
        for _ in range(seconds // 2):  # in turns, so that both meet the same noise
            idle += steady(url + "/backburner/jobs", body, rate, 1)
            peer += steady(bare + "/items", body, rate, 1)
    asyncio.run(fill(bb, 15_000 * seconds))
    with processes.server(env) as url:
        steady(url + "/backburner/jobs", {"task": "stamp", "args": {}}, rate, 1)
        with processes.worker(env, FULL_SPEED):
            while not bb.store.read_sync(ListJobs(status=Status.COMPLETED, task="noop", limit=1)):
                time.sleep(0.01)
            busy = steady(url + "/backburner/jobs", body, rate, seconds)
            left = bb.store.read_sync(ListJobs(status=Status.PENDING, limit=1))
    bb.close()
    return {
        "submit_idle_p50_ms": percentile(idle, 0.5),
        "submit_idle_p50_ratio": percentile(idle, 0.5) / percentile(peer, 0.5),
        "bare_insert_p50_ms": percentile(peer, 0.5),
        "submit_draining_p50_ms": percentile(busy, 0.5),
        "submit_draining_p99_ms": percentile(busy, 0.99),
        "submit_draining_still_busy_at_end": float(bool(left)),
    }


def token(folder: Path, jobs: int = 20) -> Figures:
    """From the model's first chunk leaving its server to the first `text.delta` at the client, across processes."""
    with FakeModel() as model:
        env = processes.environment(folder, OPENAI_BASE_URL=model.base_url, OPENAI_API_KEY="bench")
        model.reply([f"word{number} " for number in range(20)])
        with processes.worker(env), processes.server(env) as url:
            took = asyncio.run(_first_tokens(url, model, jobs))
    return {"token_to_client_p50_ms": percentile(took, 0.5), "token_to_client_p99_ms": percentile(took, 0.99)}


async def _first_tokens(url: str, model: FakeModel, jobs: int) -> list[float]:
    took = []
    async with httpx.AsyncClient(trust_env=False, base_url=url, timeout=30) as http:
        for number in range(jobs + 1):
            job = (await http.post("/backburner/jobs", json={"task": "write", "args": {}})).json()
            received: list[float] = []
            async with http.stream("GET", job["urls"]["events"]) as response:
                async for line in response.aiter_lines():
                    if line == "event: text.delta" and not received:
                        received.append(time.time())
            if number:  # the first call imports the model's client
                took.append((received[0] - model.calls[-1].sent_at[0]) * 1000)
    return took


def idle(folder: Path, seconds: int = 10) -> Figures:
    """What a worker costs that has nothing to do."""
    import psutil

    env = processes.environment(folder)
    bb = open_tasks(env)
    with processes.worker(env) as started:
        asyncio.run(_warm())
        watched = psutil.Process(started.pid)
        before = watched.cpu_times()
        time.sleep(seconds)
        after = watched.cpu_times()
        memory = watched.memory_info().rss
    bb.close()
    used = after.user + after.system - before.user - before.system
    return {"idle_cpu_percent": used / seconds * 100, "idle_memory_mb": memory / 1e6}


async def _warm() -> None:
    await (await noop.submit()).result(30)


def open_tasks(env: dict[str, str]) -> Backburner:
    """The tasks' own Backburner, on this measurement's file."""
    from .tasks import bb

    bb.settings = Settings(database_url=env["BACKBURNER_DATABASE_URL"])
    bb.open()
    return bb
