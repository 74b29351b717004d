from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from backburner.domain.errors import IllegalTransition, JobNotFound, LeaseLost
from backburner.domain.job import JobError, Status
from backburner.domain.notifications import Notice
from backburner.domain.operations import (
    Cancel,
    CancelRequests,
    Completed,
    Execution,
    Failed,
    GetResult,
    Interrupted,
    ListNotifications,
    Operation,
    Released,
    Rescue,
    Retry,
    Settle,
)
from backburner.ports import Hint, Store
from tests.support.making import (
    claim,
    complete,
    fail,
    keep,
    kinds,
    log_of,
    look,
    new_job,
    refusal,
    register,
    start,
    submit,
)

from .conftest import Open


def test_a_completed_job_keeps_its_result(store: Store) -> None:
    execution = start(store)
    assert store.write_sync(Settle(execution, Completed('{"a":"雪"}'))) is Status.COMPLETED
    record = look(store, execution.job)
    assert (record.status, record.percent, record.error) == (Status.COMPLETED, 100.0, None)
    assert record.finished_at is not None
    assert store.read_sync(GetResult(execution.job)) == '{"a":"雪"}'
    assert kinds(store, execution.job) == ["job.submitted", "job.started", "job.completed"]


def test_a_failure_without_a_retry_is_final(store: Store) -> None:
    execution = start(store, max_tries=3)
    assert store.write_sync(Settle(execution, Failed(JobError("x", "T", "d"), None))) is Status.FAILED
    record = look(store, execution.job)
    assert (record.status, record.tries) == (Status.FAILED, 1)
    assert record.error == JobError("x", "T", "d", retrying=False)
    assert log_of(store, execution.job)[-1].data["error"]["detail"] == "d"


def test_a_failure_with_a_retry_waits_its_time(store: Store) -> None:
    execution = start(store, max_tries=3)
    status = store.write_sync(Settle(execution, Failed(JobError("x", "T", "d"), 3600.0)))
    record = look(store, execution.job)
    assert (status, record.status, record.waiting_for) == (Status.PENDING, Status.PENDING, "time")
    assert record.error == JobError("x", "T", "d", retrying=True)
    assert (record.tries, record.finished_at) == (1, None)
    assert kinds(store, execution.job)[-1] == "job.retrying"
    assert claim(store, register(store)) == []


def test_a_failure_with_a_retry_at_once_is_in_the_line(store: Store) -> None:
    execution = start(store, max_tries=3)
    fail(store, execution, retry_after=0)
    (again,) = claim(store, register(store))
    assert (again.id, again.attempt, again.tries) == (execution.job, 2, 1)


def test_a_released_job_is_back_in_the_line_at_its_old_place_and_has_lost_no_try(store: Store) -> None:
    execution = start(store)
    younger = submit(store)
    assert store.write_sync(Settle(execution, Released())) is Status.PENDING
    taken = claim(store, register(store))
    assert [(each.id, each.attempt, each.tries) for each in taken] == [(execution.job, 2, 0), (younger, 1, 0)]


def test_an_interrupted_job_is_cancelled(store: Store) -> None:
    execution = start(store)
    assert store.write_sync(Settle(execution, Interrupted())) is Status.CANCELLED
    assert kinds(store, execution.job)[-1] == "job.cancelled"


def test_a_job_is_settled_once(store: Store) -> None:
    execution = start(store)
    complete(store, execution)
    before = log_of(store, execution.job)
    assert refusal(lambda: complete(store, execution)) is LeaseLost
    assert log_of(store, execution.job) == before


def test_a_pending_job_is_cancelled_at_once(store: Store) -> None:
    job, delayed = submit(store), submit(store, delay=60.0)
    assert store.write_sync(Cancel(job, None)).status is Status.CANCELLED
    assert store.write_sync(Cancel(delayed, None)).status is Status.CANCELLED
    assert claim(store, register(store)) == []
    assert look(store, delayed).waiting_for is None
    assert kinds(store, job) == ["job.submitted", "job.cancelled"]


def test_a_running_job_is_asked_to_stop(store: Store) -> None:
    job = submit(store)
    worker, other = register(store), register(store)
    claim(store, worker)
    record = store.write_sync(Cancel(job, None))
    assert (record.status, record.cancel_requested) == (Status.RUNNING, True)
    assert store.read_sync(CancelRequests(worker)) == (job,)
    assert store.read_sync(CancelRequests(other)) == ()


@pytest.mark.parametrize(
    "outcome",
    [Completed("1"), Failed(JobError("x", "T", "d"), None), Failed(JobError("x", "T", "d"), 1.0), Released()],
    ids=["completed", "failed", "retry", "released"],
)
def test_a_cancel_that_was_committed_first_wins_over_any_outcome(store: Store, outcome: object) -> None:
    execution = start(store, owner="ann", max_tries=5)
    store.write_sync(Cancel(execution.job, None))
    assert store.write_sync(Settle(execution, outcome)) is Status.CANCELLED  # type: ignore[arg-type]
    record = look(store, execution.job)
    assert (record.status, record.error, record.cancel_requested) == (Status.CANCELLED, None, False)
    assert store.read_sync(GetResult(execution.job)) is None
    assert store.read_sync(ListNotifications("ann")) == ()
    assert claim(store, register(store)) == []


def test_a_cancel_after_the_finish_changes_nothing(store: Store) -> None:
    execution = start(store)
    complete(store, execution, "7")
    before = log_of(store, execution.job)
    assert store.write_sync(Cancel(execution.job, None)).status is Status.COMPLETED
    assert log_of(store, execution.job) == before
    assert store.read_sync(GetResult(execution.job)) == "7"


def test_cancel_and_finish_at_once_have_one_winner(open_store: Open) -> None:
    stores = open_store(), open_store()
    for _ in range(20):
        execution = start(stores[0])
        barrier = threading.Barrier(2)

        def race(operation: Operation[object], store: Store, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            store.write_sync(operation)

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(race, (Cancel(execution.job, None), Settle(execution, Completed("1"))), stores))
        record = look(stores[0], execution.job)
        terminal = [kind for kind in kinds(stores[0], execution.job) if kind in ("job.completed", "job.cancelled")]
        assert terminal == [f"job.{record.status}"]
        assert (stores[0].read_sync(GetResult(execution.job)) is None) == (record.status is Status.CANCELLED)


def test_a_cancelled_job_of_a_lost_worker_stays_cancelled(store: Store) -> None:
    job = submit(store)
    worker = register(store)
    claim(store, worker)
    store.write_sync(Cancel(job, None))
    store.write_sync(Rescue((worker,), expired=False, cap=5))
    assert look(store, job).status is Status.CANCELLED


def test_a_job_cancelled_while_it_waits_for_its_retry_carries_no_error(store: Store) -> None:
    execution = start(store, max_tries=3)
    fail(store, execution, retry_after=3600.0)
    record = store.write_sync(Cancel(execution.job, None))
    assert (record.status, record.error) == (Status.CANCELLED, None)


def test_a_failed_job_is_run_again_with_fresh_tries_and_its_steps(store: Store) -> None:
    execution = start(store, max_tries=1)
    keep(store, execution, "paid")
    fail(store, execution)
    record = store.write_sync(Retry(execution.job, None))
    assert (record.status, record.tries, record.error, record.finished_at) == (Status.PENDING, 0, None, None)
    (again,) = claim(store, register(store))
    assert (again.attempt, again.tries) == (2, 0)
    assert [step.name for step in again.steps] == ["paid"]
    complete(store, Execution(again.id, again.attempt), '"second"')
    assert store.read_sync(GetResult(again.id)) == '"second"'


def test_a_cancelled_job_may_be_run_again_and_a_completed_one_not(store: Store) -> None:
    job = submit(store)
    store.write_sync(Cancel(job, None))
    assert store.write_sync(Retry(job, None)).status is Status.PENDING
    (again,) = claim(store, register(store))
    complete(store, Execution(again.id, again.attempt))
    assert refusal(lambda: store.write_sync(Retry(job, None))) is IllegalTransition


def test_retrying_a_job_that_waits_or_runs_changes_nothing(store: Store) -> None:
    job = submit(store)
    before = store.write_sync(Retry(job, None))
    assert before.status is Status.PENDING
    claim(store, register(store))
    assert store.write_sync(Retry(job, None)).status is Status.RUNNING
    assert kinds(store, job) == ["job.submitted", "job.started"]


def test_somebody_elses_job_looks_as_if_it_were_not_there(store: Store) -> None:
    job = submit(store, owner="ann")
    assert refusal(lambda: store.write_sync(Cancel(job, "bob"))) is JobNotFound
    assert refusal(lambda: store.write_sync(Retry(job, "bob"))) is JobNotFound
    assert refusal(lambda: store.write_sync(Cancel("nothing", None))) is JobNotFound
    assert store.write_sync(Cancel(job, "ann")).status is Status.CANCELLED


def test_the_notification_comes_before_the_last_event_and_with_it(store: Store) -> None:
    execution = start(store, owner="ann")
    store.write_sync(Settle(execution, Completed("1", Notice("Done", "it is", {"n": 1}))))
    assert kinds(store, execution.job)[-2:] == ["notification", "job.completed"]
    (notification,) = store.read_sync(ListNotifications("ann"))
    assert (notification.kind, notification.title, notification.message) == ("completed", "Done", "it is")
    assert (notification.data, notification.job, notification.read_at) == ({"n": 1}, execution.job, None)
    event = log_of(store, execution.job)[-2]
    assert event.data["id"] == notification.id
    assert event.at == notification.created_at == log_of(store, execution.job)[-1].at


def test_a_job_without_an_owner_notifies_nobody(store: Store) -> None:
    execution = start(store)
    store.write_sync(Settle(execution, Completed("1", Notice("Done"))))
    assert "notification" not in kinds(store, execution.job)


def test_a_settlement_that_cannot_be_stored_is_refused_and_the_job_can_still_be_settled(store: Store) -> None:
    execution = start(store, owner="ann")
    bad = Settle(execution, Completed("1", Notice("Done", data={"x": object()})))
    assert refusal(lambda: store.write_sync(bad)) is not None
    assert look(store, execution.job).status is Status.RUNNING
    complete(store, execution)
    assert kinds(store, execution.job) == ["job.submitted", "job.started", "job.completed"]


def test_many_jobs_settle_side_by_side(open_store: Open) -> None:
    store = open_store()
    worker = register(store)
    for _ in range(60):
        submit(store, owner="ann")
    claimed = claim(store, worker, count=100)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda each: complete(store, Execution(each.id, each.attempt)), claimed))
    assert {look(store, each.id).status for each in claimed} == {Status.COMPLETED}
    assert new_job().id not in {each.id for each in claimed}


def test_a_slot_that_is_free_under_a_tasks_limit_wakes_the_other_workers(open_store: Open) -> None:
    hints: list[Hint] = []
    store = open_store(hints.append)
    execution = start(store)
    hints.clear()
    store.write_sync(Settle(execution, Completed("null")))
    assert not any(hint.work for hint in hints)
    execution = start(store)
    hints.clear()
    store.write_sync(Settle(execution, Completed("null"), limited=True))
    assert any(hint.work for hint in hints)
