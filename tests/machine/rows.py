"""What lies in the tables of a store, read past all its functions."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from backburner.domain.events import Event

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


JOB = ("id", "task", "queue", "status", "priority", "owner", "attempt", "tries", "rescues", "seq", "key", "expires_at",
       "started_at", "finished_at")  # fmt: skip


def read_rows(raw: Any) -> Rows:
    """``raw`` is a driver's connection."""

    def ask(sql: str) -> list[Row]:
        return [tuple(row) for row in raw.execute(sql).fetchall()]

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
    logged = "SELECT job_id, seq, position, kind, at, data, owner FROM bb_events ORDER BY job_id, seq"
    for job, seq, position, kind, at, data, owner in ask(logged):
        event = Event(job, seq, position, kind, at, json.loads(data))
        rows.events[job].append(event)
        if owner is not None:
            rows.owned[owner].append(event)
    return rows
