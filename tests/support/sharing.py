"""Jobs that share their work, made directly against a store."""

from __future__ import annotations

from typing import Any

from backburner.domain.events import Event
from backburner.domain.ids import is_execution
from backburner.domain.job import JobRecord, NewJob, SharedWork
from backburner.domain.json import encode
from backburner.domain.operations import Execution, JobSnapshot, ListJobs, OwnerEvents, Submit
from backburner.ports import Store
from tests.support.making import claim, log_of, look, new_job, register

HOUR = 3600.0
USUAL = encode({"completed": None, "failed": None})


def shared(work: str = "w", owner: str | None = "ann", *, everyone: bool = False, **more: Any) -> NewJob:
    words = more.pop("words", USUAL if owner is not None else None)
    lasts = more.pop("lasts", HOUR)
    return new_job(owner=owner, shared=SharedWork(work, lasts, everyone, words), **more)


def put(store: Store, *args: Any, **more: Any) -> str:
    job = shared(*args, **more)
    store.write_sync(Submit((job,)))
    return job.id


def answer(store: Store, *args: Any, **more: Any) -> JobRecord:
    """How a submit is answered."""
    job = shared(*args, **more)
    store.write_sync(Submit((job,)))
    return look(store, job.id)


def take(store: Store, worker: str | None = None) -> Execution:
    """Start the only execution in the line."""
    (claimed,) = claim(store, worker or register(store))
    assert is_execution(claimed.id)
    return Execution(claimed.id, claimed.attempt)


def text_of(store: Store, job: str) -> dict[str, str]:
    found = store.read_sync(JobSnapshot(job))
    assert found is not None
    return dict(found.texts)


def assert_exact(store: Store, *owners: str) -> None:
    """Each job's log counts from 1, and each owner's stream counts from 1 and holds exactly the logs of its jobs."""
    for owner in owners:
        stream = store.read_sync(OwnerEvents(owner, limit=100_000))
        assert [event.position for event in stream] == list(range(1, len(stream) + 1))
        logs: dict[str, list[Event]] = {}
        for event in stream:
            logs.setdefault(event.job, []).append(event)
        jobs = store.read_sync(ListJobs(owner=owner, limit=1000))
        assert {job.id for job in jobs} == set(logs)
        for job in jobs:
            assert [event.seq for event in logs[job.id]] == list(range(1, job.seq + 1))
            assert logs[job.id] == log_of(store, job.id)
