"""Whether a store stands as the model does."""

from __future__ import annotations

from collections import Counter
from typing import Any

from backburner.domain.events import apply_text
from backburner.domain.operations import CountJobs
from backburner.ports import Store

from .job import Job
from .model import Model
from .rows import Rows


def check_likeness(model: Model, rows: Rows, store: Store) -> None:
    assert set(model.jobs) == set(rows.jobs), "an accepted job is lost, or one came from nowhere"
    for name, job in model.jobs.items():
        row = rows.jobs[name]
        known = (job.status, job.attempt, job.tries, job.rescues, job.expires_at)
        found = (row["status"], row["attempt"], row["tries"], row["rescues"], row["expires_at"])
        assert known == found, f"job {name}: the model says {known}, the store {found}"
        log = [event.kind for event in rows.events[name]]
        assert job.log == log, f"job {name}: the model logs {job.log}, the store {log}"
        texts: dict[str, str] = {}
        for event in rows.events[name]:
            apply_text(texts, event)
        assert job.texts == texts, f"job {name}: the model has the words {job.texts}, the store {texts}"
    places = expected_places(model)
    for table, found_rows in rows.places.items():
        assert places[table] == found_rows, f"{table}: the model has {places[table]}, the store {found_rows}"
    assert model.keys == rows.keys, f"the model has the keys {model.keys}, the store {rows.keys}"
    assert set(model.workers) == rows.workers, "a worker is lost, or one came from nowhere"
    counts = _counts(store)
    assert model.counts() == counts, f"the model counts {model.counts()}, the store {counts}"
    check_ties(model, rows)
    assert model.app_rows == rows.app_rows, "rows of the application without their step, or a step without them"


def check_ties(model: Model, rows: Rows) -> None:
    assert {(name, child) for name, job in model.jobs.items() for child in job.waits} == rows.waits
    batches = {name: (each.total, each.remaining, each.finished) for name, each in model.ties.batches.items()}
    assert batches == rows.batches, f"the model has the batches {batches}, the store {rows.batches}"
    for name, batch in model.ties.batches.items():
        told = batch.finished and batch.new.notify and batch.new.owner is not None
        assert [event.kind for event in rows.events[name]] == ["notification"] * told
    questions = {
        token: (each.job, each.name, each.key, each.expires_at, each.answer)
        for token, each in model.ties.questions.items()
    }
    assert questions == rows.questions, f"the model asks {questions}, the store {rows.questions}"


def expected_places(model: Model) -> dict[str, dict[str, tuple[Any, ...]]]:
    places: dict[str, dict[str, tuple[Any, ...]]] = {
        table: {} for table in ("ready", "scheduled", "parked", "blocked", "leases", "deadlines", "unannounced")
    }
    for name, job in model.jobs.items():
        if job.place is not None:
            places[job.place][name] = _row(model, job)
        if job.run_at is not None:
            places["scheduled"][name] = (job.run_at,)
        if job.deadline is not None:
            places["deadlines"][name] = (job.deadline,)
        if not job.announced:
            places["unannounced"][name] = (1,)
    return places


def _row(model: Model, job: Job) -> tuple[Any, ...]:
    new = job.new
    match job.place:
        case "ready":
            spot = model.line.spots[new.id]
            return new.queue, new.task, spot.rank, spot.turn, spot.since, job.owner
        case "blocked":
            spot = model.line.spots[new.id]
            return spot.scope, spot.rank, spot.turn, spot.since, job.owner
        case "leases":
            return job.attempt, job.worker, job.cancel_requested, new.queue, new.task, job.owner
        case "parked":
            return (job.waiting_for,)
        case _:
            return (job.run_at,)


def _counts(store: Store) -> Counter[tuple[str, str, Any]]:
    counted: Counter[tuple[str, str, Any]] = Counter()
    for count in store.read_sync(CountJobs()):
        counted[count.queue, count.task, count.status] += count.jobs + count.gone
        assert count.jobs >= 0
        assert count.ran >= 0
        assert count.waited >= 0
    return counted
