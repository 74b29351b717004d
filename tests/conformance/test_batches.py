"""Jobs that belong together."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from backburner.domain.batches import BatchRecord, NewBatch
from backburner.domain.errors import BatchNotFound, DuplicateJob, IllegalTransition
from backburner.domain.ids import new_id
from backburner.domain.job import NewJob, Status
from backburner.domain.notifications import Notice
from backburner.domain.operations import (
    Cancel,
    CancelMembers,
    CancelRequests,
    Completed,
    EraseMembers,
    Execution,
    ExpireWaiting,
    GetBatch,
    ListBatches,
    ListJobs,
    ListNotifications,
    OwnerEvents,
    PruneBatches,
    Retry,
    SetProgress,
    Settle,
    SubmitBatch,
    SubmitStep,
)
from backburner.ports import Store
from tests.support.making import claim, complete, fail, kinds, look, new_job, refusal, register, start, submit

from .conftest import Open


def batch(store: Store, count: int, owner: str | None = "ann", callback: NewJob | None = None, **more: Any) -> str:
    new = NewBatch(new_id(), "Translate the book", owner, callback=callback)
    store.write_sync(SubmitBatch(new, tuple(new_job(owner=owner, batch=new.id, **more) for _ in range(count))))
    return new.id


def see(store: Store, id: str) -> BatchRecord:
    record = store.read_sync(GetBatch(id))
    assert record is not None
    return record


def take(store: Store, count: int = 100) -> list[Execution]:
    return [Execution(each.id, each.attempt) for each in claim(store, register(store), count)]


def test_a_batch_counts_its_jobs_and_is_finished_when_all_have_ended(store: Store) -> None:
    id = batch(store, 4)
    record = see(store, id)
    assert (record.title, record.owner, record.total, record.status) == ("Translate the book", "ann", 4, "running")
    assert (record.percent, record.counts, record.finished_at) == (0.0, {"pending": 4}, None)
    first, second, third, fourth = take(store)
    complete(store, first)
    fail(store, second)
    store.write_sync(Cancel(third.job, None))
    complete(store, third)
    record = see(store, id)
    assert (record.percent, record.finished_at, record.status) == (75.0, None, "running")
    complete(store, fourth)
    record = see(store, id)
    assert record.counts == {"completed": 2, "failed": 1, "cancelled": 1}
    assert (record.percent, record.status, record.finished_at is None) == (100.0, "failed", False)
    assert {job.batch for job in store.read_sync(ListJobs(batch=id))} == {id}


def test_a_batch_makes_one_notification_and_its_jobs_none(store: Store) -> None:
    id = batch(store, 3)
    executions = take(store)
    store.write_sync(SetProgress(executions[0], 50, "half", Notice("Half")))
    for execution in executions:
        store.write_sync(Settle(execution, Completed("1", Notice("One is done"))))
    (notification,) = store.read_sync(ListNotifications("ann"))
    assert (notification.kind, notification.title, notification.job) == (
        "completed",
        "Translate the book is done",
        None,
    )
    assert notification.data == {"batch": id, "total": 3, "completed": 3}
    events = store.read_sync(OwnerEvents("ann"))
    assert [event.position for event in events] == list(range(1, len(events) + 1))
    assert [event.kind for event in events].count("notification") == 1


def test_a_batch_without_an_owner_or_that_wants_none_makes_no_notification(store: Store) -> None:
    quiet = NewBatch(new_id(), "Quiet", "ann", notify=False)
    store.write_sync(SubmitBatch(quiet, (new_job(owner="ann", batch=quiet.id),)))
    batch(store, 1, owner=None)
    for execution in take(store):
        complete(store, execution)
    assert see(store, quiet.id).finished_at is not None
    assert store.read_sync(ListNotifications("ann")) == ()


def test_the_callback_is_submitted_once_when_all_have_ended_the_first_time(store: Store) -> None:
    callback = new_job("after", owner="ann", args='{"batch":"x"}')
    id = batch(store, 2, callback=callback)
    first, second = take(store)
    fail(store, first)
    assert store.read_sync(ListJobs(task="after")) == ()
    fail(store, second)
    assert look(store, callback.id).args == {"batch": "x"}
    store.write_sync(Retry(first.job, None))
    assert see(store, id).status is Status.RUNNING
    for execution in take(store):
        complete(store, execution)
    assert [job.id for job in store.read_sync(ListJobs(task="after"))] == [callback.id]
    assert see(store, id).counts == {"completed": 1, "failed": 1}


def test_a_job_that_is_run_again_before_the_end_is_waited_for(store: Store) -> None:
    callback = new_job("after")
    batch(store, 2, callback=callback)
    first, second = take(store)
    fail(store, first)
    store.write_sync(Retry(first.job, None))
    complete(store, second)
    assert store.read_sync(ListJobs(task="after")) == ()
    (again,) = take(store)
    complete(store, again)
    assert len(store.read_sync(ListJobs(task="after"))) == 1


def test_an_empty_batch_is_finished_at_once(store: Store) -> None:
    callback = new_job("after")
    record = see(store, batch(store, 0, callback=callback))
    assert (record.total, record.percent, record.status, record.finished_at is None) == (0, 100.0, "completed", False)
    assert look(store, callback.id).status is Status.PENDING
    assert len(store.read_sync(ListNotifications("ann"))) == 1


def test_a_batch_whose_commit_was_lost_is_submitted_once(store: Store) -> None:
    new = NewBatch(new_id(), "Twice", "ann")
    operation = SubmitBatch(new, tuple(new_job(owner="ann", batch=new.id) for _ in range(3)))
    for _ in range(2):
        store.write_sync(operation)
    assert see(store, new.id).total == len(store.read_sync(ListJobs(batch=new.id))) == 3


def test_a_job_for_which_another_one_stands_is_not_part_of_it(store: Store) -> None:
    live = submit(store, key="k")
    new = NewBatch(new_id(), "Keys")
    members = new_job(key="k", batch=new.id), new_job(batch=new.id)
    assert [job.id for job in store.write_sync(SubmitBatch(new, members)).instead.values()] == [live]
    assert see(store, new.id).total == 1
    refused = SubmitBatch(NewBatch(new_id(), "Refused"), (new_job(), new_job(key="k", reject=True)))
    assert refusal(lambda: store.write_sync(refused)) is DuplicateJob
    assert store.read_sync(GetBatch(refused.batch.id)) is None


def test_a_batch_inside_a_run_is_one_with_its_step(store: Store) -> None:
    parent = start(store, "parent")
    new = NewBatch(new_id(), "Parts")
    members = tuple(new_job(batch=new.id, parent=parent.job) for _ in range(2))
    for _ in range(2):
        store.write_sync(SubmitStep(parent, "batch", 0, "key", members, batch=new))
    assert see(store, new.id).total == 2
    assert kinds(store, parent.job).count("step.completed") == 1
    store.write_sync(Cancel(parent.job, None))
    assert see(store, new.id).status is Status.CANCELLED


def test_a_cancel_takes_the_waiting_jobs_in_parts_and_asks_the_running_ones(store: Store) -> None:
    new = NewBatch(id := new_id(), "Long", "ann")
    members = [new_job(batch=id), *(new_job(batch=id, delay=60) for _ in range(250))]
    store.write_sync(SubmitBatch(new, tuple(members)))
    worker = register(store)
    (running,) = claim(store, worker)
    assert refusal(lambda: store.write_sync(CancelMembers(id, "bob"))) is BatchNotFound
    rounds = 1
    while store.write_sync(CancelMembers(id, "ann")):
        rounds += 1
    assert rounds == 3
    assert see(store, id).counts == {"cancelled": 250, "running": 1}
    assert store.read_sync(CancelRequests(worker)) == (running.id,)


def test_jobs_that_are_never_started_end_a_batch_too(store: Store) -> None:
    id = batch(store, 2, expires=1e-6)
    store.write_sync(ExpireWaiting())
    assert see(store, id).counts == {"failed": 2}
    assert see(store, id).finished_at is not None
    (notification,) = store.read_sync(ListNotifications("ann"))
    assert (notification.kind, notification.message) == ("failed", "2 failed")


def test_a_batch_is_erased_with_its_jobs_once_they_have_ended(store: Store) -> None:
    id = batch(store, 210)
    assert refusal(lambda: store.write_sync(EraseMembers(id, None))) is IllegalTransition
    while store.write_sync(CancelMembers(id, None)):
        pass
    assert refusal(lambda: store.write_sync(EraseMembers(id, "bob"))) is BatchNotFound
    assert store.write_sync(EraseMembers(id, "ann"))
    assert not store.write_sync(EraseMembers(id, "ann"))
    assert store.read_sync(GetBatch(id)) is None
    assert store.read_sync(ListJobs(batch=id)) == ()


def test_batches_without_jobs_are_pruned_in_their_time(store: Store) -> None:
    empty, full = batch(store, 0), batch(store, 1)
    (execution,) = take(store)
    complete(store, execution)
    assert store.write_sync(PruneBatches(3600)) == 0
    assert store.write_sync(PruneBatches(0)) == 1
    assert (store.read_sync(GetBatch(empty)), see(store, full).total) == (None, 1)


def test_batches_are_listed_newest_first_and_belong_to_their_owner(store: Store) -> None:
    ids = [batch(store, 1) for _ in range(3)]
    foreign = batch(store, 1, owner="bob")
    assert [record.id for record in store.read_sync(ListBatches("ann", limit=2))] == ids[:0:-1]
    assert [record.id for record in store.read_sync(ListBatches("ann", before=ids[1]))] == ids[:1]
    assert [record.id for record in store.read_sync(ListBatches(limit=1))] == [foreign]
    assert store.read_sync(GetBatch(foreign, "ann")) is None


def test_jobs_of_several_batches_that_end_at_once_finish_each_batch_once(open_store: Open) -> None:
    stores = open_store(), open_store()
    for _ in range(5):
        callbacks = [new_job("after") for _ in range(3)]
        ids = [batch(stores[0], 8, callback=callback) for callback in callbacks]
        executions = take(stores[0], 24)
        halves = executions[::2], executions[1::2]
        barrier = threading.Barrier(2)

        def end(number: int, barrier: threading.Barrier = barrier, halves: Any = halves) -> None:
            barrier.wait()
            with ThreadPoolExecutor(12) as inner:
                for future in [inner.submit(complete, stores[number], each) for each in halves[number]]:
                    future.result()

        with ThreadPoolExecutor(2) as pool:
            for future in [pool.submit(end, number) for number in (0, 1)]:
                future.result()
        assert [see(stores[0], id).counts for id in ids] == [{"completed": 8}] * 3
        assert all(look(stores[0], callback.id).status is Status.PENDING for callback in callbacks)
    assert len(stores[0].read_sync(ListNotifications("ann"))) == 15
