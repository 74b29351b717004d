"""A job whose work waits for itself fails: nobody else would ever wake it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from backburner.domain.job import Status
from backburner.domain.operations import Claim, Completed, Execution, Limit, Parked, Settle
from backburner.ports import Store
from tests.support.making import complete, fail, look, register, start, submit
from tests.support.sharing import put, take

from .conftest import Open


def park(store: Store, execution: Execution, *children: str, **more: float) -> Status:
    return store.write_sync(Settle(execution, Parked("child", more.get("seconds"), children)))


def begin(store: Store, work: str) -> Execution:
    """A task of that name shares the work and is executed."""
    put(store, work, task=work)
    return executed(store, work)


def executed(store: Store, task: str) -> Execution:
    (claimed,) = store.write_sync(Claim(register(store, task), {task: Limit()}, 1)).jobs
    return Execution(claimed.id, claimed.attempt)


def failure(store: Store, job: str) -> str | None:
    error = look(store, job).error
    return error.type if error is not None else None


def test_shared_work_that_waits_for_a_submit_of_itself_fails_for_all(store: Store) -> None:
    outer = put(store)
    execution = take(store)
    inner = put(store, parent=execution.job)
    assert park(store, execution, inner) is Status.FAILED
    assert [failure(store, job) for job in (outer, inner)] == ["waits_for_itself"] * 2
    take_again = put(store)
    complete(store, take(store))
    assert look(store, take_again).status is Status.COMPLETED


def test_the_child_whose_wait_closes_the_circle_fails_and_its_parent_hears_of_it(store: Store) -> None:
    put(store, task="cached")
    execution = executed(store, "cached")
    child = start(store, "plain", parent=execution.job)
    inner = put(store, task="cached", parent=child.job)
    assert park(store, execution, child.job) is Status.PENDING
    assert park(store, child, inner) is Status.FAILED
    assert failure(store, child.job) == "waits_for_itself"
    assert look(store, inner).waiting_for == "turn"


def test_two_works_that_wait_for_each_other_are_found(store: Store) -> None:
    one, other = begin(store, "one"), begin(store, "other")
    for_other, for_one = put(store, "other", parent=one.job), put(store, "one", parent=other.job)
    assert park(store, one, for_other) is Status.PENDING
    assert park(store, other, for_one) is Status.FAILED
    assert failure(store, for_other) == "waits_for_itself"


async def test_they_are_found_in_one_commit_too(store: Store) -> None:
    one, other = begin(store, "one"), begin(store, "other")
    for_other, for_one = put(store, "other", parent=one.job), put(store, "one", parent=other.job)
    settled = [
        store.write(Settle(one, Parked("child", None, (for_other,)))),
        store.write(Settle(other, Parked("child", None, (for_one,)))),
    ]
    assert [await each for each in settled] == [Status.PENDING, Status.FAILED]


def test_they_are_found_when_two_stores_park_them_at_once(open_store: Open) -> None:
    stores = [open_store(), open_store()]
    for number in range(10):
        works = f"one{number}", f"other{number}"
        one, other = (begin(stores[0], work) for work in works)
        for_other, for_one = (put(stores[0], work) for work in reversed(works))
        with ThreadPoolExecutor(2) as pool:
            settled = list(pool.map(park, stores, (one, other), (for_other, for_one)))
        assert sorted(settled) == [Status.FAILED, Status.PENDING]


def test_a_job_that_waits_for_itself_is_found_without_shared_work(store: Store) -> None:
    execution = start(store)
    assert park(store, execution, execution.job) is Status.FAILED
    assert failure(store, execution.job) == "waits_for_itself"


def test_a_wait_that_ends_by_itself_is_no_circle(store: Store) -> None:
    put(store)
    execution = take(store)
    inner = put(store, parent=execution.job)
    assert park(store, execution, inner, seconds=60.0) is Status.PENDING
    assert look(store, inner).waiting_for == "child"


def test_many_may_wait_for_the_same_work(store: Store) -> None:
    parents = [start(store, f"parent{number}") for number in range(2)]
    children = [put(store, parent=parent.job) for parent in parents]
    for parent, child in zip(parents, children, strict=True):
        assert park(store, parent, child) is Status.PENDING
    execution = take(store)
    grandchild = start(store, "grandchild", parent=execution.job)
    assert park(store, execution, grandchild.job) is Status.PENDING
    complete(store, grandchild)
    store.write_sync(Settle(take(store), Completed("1")))
    assert [look(store, parent.job).waiting_for for parent in parents] == ["turn"] * 2


def test_work_that_has_ended_is_waited_for_by_nobody(store: Store) -> None:
    outer = put(store)
    execution = take(store)
    fail(store, execution)
    assert look(store, outer).status is Status.FAILED
    parent = start(store, "parent")
    child = submit(store, "child", parent=parent.job)
    assert park(store, parent, outer, child) is Status.PENDING
