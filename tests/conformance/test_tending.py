from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backburner.domain.job import Status
from backburner.domain.operations import (
    Cancel,
    Chore,
    Claim,
    Claims,
    Completed,
    CountJobs,
    Erase,
    Execution,
    ExpireWaiting,
    FoldCounts,
    FreeBlocked,
    Limit,
    ListJobs,
    OldJobs,
    OpenChores,
    Parked,
    PauseQueue,
    RaiseOld,
    Retry,
    Settle,
    Submit,
    TakeChore,
)
from backburner.ports import Store
from tests.support.clock import pass_time
from tests.support.making import claim, complete, fail, kinds, look, new_job, refusal, register, start, submit

from .conftest import Open

PATIENCE = 600.0
ONE_EACH = Limit(owner_concurrency=1)


def raise_old(store: Store) -> int:
    return store.write_sync(RaiseOld(PATIENCE, store.read_sync(OldJobs(PATIENCE))))


def order(store: Store) -> list[str]:
    return [job.id for job in claim(store, register(store), count=100)]


def claim_one_each(store: Store, worker: str) -> Claims:
    return store.write_sync(Claim(worker, {"t": ONE_EACH}, 10))


def test_a_chore_is_one_callers_until_its_interval_has_passed(open_store: Open) -> None:
    one, two = open_store(), open_store()
    assert one.write_sync(TakeChore(Chore.COUNT, 10))
    assert not two.write_sync(TakeChore(Chore.COUNT, 10))
    assert two.write_sync(TakeChore(Chore.RAISE, 10))
    pass_time(two, 11)
    assert two.write_sync(TakeChore(Chore.COUNT, 10))
    assert not one.write_sync(TakeChore(Chore.COUNT, 10))


def test_a_chore_is_taken_by_one_of_many_at_once(open_store: Open) -> None:
    stores = [open_store() for _ in range(4)]
    barrier = threading.Barrier(len(stores))

    def take(store: Store) -> int:
        barrier.wait()
        return sum(store.write_sync(TakeChore(Chore.COUNT, 60)) for _ in range(5))

    with ThreadPoolExecutor(len(stores)) as pool:
        assert sum(pool.map(take, stores)) == 1


def test_a_store_with_nothing_to_do_has_no_open_chores(store: Store) -> None:
    assert store.read_sync(OpenChores()) == frozenset()


def test_chores_are_open_where_there_is_something_to_do(store: Store) -> None:
    worker = register(store)
    submit(store, owner="ann", expires=5)
    submit(store, owner="ann")
    claim_one_each(store, worker)
    assert store.read_sync(OpenChores()) == {Chore.COUNT, Chore.UNBLOCK}
    submit(store, expires=5)
    pass_time(store, 6)
    assert store.read_sync(OpenChores()) == {Chore.COUNT, Chore.UNBLOCK, Chore.RAISE, Chore.EXPIRE}


def test_a_chore_that_was_taken_is_not_open_before_its_time(store: Store) -> None:
    submit(store)
    store.write_sync(TakeChore(Chore.COUNT, 10))
    assert store.read_sync(OpenChores()) == {Chore.RAISE}
    pass_time(store, 11)
    assert store.read_sync(OpenChores()) == {Chore.RAISE, Chore.COUNT}


def test_a_job_that_has_waited_long_overtakes_the_next_priority_and_then_the_one_after(store: Store) -> None:
    old = submit(store, owner="ann", priority=4)
    pass_time(store, PATIENCE + 1)
    five, six = submit(store, owner="bob", priority=5), submit(store, owner="bob", priority=6)
    assert raise_old(store) == 1
    assert order(store) == [six, old, five]
    older = submit(store, owner="ann", priority=4)
    pass_time(store, 2 * PATIENCE + 1)
    six, seven = submit(store, owner="cid", priority=6), submit(store, owner="cid", priority=7)
    assert raise_old(store) == 1
    assert order(store) == [seven, older, six]


def test_a_raised_job_comes_before_everything_of_its_new_rank_that_comes_later(store: Store) -> None:
    old = submit(store, priority=4)
    pass_time(store, PATIENCE + 1)
    raise_old(store)
    later = [submit(store, priority=5) for _ in range(3)]
    assert order(store) == [old, *later]


def test_a_job_is_not_raised_before_its_time_nor_twice_for_the_same_waiting(store: Store) -> None:
    submit(store, priority=4)
    pass_time(store, PATIENCE - 1)
    assert raise_old(store) == 0
    pass_time(store, 2)
    assert raise_old(store) == 1
    assert store.read_sync(OldJobs(PATIENCE)) == ()
    pass_time(store, PATIENCE)
    assert raise_old(store) == 1


def test_a_job_of_the_highest_priority_has_nowhere_to_rise(store: Store) -> None:
    submit(store, priority=10)
    pass_time(store, 100 * PATIENCE)
    submit(store, priority=9)
    assert raise_old(store) == 0


def test_raised_jobs_take_turns_among_owners(store: Store) -> None:
    """One owner's crowd that has waited long does not shut out another owner's fresh job."""
    crowd = [submit(store, owner="crowd", priority=4) for _ in range(20)]
    pass_time(store, PATIENCE + 1)
    single = submit(store, owner="single", priority=5)
    assert raise_old(store) == 20
    taken = order(store)
    assert taken.index(single) <= 1
    assert [job for job in taken if job != single] == crowd


def test_all_old_jobs_are_found_page_by_page(store: Store) -> None:
    jobs = tuple(new_job(priority=4) for _ in range(25))
    store.write_sync(Submit(jobs))
    pass_time(store, PATIENCE + 1)
    found: list[str] = []
    while page := store.read_sync(OldJobs(PATIENCE, found[-1] if found else "", limit=10)):
        found += page
    assert found == sorted(job.id for job in jobs)


def test_a_job_that_was_started_or_cancelled_meanwhile_is_not_raised(store: Store) -> None:
    running, cancelled = submit(store), submit(store)
    (taken,) = claim(store, register(store), count=1)
    assert taken.id == running
    store.write_sync(Cancel(cancelled, None))
    pass_time(store, PATIENCE + 1)
    assert store.write_sync(RaiseOld(PATIENCE, (running, cancelled, "nothing"))) == 0
    assert order(store) == []


def test_a_job_that_is_cancelled_while_it_is_raised_leaves_the_line(open_store: Open) -> None:
    one, two = open_store(), open_store()
    jobs = tuple(new_job(owner=f"o{number % 3}", priority=1) for number in range(60))
    one.write_sync(Submit(jobs))
    for store in (one, two):
        pass_time(store, PATIENCE + 1)
    barrier = threading.Barrier(2)

    def raise_all() -> None:
        barrier.wait()
        for _ in range(12):
            raise_old(one)
            pass_time(one, PATIENCE)

    def cancel_all() -> None:
        barrier.wait()
        for job in jobs:
            two.write_sync(Cancel(job.id, None))

    with ThreadPoolExecutor(2) as pool:
        for each in (pool.submit(raise_all), pool.submit(cancel_all)):
            each.result()
    assert order(one) == []
    assert {look(one, job.id).status for job in jobs} == {Status.CANCELLED}


def test_a_job_set_aside_whose_wake_up_was_lost_comes_back(store: Store) -> None:
    worker = register(store)
    first, second = submit(store, owner="ann"), submit(store, owner="ann")
    (taken,) = claim_one_each(store, worker).jobs
    assert look(store, second).waiting_for == "limit"
    assert store.write_sync(FreeBlocked()) == 0
    store.write_sync(Settle(Execution(first, taken.attempt), Completed("null"), limited=False))
    assert claim_one_each(store, worker).jobs == ()
    assert store.write_sync(FreeBlocked()) == 1
    assert [job.id for job in claim_one_each(store, worker).jobs] == [second]


@pytest.mark.parametrize("of", ["task", "queue"])
def test_a_raised_limit_brings_back_as_many_as_fit(store: Store, of: str) -> None:
    worker = register(store)
    jobs = [submit(store, owner=owner) for owner in ("ann", "bob") for _ in range(6)]

    def limits(most: int | None) -> tuple[dict[str, Limit], dict[str, Limit]]:
        limit = Limit(owner_concurrency=most)
        return ({"t": limit}, {}) if of == "task" else ({"t": Limit()}, {"default": limit})

    def claimed(most: int | None) -> int:
        tasks, queues = limits(most)
        return len(store.write_sync(Claim(worker, tasks, 20, queues)).jobs)

    assert 2 == claimed(1)
    assert 0 == store.write_sync(FreeBlocked(*limits(1)))
    assert 6 == store.write_sync(FreeBlocked(*limits(4)))
    assert 6 == claimed(4)
    assert 0 == claimed(4)
    if of == "task":
        assert 4 == store.write_sync(FreeBlocked(*limits(None))), "a limit that was taken away"
        assert 4 == claimed(None)
        assert {Status.RUNNING} == {look(store, job).status for job in jobs}


def test_bringing_back_does_not_break_a_limit(store: Store) -> None:
    worker = register(store)
    for _ in range(4):
        submit(store, owner="ann")
    assert len(claim_one_each(store, worker).jobs) == 1
    for _ in range(3):
        store.write_sync(FreeBlocked())
        assert claim_one_each(store, worker).jobs == ()


def test_what_waits_too_long_fails_wherever_it_waits(store: Store) -> None:
    worker = register(store)
    running = submit(store, owner="ann", expires=5)
    blocked = submit(store, owner="ann", expires=5)
    (taken,) = claim_one_each(store, worker).jobs
    assert taken.id == running
    assert look(store, blocked).waiting_for == "limit"
    delayed = submit(store, delay=60, expires=5)
    ready = submit(store, expires=5)
    paused = submit(store, queue="paused", expires=5)
    store.write_sync(PauseQueue("paused", True))
    patient = submit(store, expires=60)
    unhurried = submit(store)
    pass_time(store, 6)
    assert store.write_sync(ExpireWaiting()) == 4
    for job in (blocked, delayed, ready, paused):
        record = look(store, job)
        assert record.error is not None
        assert (record.status, record.error.type, kinds(store, job)[-1]) == (Status.FAILED, "expired", "job.failed")
    assert look(store, running).status is Status.RUNNING
    assert {look(store, job).status for job in (patient, unhurried)} == {Status.PENDING}
    assert store.write_sync(ExpireWaiting()) == 0
    complete(store, Execution(running, taken.attempt))


def test_a_job_that_was_started_once_does_not_expire(store: Store) -> None:
    """Neither while it waits for its next try, nor parked."""
    again, parked = start(store, expires=5, max_tries=2), start(store, expires=5)
    fail(store, again, retry_after=60)
    store.write_sync(Settle(parked, Parked("answer")))
    pass_time(store, 6)
    assert store.write_sync(ExpireWaiting()) == 0
    assert {look(store, job).status for job in (again.job, parked.job)} == {Status.PENDING}


def test_an_expired_job_that_somebody_runs_again_waits_as_long_as_it_takes(store: Store) -> None:
    job = submit(store, expires=5)
    pass_time(store, 6)
    assert store.write_sync(ExpireWaiting()) == 1
    store.write_sync(Retry(job, None))
    assert look(store, job).expires_at is None
    assert store.write_sync(ExpireWaiting()) == 0
    assert order(store) == [job]


@pytest.fixture
def two(open_store: Open) -> tuple[Store, Store]:
    return open_store(), open_store()


COUNTED = st.lists(
    st.tuples(
        st.sampled_from(["submit", "claim", "complete", "fail", "cancel", "retry", "erase", "fold", "fold"]),
        st.integers(0, 1),
        st.sampled_from(["ann", "bob", None]),
        st.sampled_from(["a", "b"]),
    ),
    max_size=40,
)


def sums(store: Store) -> dict[tuple[str, str], int]:
    return {(each.task, each.status.value): each.jobs for each in store.read_sync(CountJobs()) if each.jobs}


def truth(store: Store) -> dict[tuple[str, str], int]:
    return dict(Counter((each.task, each.status.value) for each in store.read_sync(ListJobs(limit=10_000))))


@given(script=COUNTED)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_counters_are_right_however_they_are_added_up(
    two: tuple[Store, Store], script: list[tuple[str, int, str, str]]
) -> None:
    worker = register(two[0], "a", "b")
    held: list[Execution] = []
    for action, number, owner, task in script:
        store = two[number]
        match action:
            case "submit":
                submit(store, task, owner=owner)
            case "claim":
                held += [Execution(job.id, job.attempt) for job in claim(store, worker, count=1, a=None, b=None)]
            case "complete" if held:
                complete(store, held.pop())
            case "fail" if held:
                fail(store, held.pop(0))
            case "fold":
                store.write_sync(FoldCounts())
            case "cancel" | "retry" | "erase":
                refusal(partial(change_newest, store, task, {"cancel": Cancel, "retry": Retry, "erase": Erase}[action]))
        assert truth(store) == sums(store)


def change_newest(store: Store, task: str, operation: Any) -> None:
    for job in store.read_sync(ListJobs(limit=1, task=task)):
        store.write_sync(operation(job.id, None))


def test_counters_are_right_while_two_stores_add_them_up_and_others_change_them(open_store: Open) -> None:
    stores = [open_store() for _ in range(4)]
    changing = threading.Event()
    barrier = threading.Barrier(4)

    def change(store: Store) -> None:
        worker = register(store)
        barrier.wait()
        for number in range(30):
            store.write_sync(Submit(tuple(new_job(owner=f"o{number % 3}") for _ in range(5))))
            for job in claim(store, worker, count=4):
                complete(store, Execution(job.id, job.attempt))

    def fold(store: Store) -> None:
        barrier.wait()
        while not changing.is_set():
            store.write_sync(FoldCounts())

    with ThreadPoolExecutor(4) as pool:
        folding = [pool.submit(fold, store) for store in stores[2:]]
        for each in [pool.submit(change, store) for store in stores[:2]]:
            each.result()
        changing.set()
        for each in folding:
            each.result()
    assert truth(stores[0]) == sums(stores[0])
    while stores[0].write_sync(FoldCounts()):
        pass
    assert truth(stores[0]) == sums(stores[0])
