"""What holds in every store at every moment, whatever was done to it: nothing here knows the model."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from backburner.domain.events import TERMINAL, Event
from backburner.domain.job import Status, can_move
from backburner.domain.operations import Limit

from .rows import Rows

STATES = {
    "job.submitted": Status.PENDING,
    "job.started": Status.RUNNING,
    "job.retrying": Status.PENDING,
    "job.completed": Status.COMPLETED,
    "job.failed": Status.FAILED,
    "job.cancelled": Status.CANCELLED,
}


@dataclass
class Seen:
    """What was read before: it stays as it was until its job is erased."""

    logs: dict[str, list[Event]] = field(default_factory=dict)
    places: dict[tuple[str, int], str] = field(default_factory=dict)
    unseen: Counter[str] = field(default_factory=Counter)
    """Events of each owner that were erased before anybody looked."""

    def is_of_nobody(self, rows: Rows, owner: str, place: int) -> bool:
        job = self.places.get((owner, place))
        return job is not None and job not in rows.jobs and job not in rows.batches

    def check(self, rows: Rows) -> None:
        for job, log in self.logs.items():
            if job in rows.jobs or job in rows.batches:
                assert log == rows.events[job][: len(log)], "what was told before is told otherwise now"

    def note(self, rows: Rows) -> None:
        self.logs = dict(rows.events)
        self.places |= {(owner, each.position or 0): each.job for owner, log in rows.owned.items() for each in log}


def check_promises(rows: Rows, seen: Seen, tasks: Mapping[str, Limit], queues: Mapping[str, Limit]) -> None:
    for job in rows.jobs:
        check_place(rows, job)
        check_log(rows, job)
    check_nothing_belongs_to_nobody(rows)
    seen.check(rows)
    check_streams(rows, seen)
    seen.note(rows)
    check_limits(rows, tasks, queues)


def check_place(rows: Rows, job: str) -> None:
    """Which row exists is the state."""
    status = rows.jobs[job]["status"]
    there = {table for table, found in rows.places.items() if job in found}
    deadline = {"deadlines"} & there
    if status == "running":
        assert there == {"leases"}, f"a running job has rows in {there}"
        assert rows.places["leases"][job][0] == rows.jobs[job]["attempt"], "a lease of another attempt"
    elif status == "pending":
        allowed = ({"ready"}, {"scheduled"}, {"blocked"}, {"parked"}, {"parked", "scheduled"})
        unannounced = ({"unannounced"}, {"unannounced", "scheduled"})
        assert there - deadline in (*allowed, *unannounced), f"a pending job has rows in {there}"
    else:
        assert there == set(), f"a job that is {status} has rows in {there}"
    assert (status in ("completed", "failed", "cancelled")) == (rows.jobs[job]["finished_at"] is not None)
    assert (status == "completed") == (job in rows.results)


def check_log(rows: Rows, job: str) -> None:
    log, row = rows.events[job], rows.jobs[job]
    assert [event.seq for event in log] == list(range(1, row["seq"] + 1)), "the job's log has a gap"
    if not log:
        assert job in rows.places["unannounced"], "a job without a log"
        return
    assert log[0].kind == "job.submitted"
    states = [STATES[event.kind] for event in log if event.kind in STATES]
    for current, target in itertools.pairwise(states):
        assert can_move(current, target), f"{current} → {target} is no legal move"
    assert states[-1] == row["status"], "the log and the row disagree"
    if states[-1].finished:
        assert log[-1].kind in TERMINAL, "something came after the last word"
    starts = [event.data["attempt"] for event in log if event.kind == "job.started"]
    assert starts == list(range(1, row["attempt"] + 1)), "an attempt was given twice, or never"
    check_words(log)


def check_words(log: list[Event]) -> None:
    """Each delta begins where its channel ends, and is of the attempt that runs."""
    ends: Counter[str] = Counter()
    attempt = 0
    for event in log:
        if event.kind == "job.started":
            attempt = event.data["attempt"]
        elif event.kind == "text.delta":
            channel = event.data["channel"]
            begins = (event.data["attempt"], event.data["offset"])
            assert begins == (attempt, ends[channel]), f"a delta begins at {begins}, not at {(attempt, ends[channel])}"
            ends[channel] += len(event.data["delta"])
        elif event.kind == "attempt.reset":
            assert attempt == event.data["attempt"]
            ends.update({name: offset - ends[name] for name, offset in event.data["channels"].items()})


def check_nothing_belongs_to_nobody(rows: Rows) -> None:
    for table, found in rows.places.items():
        assert set(found) <= set(rows.jobs), f"a row in {table} of a job that is not there"
    assert {lease[1] for lease in rows.places["leases"].values()} <= rows.workers, "a lease of no worker: nobody looks"
    assert {parent for parent, _ in rows.waits} <= set(rows.places["parked"]), "a job waits for others without a park"
    assert set(rows.events) <= {*rows.jobs, *rows.batches}, "a log of nothing"
    live = {
        (row["task"], row["owner"] or "", row["key"]): job
        for job, row in rows.jobs.items()
        if row["key"] is not None and row["status"] in ("pending", "running")
    }
    assert live == rows.keys, "the keys are not those of the live jobs"


def check_streams(rows: Rows, seen: Seen) -> None:
    for owner, events in rows.owned.items():
        positions = sorted(event.position or 0 for event in events)
        assert len(positions) == len(set(positions)), f"two events of {owner} have one place"
        missing = set(range(1, rows.streams[owner] + 1)).symmetric_difference(positions)
        lost = [place for place in missing if not seen.is_of_nobody(rows, owner, place)]
        assert len(lost) <= seen.unseen[owner], f"the stream of {owner} has a gap"
    assert set(rows.owned) <= set(rows.streams)


def check_limits(rows: Rows, tasks: Mapping[str, Limit], queues: Mapping[str, Limit]) -> None:
    for column, limits in ((4, tasks), (3, queues)):
        running = Counter(lease[column] for lease in rows.places["leases"].values())
        theirs = Counter((lease[column], lease[5]) for lease in rows.places["leases"].values())
        for name, limit in limits.items():
            assert limit.concurrency is None or running[name] <= limit.concurrency, f"{name} is over its limit"
            for (scope, owner), number in theirs.items():
                if scope == name and limit.owner_concurrency is not None:
                    assert number <= limit.owner_concurrency, f"{owner!r} is over the limit of {name}"
