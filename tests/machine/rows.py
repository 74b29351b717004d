"""What lies in the tables of a store, read past all its functions."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from backburner.domain.events import Event
from backburner.store.folding import unpack

Row = tuple[Any, ...]

PLACES = {
    "ready": "queue, task, rank, turn, since, owner",
    "scheduled": "run_at",
    "parked": "waiting_for",
    "blocked": "scope, rank, turn, since, owner",
    "leases": "attempt, worker_id, cancel_requested, queue, task, owner",
    "deadlines": "at",
    "unannounced": "1",
}
"""Tables that have at most one row of a job, and what is read of it."""


@dataclass
class Rows:
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    places: dict[str, dict[str, Row]] = field(default_factory=dict)
    keys: dict[tuple[str, str, str], str] = field(default_factory=dict)
    results: set[str] = field(default_factory=set)
    workers: set[str] = field(default_factory=set)
    streams: dict[str, int] = field(default_factory=dict)
    events: dict[str, list[Event]] = field(default_factory=lambda: defaultdict(list))
    owned: dict[str, list[Event]] = field(default_factory=lambda: defaultdict(list))
    waits: set[tuple[str, str]] = field(default_factory=set)
    batches: dict[str, tuple[int, int, bool]] = field(default_factory=dict)
    questions: dict[str, Row] = field(default_factory=dict)
    calls: dict[tuple[str, str], int] = field(default_factory=dict)
    days: dict[str, tuple[int, int]] = field(default_factory=dict)
    app_rows: Counter[tuple[str, str]] = field(default_factory=Counter)


JOB = ("id", "task", "queue", "status", "priority", "owner", "attempt", "tries", "rescues", "seq", "key", "expires_at",
       "started_at", "finished_at")  # fmt: skip


def read_rows(raw: Any) -> Rows:
    """``raw`` is a driver's connection."""

    def ask(sql: str) -> list[Row]:
        return read(raw, sql)

    rows = Rows()
    rows.jobs = {row[0]: dict(zip(JOB, row, strict=True)) for row in ask(f"SELECT {', '.join(JOB)} FROM bb_jobs")}
    for table, columns in PLACES.items():
        rows.places[table] = {name: tuple(rest) for name, *rest in ask(f"SELECT job_id, {columns} FROM bb_{table}")}
    rows.keys = {
        (task, owner, key): job for task, owner, key, job in ask("SELECT task, owner, key, job_id FROM bb_keys")
    }
    rows.results = {job for (job,) in ask("SELECT job_id FROM bb_job_results")}
    rows.workers = {worker for (worker,) in ask("SELECT id FROM bb_workers")}
    rows.streams = dict(ask("SELECT owner, position FROM bb_streams"))
    rows.waits = {(parent, child) for parent, child in ask("SELECT job_id, child_id FROM bb_waits")}
    rows.batches = {
        id: (total, remaining, at is not None)
        for id, total, remaining, at in ask("SELECT id, total, remaining, finished_at FROM bb_batches")
    }
    asked = ask("SELECT token, job_id, name, key, expires_at, answer FROM bb_questions")
    rows.questions = {token: tuple(rest) for token, *rest in asked}
    rows.calls = {(job, step): attempt for job, step, attempt, _, waits in read_reservations(raw) if not waits}
    rows.days = {owner: (day, used) for owner, day, used in ask("SELECT owner, day, used FROM bb_day_budgets")}
    rows.app_rows = Counter((job, name) for job, name in ask("SELECT job, name FROM app_rows"))
    for event, owner in _events(ask):
        rows.events[event.job].append(event)
        if owner is not None:
            rows.owned[owner].append(event)
    return rows


def read(raw: Any, sql: str) -> list[Row]:
    return [tuple(row) for row in raw.execute(sql).fetchall()]


def read_reservations(raw: Any) -> list[tuple[str, str, int, str, bool]]:
    """Each its job, step, attempt and owner, and whether it waits in line."""
    columns = "job_id, step, attempt, owner, places IS NOT NULL"
    found = read(raw, f"SELECT {columns} FROM bb_reservations ORDER BY job_id, step")
    return [(job, step, attempt, owner, bool(waits)) for job, step, attempt, owner, waits in found]


def _events(ask: Callable[[str], list[Row]]) -> list[tuple[Event, str | None]]:
    """In the order of each job's log; those that were folded in their places."""
    found = [
        (Event(job, seq, position, kind, at, json.loads(data)), owner)
        for job, seq, position, kind, at, data, owner in ask(
            "SELECT job_id, seq, position, kind, at, data, owner FROM bb_events"
        )
    ]
    for job, owner, places, text in ask("SELECT job_id, owner, places, text FROM bb_folds"):
        found += [(event, owner) for event in unpack(job, owner is not None, places, text)]
    return sorted(found, key=lambda each: (each[0].job, each[0].seq))
