from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from backburner.domain.errors import IllegalTransition, JobNotFound, LeaseLost, StoreUnavailable
from backburner.domain.job import NewJob, Status
from backburner.domain.operations import (
    Cancel,
    Claim,
    Erase,
    Execution,
    GetJob,
    ListJobs,
    SetProgress,
    Submit,
    Transact,
)
from backburner.ports import Store
from tests.support.making import claim, kinds, log_of, look, new_job, refusal, register, start, submit

from .conftest import Open


def test_a_submit_answers_when_the_job_was_created(store: Store) -> None:
    job = new_job()
    assert store.write_sync(Submit((job,))).at == look(store, job.id).created_at


def test_a_submit_whose_job_exists_leaves_it_as_it_is(store: Store) -> None:
    job = new_job(args='{"n":1}')
    store.write_sync(Submit((job,)))
    claim(store, register(store))
    store.write_sync(Submit((NewJob(job.id, "t", '{"n":2}'),)))
    record = look(store, job.id)
    assert (record.status, record.args) == (Status.RUNNING, {"n": 1})
    assert kinds(store, job.id) == ["job.submitted", "job.started"]
    assert claim(store, register(store)) == []


def test_a_replayed_submit_of_several_adds_only_what_is_not_there(store: Store) -> None:
    old, new = new_job(), new_job()
    store.write_sync(Submit((old,)))
    store.write_sync(Submit((old, new)))
    assert {job.id for job in store.read_sync(ListJobs())} == {old.id, new.id}
    assert kinds(store, new.id) == kinds(store, old.id) == ["job.submitted"]


def test_the_jobs_of_one_submit_are_stored_all_or_none(store: Store) -> None:
    good, bad = new_job(), new_job(id="\udc80")
    with pytest.raises(UnicodeEncodeError):
        store.write_sync(Submit((good, bad)))
    assert store.read_sync(ListJobs()) == ()


async def test_one_bad_operation_harms_no_other_that_is_committed_with_it(store: Store) -> None:
    existing = new_job()
    await store.write(Submit((existing,)))
    jobs = [new_job(owner="ann") for _ in range(30)]
    bad = new_job(id="\udc80")
    operations = [Submit((job,)) for job in [*jobs[:10], bad, *jobs[10:20], existing, *jobs[20:]]]
    answers = await asyncio.gather(*[store.write(each) for each in operations], return_exceptions=True)
    failed = [answer for answer in answers if isinstance(answer, BaseException)]
    assert [type(error) for error in failed] == [UnicodeEncodeError]
    found = {job.id for job in await store.read(ListJobs(limit=100))}
    assert found == {existing.id, *(job.id for job in jobs)}
    positions = [log_of(store, job.id)[0].position for job in jobs]
    assert sorted(position or 0 for position in positions) == list(range(1, 31))


async def test_refusals_of_every_kind_harm_no_other_that_is_committed_with_them(store: Store) -> None:
    execution = await asyncio.to_thread(start, store)
    fresh = [new_job() for _ in range(3)]
    answers = await asyncio.gather(
        store.write(Submit((fresh[0],))),
        store.write(Cancel("nothing", None)),
        store.write(SetProgress(Execution(execution.job, 9), 1.0, "")),
        store.write(Submit((fresh[1],))),
        store.write(SetProgress(execution, float("nan"), "")),
        store.write(Erase(execution.job, None)),
        store.write(SetProgress(execution, 5.0, "")),
        store.write(Submit((fresh[2],))),
        return_exceptions=True,
    )
    kinds = [type(each).__name__ if isinstance(each, BaseException) else "done" for each in answers]
    refused = [JobNotFound.__name__, LeaseLost.__name__, "done", "InvalidArguments", IllegalTransition.__name__]
    assert kinds == ["done", *refused, "done", "done"]
    assert look(store, execution.job).percent == 5.0
    assert [event.seq for event in log_of(store, execution.job)] == [1, 2, 3]
    for job in fresh:
        assert look(store, job.id).status is Status.PENDING


def test_a_stores_users_may_be_any_threads_and_event_loops(store: Store) -> None:
    barrier = threading.Barrier(8)

    def from_a_thread(number: int) -> list[str]:
        barrier.wait()
        return [submit(store, owner="ann") for _ in range(20)]

    def from_a_loop(number: int) -> list[str]:
        async def many() -> list[str]:
            jobs = [new_job(owner="ann") for _ in range(20)]
            await asyncio.gather(*[store.write(Submit((job,))) for job in jobs])
            return [job.id for job in jobs]

        barrier.wait()
        return asyncio.run(many())

    with ThreadPoolExecutor(8) as pool:
        made = [*pool.map(lambda n: (from_a_thread if n % 2 else from_a_loop)(n), range(8))]
    jobs = [job for each in made for job in each]
    assert {job.id for job in store.read_sync(ListJobs(limit=1000))} == set(jobs)
    positions = sorted(log_of(store, job)[0].position or 0 for job in jobs)
    assert positions == list(range(1, 161))


def test_what_waits_when_a_store_is_closed_is_written_and_what_comes_later_refused(open_store: Open) -> None:
    """Whoever writes gets an answer, whichever moment the store is closed at."""
    keeper = open_store()
    for _ in range(10):
        store = open_store()
        begun = threading.Barrier(5)
        written: list[str] = []

        def write_until_closed(
            store: Store = store, begun: threading.Barrier = begun, written: list[str] = written
        ) -> None:
            begun.wait()
            while True:
                job = new_job()
                try:
                    store.write_sync(Submit((job,)))
                except StoreUnavailable:
                    return
                written.append(job.id)

        threads = [threading.Thread(target=write_until_closed, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        begun.wait()
        store.close()
        for thread in threads:
            thread.join(10)
        assert not any(thread.is_alive() for thread in threads), "somebody waits for an answer that never comes"
        for job in written:
            assert keeper.read_sync(GetJob(job)) is not None


def test_a_closed_store_says_so(open_store: Open) -> None:
    store = open_store()
    store.close()
    assert refusal(lambda: submit(store)) is StoreUnavailable
    assert refusal(lambda: store.read_sync(GetJob("x"))) is StoreUnavailable
    store.close()


async def test_what_is_handed_to_a_closed_store_fails_when_it_is_awaited(open_store: Open) -> None:
    store = open_store()
    store.close()
    work = Transact(Execution("x", 1), "name", 0, "key", lambda session: "null")
    for operation in (Submit((new_job(),)), Claim("nobody", {}, 1, {}), work):
        refused = store.write(operation)
        with pytest.raises(StoreUnavailable):
            await refused
