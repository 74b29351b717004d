"""Parked jobs that wait for others, and what a cancelled job takes with it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from backburner.domain.errors import DuplicateJob
from backburner.domain.job import Status
from backburner.domain.operations import (
    Cancel,
    CancelRequests,
    Completed,
    Erase,
    Execution,
    ListJobs,
    Parked,
    Retry,
    Settle,
    SubmitStep,
)
from backburner.ports import Store
from tests.support.making import claim, complete, fail, kinds, look, new_job, refusal, register, start, submit

from .conftest import Open


def park(store: Store, execution: Execution, *children: str, seconds: float | None = None) -> None:
    assert store.write_sync(Settle(execution, Parked("child", seconds, children))) is Status.PENDING


def run(store: Store, job: str, task: str = "child") -> Execution:
    (claimed,) = [each for each in claim(store, register(store, task), **{task: None}) if each.id == job]
    return Execution(job, claimed.attempt)


def test_a_job_that_waits_for_another_goes_on_when_that_has_ended(store: Store) -> None:
    parent = start(store)
    child = submit(store, "child")
    park(store, parent, child)
    record = look(store, parent.job)
    assert (record.status, record.waiting_for, record.tries) == (Status.PENDING, "child", 0)
    worker = register(store)
    assert claim(store, worker) == []
    complete(store, run(store, child))
    (again,) = claim(store, worker)
    assert (again.id, again.attempt, again.tries) == (parent.job, 2, 0)


def test_a_job_that_waits_for_several_goes_on_when_all_are_completed(store: Store) -> None:
    parent = start(store)
    children = [submit(store, "child") for _ in range(3)]
    park(store, parent, *children)
    claimed = claim(store, register(store, "child"), child=None)
    for each in claimed[:2]:
        complete(store, Execution(each.id, each.attempt))
        assert look(store, parent.job).waiting_for == "child"
    complete(store, Execution(claimed[2].id, claimed[2].attempt))
    assert look(store, parent.job).waiting_for == "turn"


def test_the_first_of_several_that_fails_wakes_who_waits(store: Store) -> None:
    parent = start(store)
    first, second = submit(store, "child"), submit(store, "child")
    park(store, parent, first, second)
    claimed = claim(store, register(store, "child"), 1, child=None)
    fail(store, Execution(claimed[0].id, 1))
    assert look(store, parent.job).waiting_for == "turn"
    (again,) = claim(store, register(store))
    assert again.id == parent.job
    store.write_sync(Settle(Execution(again.id, again.attempt), Parked("child", None, (second,))))
    store.write_sync(Cancel(second, None))
    assert look(store, parent.job).waiting_for == "turn"


def test_a_retry_of_the_child_is_no_end(store: Store) -> None:
    parent = start(store)
    child = submit(store, "child", max_tries=2)
    park(store, parent, child)
    fail(store, run(store, child), retry_after=0)
    assert look(store, parent.job).waiting_for == "child"
    complete(store, run(store, child))
    assert look(store, parent.job).waiting_for == "turn"


def test_a_child_that_has_ended_before_the_park_is_not_waited_for(store: Store) -> None:
    parent = start(store)
    child = submit(store, "child")
    complete(store, run(store, child))
    park(store, parent, child)
    assert look(store, parent.job).waiting_for == "turn"


def test_a_child_that_is_gone_is_not_waited_for(store: Store) -> None:
    parent = start(store)
    gone, child = submit(store, "child"), submit(store, "child")
    store.write_sync(Cancel(gone, None))
    store.write_sync(Erase(gone, None))
    park(store, parent, gone, child)
    assert look(store, parent.job).waiting_for == "turn"


def test_time_ends_a_wait_too_and_the_child_is_forgotten(store: Store) -> None:
    parent = start(store)
    child = submit(store, "child")
    park(store, parent, child, seconds=0)
    worker = register(store)
    (again,) = claim(store, worker)
    assert again.id == parent.job
    complete(store, run(store, child))
    assert look(store, parent.job).status is Status.RUNNING


def test_many_may_wait_for_one(store: Store) -> None:
    child = submit(store, "child")
    parents = [start(store) for _ in range(3)]
    for parent in parents:
        park(store, parent, child)
    complete(store, run(store, child))
    assert {each.id for each in claim(store, register(store))} == {parent.job for parent in parents}


@pytest.mark.parametrize("ended", ["completed", "cancelled"])
def test_a_park_and_the_end_it_waits_for_at_once_lose_no_wake_up(open_store: Open, ended: str) -> None:
    stores = open_store(), open_store()
    for _ in range(15):
        parent = start(stores[0])
        child = submit(stores[0], "child")
        running = run(stores[0], child)
        barrier = threading.Barrier(2)

        def settle(store: Store, parent: Execution = parent, child: str = child, barrier=barrier) -> None:  # type: ignore[no-untyped-def]
            barrier.wait()
            park(store, parent, child)

        def end(store: Store, running: Execution = running, child: str = child, barrier=barrier) -> None:  # type: ignore[no-untyped-def]
            barrier.wait()
            if ended == "cancelled":
                store.write_sync(Cancel(child, None))
            store.write_sync(Settle(running, Completed("1")))

        with ThreadPoolExecutor(2) as pool:
            for future in [pool.submit(settle, stores[0]), pool.submit(end, stores[1])]:
                future.result()
        assert look(stores[0], parent.job).waiting_for == "turn"
        (again,) = claim(stores[0], register(stores[0]))
        complete(stores[0], Execution(again.id, again.attempt))


def test_the_ends_of_two_children_at_once_wake_their_parent_once(open_store: Open) -> None:
    stores = open_store(), open_store()
    for _ in range(15):
        parent = start(stores[0])
        children = [submit(stores[0], "child") for _ in range(2)]
        claimed = claim(stores[0], register(stores[0], "child"), child=None)
        park(stores[0], parent, *children)
        barrier = threading.Barrier(2)

        def end(store: Store, job: str, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            complete(store, Execution(job, 1))

        with ThreadPoolExecutor(2) as pool:
            for future in [pool.submit(end, stores[n], claimed[n].id) for n in (0, 1)]:
                future.result()
        (again,) = claim(stores[0], register(stores[0]))
        assert again.id == parent.job
        complete(stores[0], Execution(again.id, again.attempt))


def test_a_cancelled_job_takes_what_it_has_submitted_with_it(store: Store) -> None:
    parent = start(store)
    waiting, running, alone = (
        submit(store, "child", parent=parent.job),
        submit(store, "runs", parent=parent.job),
        submit(store, "child"),
    )
    grandchild = submit(store, "child", parent=waiting)
    worker = register(store, "runs")
    claim(store, worker, runs=None)
    park(store, parent, waiting, running)
    assert store.write_sync(Cancel(parent.job, None)).status is Status.CANCELLED
    assert [look(store, job).status for job in (waiting, grandchild, alone)] == ["cancelled", "cancelled", "pending"]
    assert store.read_sync(CancelRequests(worker)) == (running,)
    assert kinds(store, waiting) == ["job.submitted", "job.cancelled"]


def test_what_a_running_job_submits_after_it_was_asked_to_stop_ends_with_it(store: Store) -> None:
    parent = start(store)
    early = submit(store, "child", parent=parent.job)
    store.write_sync(Cancel(parent.job, None))
    assert look(store, early).status is Status.CANCELLED
    late = submit(store, "child", parent=parent.job)
    complete(store, parent)
    assert [look(store, job).status for job in (parent.job, late)] == ["cancelled", "cancelled"]


def test_what_a_completed_or_failed_job_has_submitted_goes_on(store: Store) -> None:
    parent, failing = start(store), start(store, "other")
    children = submit(store, "child", parent=parent.job), submit(store, "child", parent=failing.job)
    complete(store, parent)
    fail(store, failing)
    assert [look(store, child).status for child in children] == ["pending", "pending"]


@pytest.mark.parametrize("ended", ["completed", "cancelled"])
def test_a_cancel_of_a_job_that_has_ended_takes_nothing_with_it(store: Store, ended: str) -> None:
    """Also not what it left running, or what somebody has sent round again since."""
    parent = start(store)
    child = submit(store, "child", parent=parent.job)
    if ended == "completed":
        complete(store, parent)
    else:
        park(store, parent, child)
        store.write_sync(Cancel(parent.job, None))
        store.write_sync(Retry(child, None))
    assert store.write_sync(Cancel(parent.job, None)).status == ended
    assert look(store, child).status is Status.PENDING


def test_a_cancelled_parked_job_that_is_run_again_waits_for_nobody(store: Store) -> None:
    parent = start(store)
    child = submit(store, "child")
    park(store, parent, child)
    store.write_sync(Cancel(parent.job, None))
    store.write_sync(Retry(parent.job, None))
    (again,) = claim(store, register(store))
    complete(store, run(store, child))
    assert look(store, parent.job).status is Status.RUNNING
    complete(store, Execution(again.id, again.attempt))


def test_cancels_of_parents_and_ends_of_children_at_once_end_everything(open_store: Open) -> None:
    stores = open_store(), open_store()
    for _ in range(15):
        parent = start(stores[0])
        children = [submit(stores[0], "child", parent=parent.job) for _ in range(4)]
        claimed = claim(stores[0], register(stores[0], "child"), child=None)
        park(stores[0], parent, *children)
        barrier = threading.Barrier(3)

        def cancel(barrier: threading.Barrier = barrier, parent: Execution = parent) -> None:
            barrier.wait()
            stores[0].write_sync(Cancel(parent.job, None))

        def end(first: int, barrier: threading.Barrier = barrier, claimed=claimed) -> None:  # type: ignore[no-untyped-def]
            barrier.wait()
            for each in claimed[first : first + 2]:
                complete(stores[1], Execution(each.id, each.attempt))

        with ThreadPoolExecutor(3) as pool:
            for future in [pool.submit(cancel), pool.submit(end, 0), pool.submit(end, 2)]:
                future.result()
        assert all(look(stores[0], child).status.finished for child in children)
        assert look(stores[0], parent.job).status in (Status.CANCELLED, Status.PENDING)
        for each in claim(stores[0], register(stores[0])):
            complete(stores[0], Execution(each.id, each.attempt))


def test_a_submit_inside_a_run_is_on_disk_with_its_step_or_not_at_all(store: Store) -> None:
    parent = start(store)
    child = new_job("child", parent=parent.job, key="k")
    store.write_sync(SubmitStep(parent, "submit", 0, "key", (child,)))
    store.write_sync(SubmitStep(parent, "submit", 0, "key", (child,)))
    assert [job.id for job in store.read_sync(ListJobs(task="child"))] == [child.id]
    same = store.write_sync(SubmitStep(parent, "submit", 1, "key", (new_job("child", key="k"),)))
    assert [record.id for record in same.instead.values()] == [child.id]
    refused = SubmitStep(parent, "submit", 2, "key", (new_job("child", key="k", reject=True),))
    assert refusal(lambda: store.write_sync(refused)) is DuplicateJob
    assert kinds(store, parent.job).count("step.completed") == 2
    park(store, parent)
    worker = register(store)
    store.write_sync(Cancel(parent.job, None))
    store.write_sync(Retry(parent.job, None))
    (again,) = claim(store, worker)
    assert [(step.occurrence, step.value) for step in again.steps] == [(n, f'["{child.id}"]') for n in (0, 1)]
