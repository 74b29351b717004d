"""Jobs and workers made directly against a store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from backburner.domain.errors import BackburnerError
from backburner.domain.events import Event
from backburner.domain.ids import new_id
from backburner.domain.job import Claimed, JobError, JobRecord, KeptStep, NewJob
from backburner.domain.operations import (
    AppendText,
    Claim,
    Completed,
    Execution,
    Failed,
    GetJob,
    JobEvents,
    KeepStep,
    Limit,
    RegisterWorker,
    Settle,
    Submit,
)
from backburner.ports import Store

LEASE = 30.0


def new_job(task: str = "t", **more: Any) -> NewJob:
    return NewJob(**{"id": new_id(), "task": task, "args": "{}", **more})


def submit(store: Store, task: str = "t", **more: Any) -> str:
    job = new_job(task, **more)
    store.write_sync(Submit((job,)))
    return job.id


def register(store: Store, *tasks: str, lease: float = LEASE) -> str:
    worker = new_id()
    store.write_sync(RegisterWorker(worker, lease, tasks or ("t",)))
    return worker


def claim(store: Store, worker: str, count: int = 10, **limits: int | None) -> list[Claimed]:
    tasks = {task: Limit(concurrency) for task, concurrency in (limits or {"t": None}).items()}
    return list(store.write_sync(Claim(worker, tasks, count)).jobs)


def start(store: Store, task: str = "t", **more: Any) -> Execution:
    """Submit a job and have a new worker take it."""
    job = submit(store, task, **more)
    (claimed,) = claim(store, register(store, task), **{task: None})
    assert claimed.id == job
    return Execution(job, claimed.attempt)


def complete(store: Store, execution: Execution, result: str = "null") -> None:
    store.write_sync(Settle(execution, Completed(result)))


def fail(store: Store, execution: Execution, retry_after: float | None = None) -> None:
    store.write_sync(Settle(execution, Failed(JobError("x", "It broke", "in two"), retry_after)))


def keep(store: Store, execution: Execution, name: str, value: str = '"v"', channels: tuple[str, ...] = ()) -> None:
    store.write_sync(KeepStep(execution, KeptStep(name, 0, "key", value), channels))


def say(store: Store, execution: Execution, delta: str, channel: str = "main") -> None:
    store.write_sync(AppendText(execution, channel, delta))


def look(store: Store, job: str) -> JobRecord:
    record = store.read_sync(GetJob(job))
    assert record is not None
    return record


def log_of(store: Store, job: str) -> list[Event]:
    return list(store.read_sync(JobEvents(job)))


def kinds(store: Store, job: str) -> list[str]:
    return [event.kind for event in log_of(store, job)]


def refusal(call: Callable[[], Any]) -> type[BaseException] | None:
    """What the call was refused with, None where it was done."""
    try:
        call()
    except BackburnerError as error:
        return type(error)
    return None
