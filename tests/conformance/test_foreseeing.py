"""Positions and expected ends."""

from __future__ import annotations

import pytest

from backburner.domain.ids import new_id
from backburner.domain.job import NewJob
from backburner.domain.operations import (
    Cancel,
    Claim,
    Completed,
    Execution,
    FoldCounts,
    Limit,
    Outlooks,
    Parked,
    PauseQueue,
    RegisterWorker,
    SetProgress,
    Settle,
    Submit,
)
from backburner.domain.outlook import Outlook
from backburner.ports import Store
from backburner.store import foreseeing
from tests.support.clock import pass_time
from tests.support.making import claim, complete, fail, new_job, register, start, submit

NEAR = 2.0
"""Seconds that a slow machine may take for a test's own steps."""


def ask(store: Store, job: str) -> Outlook:
    return store.read_sync(Outlooks((job,))).get(job, Outlook())


def place(store: Store, job: str) -> int | None:
    return ask(store, job).position


def eta(store: Store, job: str) -> float | None:
    return ask(store, job).eta_seconds


def seconds(value: float) -> object:
    return pytest.approx(value, abs=NEAR)


def measure(store: Store, took: float, task: str = "t", **more: object) -> None:
    """A job of the task is completed after so long."""
    job = submit(store, task, priority=10, **more)
    (claimed,) = claim(store, register(store, task), 1, **{task: None})
    assert claimed.id == job
    pass_time(store, took)
    complete(store, Execution(job, claimed.attempt))


def work(store: Store, slots: int, *tasks: str, lease: float = 1e6) -> str:
    worker = new_id()
    store.write_sync(RegisterWorker(worker, lease, tasks or ("t",), slots))
    return worker


def test_positions_count_what_would_be_claimed_before(store: Store) -> None:
    first, second = submit(store, "a"), submit(store, "b")
    urgent = submit(store, "b", priority=9)
    elsewhere = submit(store, "b", queue="other")
    ahead = store.read_sync(Outlooks((first, second, urgent, elsewhere)))
    assert {urgent: 1, first: 2, second: 3, elsewhere: 1} == {job: each.position for job, each in ahead.items()}


def test_positions_follow_the_turns_of_owners(store: Store) -> None:
    many = [submit(store, owner="ann") for _ in range(3)]
    single = submit(store, owner="bob")
    assert [1, 3, 4] == [place(store, job) for job in many]
    assert place(store, single) == 2


def test_the_next_claim_takes_the_job_at_position_one(store: Store) -> None:
    jobs = [submit(store, "ab"[n % 2], owner="xyz"[n % 3], priority=n % 4 + 1) for n in range(12)]
    order = sorted(jobs, key=lambda job: place(store, job) or 0)
    assert list(range(1, 13)) == [place(store, job) for job in order]
    assert order == [each.id for each in claim(store, register(store, "a", "b"), 12, a=None, b=None)]


def test_what_does_not_wait_for_a_turn_has_no_position(store: Store) -> None:
    delayed = submit(store, delay=60.0)
    running = start(store)
    done = start(store)
    complete(store, done)
    assert [None] * 3 == [place(store, job) for job in (delayed, running.job, done.job)]
    assert ask(store, "nothing") == Outlook()


def test_a_job_set_aside_for_its_owner_counts_those_of_the_owner_before_it(store: Store) -> None:
    worker = work(store, 10)
    jobs = [submit(store, owner="ann") for _ in range(3)]
    (running,) = store.write_sync(Claim(worker, {"t": Limit(owner_concurrency=1)}, 10)).jobs
    assert running.id == jobs[0]
    assert [1, 2] == [place(store, job) for job in jobs[1:]]
    pass_time(store, 10.0)
    store.write_sync(Settle(Execution(running.id, running.attempt), Completed("null"), limited=True))
    (running,) = store.write_sync(Claim(worker, {"t": Limit(owner_concurrency=1)}, 10)).jobs
    assert (running.id, eta(store, jobs[2])) == (jobs[1], seconds(20.0))


def test_nothing_is_said_about_the_end_without_a_measurement_or_a_worker(store: Store) -> None:
    job = submit(store)
    assert eta(store, job) is None
    work(store, 1)
    assert eta(store, job) is None


def test_nothing_is_said_about_the_end_where_no_live_worker_knows_the_task(store: Store) -> None:
    measure(store, 10.0)
    work(store, 4, "else")
    pass_time(store, 60.0)
    assert eta(store, submit(store)) is None
    work(store, 1, "t", lease=5.0)
    assert eta(store, submit(store)) is not None
    pass_time(store, 6.0)
    assert eta(store, submit(store)) is None


def test_a_measurement_counts_at_once_and_after_it_was_added_up(store: Store) -> None:
    measure(store, 10.0)
    work(store, 1)
    job = submit(store)
    assert eta(store, job) == seconds(10.0)
    store.write_sync(FoldCounts())
    assert eta(store, job) == seconds(10.0)
    measure(store, 30.0)
    store.write_sync(FoldCounts())
    assert eta(store, submit(store, priority=9)) == seconds(20.0)


def test_the_end_of_a_job_that_failed_tells_nothing(store: Store) -> None:
    execution = start(store)
    pass_time(store, 10.0)
    fail(store, execution)
    work(store, 1)
    assert eta(store, submit(store)) is None


def test_a_waiting_job_waits_for_the_running_ones_and_for_those_before_it(store: Store) -> None:
    measure(store, 10.0)
    pass_time(store, 60.0)  # the worker that measured is gone
    worker = work(store, 2)
    jobs = [submit(store) for _ in range(5)]
    assert len(claim(store, worker, 2)) == 2
    pass_time(store, 4.0)
    ahead = store.read_sync(Outlooks(jobs))
    assert [seconds(each) for each in (6.0, 6.0, 16.0, 16.0, 26.0)] == [ahead[job].eta_seconds for job in jobs]


def test_the_limit_of_a_task_is_reckoned_with(store: Store) -> None:
    measure(store, 10.0)
    worker = work(store, 10)
    jobs = [submit(store) for _ in range(3)]
    assert len(claim(store, worker, 10, t=1)) == 1
    assert [seconds(10.0), seconds(20.0), seconds(30.0)] == [eta(store, job) for job in jobs]


def test_sizes_make_the_difference(store: Store) -> None:
    for size in (1.0, 5.0, 9.0):
        measure(store, 10.0 * size, size=size)
    work(store, 10)
    assert eta(store, submit(store, size=20.0)) == seconds(200.0)


def test_a_running_job_with_progress_tells_by_itself_when_it_ends(store: Store) -> None:
    execution = start(store)
    pass_time(store, 30.0)
    assert eta(store, execution.job) is None
    store.write_sync(SetProgress(execution, 75.0, ""))
    assert eta(store, execution.job) == seconds(10.0)


def test_a_delayed_job_counts_from_its_time_and_a_parked_one_not_at_all(store: Store) -> None:
    measure(store, 10.0)
    work(store, 1)
    assert eta(store, submit(store, delay=100.0)) == seconds(110.0)
    execution = start(store)
    store.write_sync(Settle(execution, Parked("answer", 50.0)))
    assert ask(store, execution.job) == Outlook()


def test_a_paused_queue_has_positions_and_no_end(store: Store) -> None:
    measure(store, 10.0)
    work(store, 1)
    job = submit(store)
    store.write_sync(PauseQueue("default", paused=True))
    assert ask(store, job) == Outlook(1, None)


def test_a_long_line_is_counted_and_reckoned(store: Store) -> None:
    measure(store, 10.0)
    pass_time(store, 60.0)
    work(store, 4)
    jobs: list[NewJob] = [new_job() for _ in range(1200)]
    store.write_sync(Submit(tuple(jobs)))
    asked = [jobs[number].id for number in (0, 599, 1199)]
    ahead = store.read_sync(Outlooks(asked))
    assert [1, 600, 1200] == [ahead[job].position for job in asked]
    assert [pytest.approx(expected, rel=0.05) for expected in (10.0, 1507.5, 3007.5)] == [
        ahead[job].eta_seconds for job in asked
    ]


def test_a_long_line_behind_busy_slots_waits_for_the_next_of_them_and_not_for_all(store: Store) -> None:
    measure(store, 100.0)
    worker = work(store, 50)
    jobs: list[NewJob] = [new_job() for _ in range(350)]
    store.write_sync(Submit(tuple(jobs)))
    assert len(claim(store, worker, 50)) == 50
    assert ask(store, jobs[-1].id) == Outlook(300, pytest.approx(100.0 * (299.5 / 50 + 1), rel=0.05))


def test_of_many_waiting_jobs_only_the_first_in_the_line_are_told(store: Store) -> None:
    jobs = [submit(store) for _ in range(25)]
    assert set(jobs[:20]) == set(store.read_sync(Outlooks(jobs)))


def test_the_rate_of_a_task_is_reckoned_with(store: Store) -> None:
    rated = {"t": Limit(rate=(2, 100.0))}
    worker = work(store, 50)
    jobs = [submit(store) for _ in range(7)]
    begun = store.write_sync(Claim(worker, rated, 50)).jobs
    assert [job.id for job in begun] == jobs[:2]
    pass_time(store, 10.0)
    for job in begun:
        store.write_sync(Settle(Execution(job.id, job.attempt), Completed("null"), limited=True))
    assert [eta(store, job) for job in jobs[2:]] == [seconds(at) for at in (100.0, 100.0, 200.0, 200.0, 300.0)]


def test_the_rate_of_a_task_is_reckoned_with_over_a_long_line(store: Store) -> None:
    rated = {"t": Limit(rate=(100, 60.0))}
    worker = work(store, 50)
    first = submit(store)
    (begun,) = store.write_sync(Claim(worker, rated, 50)).jobs
    assert begun.id == first
    pass_time(store, 1.0)
    store.write_sync(Settle(Execution(begun.id, begun.attempt), Completed("null"), limited=True))
    jobs = [new_job() for _ in range(1200)]
    store.write_sync(Submit(tuple(jobs)))
    assert eta(store, jobs[-1].id) == seconds(12 * 60.0)


def test_beyond_the_farthest_position_nothing_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreseeing, "PLAYED_OUT", 5)
    monkeypatch.setattr(foreseeing, "FARTHEST", 12)
    measure(store, 10.0)
    work(store, 4)
    urgent = [submit(store, priority=9) for _ in range(8)]
    usual = [submit(store) for _ in range(8)]
    ahead = store.read_sync(Outlooks([*urgent, *usual]))
    assert [*range(1, 13)] == [ahead[job].position for job in [*urgent, *usual[:4]]]
    assert {Outlook()} == {ahead.get(job, Outlook()) for job in usual[4:]}


def test_who_usually_comes_and_overtakes_is_reckoned_with(store: Store) -> None:
    measure(store, 10.0)
    work(store, 1)
    for _ in range(15):
        pass_time(store, 20.0)
        cancelled = submit(store, priority=9)
        store.write_sync(Cancel(cancelled, None))
    jobs = [submit(store) for _ in range(4)]
    quiet = [10.0, 20.0, 30.0, 40.0]
    told = [eta(store, job) or 0.0 for job in jobs]
    assert told[0] == seconds(quiet[0])
    assert told[3] > quiet[3] + 9.0
