"""At most one live job of an owner and task has a key."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from backburner.domain.errors import DuplicateJob, IllegalTransition
from backburner.domain.job import JobError, NewJob, Status
from backburner.domain.operations import (
    Cancel,
    Completed,
    Erase,
    Execution,
    ExpireWaiting,
    Failed,
    FailUnknown,
    Interrupted,
    ListJobs,
    Parked,
    Released,
    Rescue,
    Retry,
    Settle,
    Submit,
)
from backburner.ports import Store
from tests.support.making import claim, complete, kinds, log_of, look, new_job, register

from .conftest import Open

End = Callable[[Store, str], None]


def keyed(**more: object) -> NewJob:
    return new_job(**{"key": "k", "owner": "ann", **more})


def settle(store: Store, job: str, outcome: object) -> None:
    (claimed,) = claim(store, register(store))
    assert claimed.id == job
    store.write_sync(Settle(Execution(job, claimed.attempt), outcome))  # type: ignore[arg-type]


def holder(store: Store, **more: object) -> str:
    """The job that answers a submit with the key."""
    job = keyed(**more)
    found = store.write_sync(Submit((job,))).instead.get(job.id)
    return job.id if found is None else found.id


def test_a_submit_whose_key_a_live_job_has_is_answered_with_that_job(store: Store) -> None:
    first, second = keyed(args='{"n":1}'), keyed(args='{"n":2}')
    assert store.write_sync(Submit((first,))).instead == {}
    instead = store.write_sync(Submit((second,))).instead[second.id]
    assert (instead, instead.args) == (look(store, first.id), {"n": 1})
    assert [job.id for job in store.read_sync(ListJobs())] == [first.id]
    assert kinds(store, first.id) == ["job.submitted"]


def test_a_running_job_keeps_its_key(store: Store) -> None:
    job = holder(store)
    claim(store, register(store))
    assert holder(store) == job


def test_another_owner_task_or_key_is_another_job(store: Store) -> None:
    jobs = [keyed(), keyed(owner="bob"), keyed(owner=None), keyed(task="u"), keyed(key="K")]
    for job in jobs:
        assert store.write_sync(Submit((job,))).instead == {}


def test_jobs_without_an_owner_share_their_keys(store: Store) -> None:
    assert holder(store, owner=None) == holder(store, owner=None)


def give_up(store: Store, job: str) -> None:
    worker = register(store)
    claim(store, worker)
    store.write_sync(Rescue((worker,), False, 1))


def forget_task(store: Store, job: str) -> None:
    store.write_sync(FailUnknown(0.0))
    store.write_sync(FailUnknown(0.0))


ENDS: dict[str, End] = {
    "completed": lambda store, job: settle(store, job, Completed("1")),
    "failed": lambda store, job: settle(store, job, Failed(JobError("x", "X", "x"), None)),
    "interrupted": lambda store, job: settle(store, job, Interrupted()),
    "cancelled while it waited": lambda store, job: store.write_sync(Cancel(job, None)) and None,
    "its worker died too often": give_up,
    "nobody knows its task": forget_task,
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_a_key_is_free_again_however_its_job_ends(store: Store, end: End) -> None:
    job = holder(store)
    end(store, job)
    assert look(store, job).status.finished
    assert holder(store) != job


def test_a_key_is_free_again_when_its_job_came_too_late(store: Store) -> None:
    job = holder(store, expires=1e-6)
    store.write_sync(ExpireWaiting())
    assert look(store, job).status is Status.FAILED
    assert holder(store) != job


STAYS: dict[str, object] = {
    "tried again": Failed(JobError("x", "X", "x"), 60.0),
    "given back": Released(),
    "parked": Parked("answer"),
}


@pytest.mark.parametrize("outcome", STAYS.values(), ids=STAYS)
def test_a_job_that_goes_on_keeps_its_key(store: Store, outcome: object) -> None:
    job = holder(store)
    settle(store, job, outcome)
    assert holder(store) == job


def test_a_job_that_is_run_again_takes_its_key_again(store: Store) -> None:
    job = holder(store)
    store.write_sync(Cancel(job, None))
    store.write_sync(Retry(job, None))
    assert holder(store) == job


def test_a_job_is_not_run_again_while_another_has_its_key(store: Store) -> None:
    first = holder(store)
    store.write_sync(Cancel(first, None))
    second = holder(store)
    with pytest.raises(IllegalTransition, match="key 'k'"):
        store.write_sync(Retry(first, None))
    assert look(store, first).status is Status.CANCELLED
    assert kinds(store, first) == ["job.submitted", "job.cancelled"]
    store.write_sync(Cancel(second, None))
    assert store.write_sync(Retry(first, None)).status is Status.PENDING


def test_erasing_an_ended_job_does_not_free_the_key_of_another(store: Store) -> None:
    first = holder(store)
    store.write_sync(Cancel(first, None))
    second = holder(store)
    store.write_sync(Erase(first, None))
    assert holder(store) == second


def test_two_of_one_submit_with_one_key_are_one_job(store: Store) -> None:
    first, second = keyed(args='{"n":1}'), keyed(args='{"n":2}')
    instead = store.write_sync(Submit((first, second))).instead
    assert [job.id for job in store.read_sync(ListJobs())] == [first.id]
    assert list(instead) == [second.id]
    assert (instead[second.id].id, instead[second.id].args) == (first.id, {"n": 1})


async def test_two_submits_with_one_key_that_are_committed_together_are_one_job(store: Store) -> None:
    jobs = [keyed() for _ in range(20)]
    answers = [store.write(Submit((job,))) for job in jobs]
    found = [(await answer).instead.get(job.id) for job, answer in zip(jobs, answers, strict=True)]
    assert found[0] is None
    assert {record.id for record in found[1:] if record is not None} == {jobs[0].id}
    assert [job.id for job in await store.read(ListJobs())] == [jobs[0].id]


def test_a_second_job_is_refused_where_the_task_wants_none(store: Store) -> None:
    first = holder(store, reject=True)
    with pytest.raises(DuplicateJob, match="has not ended") as refused:
        store.write_sync(Submit((keyed(reject=True),)))
    assert refused.value.job == first
    claimed = claim(store, register(store))[0]
    complete(store, Execution(first, claimed.attempt))
    assert holder(store, reject=True) != first


def test_a_refused_submit_of_several_leaves_no_key_behind(store: Store) -> None:
    holder(store, key="taken", reject=True)
    with pytest.raises(DuplicateJob):
        store.write_sync(Submit((keyed(key="free", reject=True), keyed(key="taken", reject=True))))
    assert len(store.read_sync(ListJobs())) == 1
    job = keyed(key="free", reject=True)
    assert store.write_sync(Submit((job,))).instead == {}


def test_two_of_one_submit_with_one_key_are_refused_where_the_task_wants_none(store: Store) -> None:
    first, second = keyed(reject=True), keyed(reject=True)
    with pytest.raises(DuplicateJob) as refused:
        store.write_sync(Submit((first, second)))
    assert refused.value.job == first.id
    assert store.read_sync(ListJobs()) == ()
    assert holder(store, reject=True) not in (first.id, second.id)


async def test_a_refusal_harms_no_other_submit_of_its_commit(store: Store) -> None:
    jobs = [keyed(reject=True), keyed(reject=True), new_job(), keyed(key="other", reject=True)]
    refused = []
    for job, answer in [(job, store.write(Submit((job,)))) for job in jobs]:
        try:
            await answer
        except DuplicateJob:
            refused.append(job.id)
    assert refused == [jobs[1].id]
    assert len(await store.read(ListJobs())) == 3


def test_concurrent_submits_of_one_key_from_two_stores_are_one_job_at_a_time(open_store: Open) -> None:
    stores = [open_store(), open_store()]
    barrier = threading.Barrier(8)

    def submit_many(number: int) -> list[str]:
        found = []
        for n in range(20):
            barrier.wait()
            found.append(holder(stores[number % 2], key=f"k{n}"))
        return found

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(submit_many, range(8)))
    assert all(answer == answers[0] for answer in answers)
    assert {job.id for job in stores[0].read_sync(ListJobs(limit=100))} == set(answers[0])


def test_a_key_that_is_given_back_while_others_ask_for_it_is_never_held_by_two(open_store: Open) -> None:
    """The job of a key ends while two stores submit with it: whoever is not answered with a job has a live one."""
    stores = [open_store(), open_store()]
    worker = register(stores[0])
    done = threading.Event()

    def finish_all() -> None:
        while not done.is_set():
            for each in claim(stores[0], worker):
                complete(stores[0], Execution(each.id, each.attempt))

    def submit_many(store: Store) -> None:
        for _ in range(60):
            holder(store)

    finisher = threading.Thread(target=finish_all)
    finisher.start()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(submit_many, stores * 2))
    done.set()
    finisher.join()
    for job in stores[0].read_sync(ListJobs(limit=1000)):
        if not job.status.finished:
            stores[0].write_sync(Cancel(job.id, None))
    log = sorted(
        (event.position or 0, event.kind, event.job)
        for job in stores[0].read_sync(ListJobs(limit=1000))
        for event in log_of(stores[0], job.id)
    )
    alive: set[str] = set()
    for _, kind, job in log:
        if kind == "job.submitted":
            alive.add(job)
        elif kind in ("job.completed", "job.cancelled"):
            alive.discard(job)
        assert len(alive) <= 1
