"""Identical work is done once: each submit has its own job, id, owner and log, and they share one execution."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from backburner.domain.errors import JobNotFound
from backburner.domain.ids import is_execution, new_id
from backburner.domain.job import SHARED_FAILURE, Claimed, JobError, Status
from backburner.domain.json import encode
from backburner.domain.notifications import Notice
from backburner.domain.operations import (
    AppendText,
    Cancel,
    CancelRequests,
    Claim,
    Completed,
    CountJobs,
    Erase,
    Execution,
    ExpireWaiting,
    Failed,
    FailUnknown,
    FindPrunable,
    GetJob,
    GetResult,
    Interrupted,
    JobSnapshot,
    Limit,
    ListJobs,
    ListNotifications,
    Notify,
    OwnerSnapshot,
    Parked,
    Prune,
    RegisterWorker,
    Released,
    Rescue,
    Retry,
    SetProgress,
    Settle,
    Submit,
)
from backburner.ports import Store
from backburner.store import erasing, tables
from backburner.store.store import SQLStore
from tests.support.clock import pass_time
from tests.support.making import claim, complete, fail, keep, kinds, log_of, look, new_job, register, say, start, submit
from tests.support.sharing import HOUR, answer, assert_exact, put, shared, take, text_of

from .conftest import Open


def idle(store: Store) -> bool:
    return claim(store, register(store)) == []


def told(store: Store, job: str, *names: str) -> list[tuple[Any, ...]]:
    """The kinds of a job's events with these values of their data."""
    return [(event.kind, *(event.data.get(name) for name in names)) for event in log_of(store, job)]


def test_submits_of_the_same_work_are_jobs_of_their_own_and_are_executed_once(store: Store) -> None:
    first = put(store, args='{"n":1}')
    second = put(store, args='{"n":2}')
    execution = take(store)
    assert idle(store)
    for job, args in ((first, {"n": 1}), (second, {"n": 2})):
        record = look(store, job)
        assert (record.status, record.owner, record.args, record.attempt) == (Status.RUNNING, "ann", args, 1)
    complete(store, execution, '"done"')
    for job in (first, second):
        assert look(store, job).status is Status.COMPLETED
        assert store.read_sync(GetResult(job)) == '"done"'
        assert kinds(store, job) == ["job.submitted", "job.started", "notification", "job.completed"]
    assert_exact(store, "ann")


def test_the_arguments_of_the_first_are_executed(store: Store) -> None:
    put(store, args='{"n":1}', priority=7, max_tries=3)
    put(store, args='{"n":2}')
    (claimed,) = claim(store, register(store))
    assert (claimed.args, claimed.owner, claimed.priority, claimed.max_tries) == ('{"n":1}', "ann", 7, 3)


def test_work_for_everyone_is_done_on_nobodys_behalf(store: Store) -> None:
    put(store, owner="ann", everyone=True)
    put(store, owner="bob", everyone=True)
    (claimed,) = claim(store, register(store))
    assert claimed.owner is None


def test_other_work_is_executed_by_itself(store: Store) -> None:
    put(store, "v")
    put(store, "w")
    assert len(claim(store, register(store))) == 2


def test_a_finished_result_of_the_same_work_answers_at_once(store: Store) -> None:
    first = put(store)
    complete(store, take(store), '"done"')
    record = answer(store)
    assert record.id != first
    assert (record.status, record.percent, record.attempt, record.tries) == (Status.COMPLETED, 100.0, 0, 0)
    assert record.created_at == record.started_at == record.finished_at
    assert store.read_sync(GetResult(record.id)) == '"done"'
    assert kinds(store, record.id) == ["job.submitted", "notification", "job.completed"]
    assert log_of(store, record.id)[-1].data == {"task": "t", "duration_seconds": 0.0}
    assert idle(store)
    assert_exact(store, "ann")


def test_a_submit_says_by_itself_that_it_was_answered(store: Store) -> None:
    first = shared()
    assert store.write_sync(Submit((first,))).instead == {}
    running = shared()
    execution = take(store)
    assert store.write_sync(Submit((running,))).instead[running.id] == look(store, running.id)
    complete(store, execution)
    done = shared()
    assert store.write_sync(Submit((done,))).instead[done.id] == look(store, done.id)
    assert look(store, done.id).status is Status.COMPLETED


def test_a_result_answers_until_its_time_is_over(open_store: Open) -> None:
    store = open_store()
    put(store)
    complete(store, take(store), "1")
    pass_time(store, HOUR - 10)
    assert answer(store).status is Status.COMPLETED
    pass_time(store, 20)
    late = answer(store)
    assert late.status is Status.PENDING
    complete(store, take(store), "2")
    assert store.read_sync(GetResult(late.id)) == "2"
    assert store.read_sync(GetResult(answer(store).id)) == "2"


def test_each_submit_says_for_itself_how_old_a_result_it_takes(open_store: Open) -> None:
    store = open_store()
    put(store)
    complete(store, take(store))
    pass_time(store, 60)
    assert answer(store, lasts=HOUR).status is Status.COMPLETED
    assert answer(store, lasts=30.0).status is Status.PENDING


def test_failures_do_not_answer(store: Store) -> None:
    put(store)
    fail(store, take(store))
    assert answer(store).status is Status.PENDING
    assert kinds(store, put(store)) == ["job.submitted"]
    take(store)


def test_a_result_that_was_erased_with_its_last_job_does_not_answer(store: Store) -> None:
    first = put(store)
    complete(store, take(store), "1")
    second = put(store)
    store.write_sync(Erase(first, None))
    assert store.read_sync(GetResult(second)) == "1"
    store.write_sync(Erase(second, None))
    third = put(store)
    complete(store, take(store), "2")
    assert store.read_sync(GetResult(third)) == "2"


def test_what_happens_is_told_to_each_in_a_log_of_its_own(store: Store) -> None:
    ann = put(store, owner="ann", everyone=True)
    bob = put(store, owner="bob", everyone=True)
    nobody = put(store, owner=None, everyone=True)
    execution = take(store)
    store.write_sync(SetProgress(execution, 40.0, "reading"))
    say(store, execution, "Once ")
    keep(store, execution, "outline", channels=("main",))
    say(store, execution, "upon")
    complete(store, execution)
    plain = ["job.submitted", "job.started", "job.progress", "text.delta", "step.completed", "text.delta"]
    for job in (ann, bob):
        assert kinds(store, job) == [*plain, "notification", "job.completed"]
    assert kinds(store, nobody) == [*plain, "job.completed"]
    for job in (ann, bob, nobody):
        assert text_of(store, job) == {"main": "Once upon"}
        assert [event.seq for event in log_of(store, job)] == list(range(1, look(store, job).seq + 1))
    assert_exact(store, "ann", "bob")


def test_whoever_joins_late_is_told_the_story_so_far(store: Store) -> None:
    first = put(store)
    execution = take(store)
    say(store, execution, "one ")
    say(store, execution, "雪 ", "notes")
    keep(store, execution, "a", channels=("main",))
    store.write_sync(SetProgress(execution, 40.0, "reading"))
    say(store, execution, "two ")
    late = put(store)
    assert text_of(store, late) == text_of(store, first) == {"main": "one two ", "notes": "雪 "}
    assert (look(store, late).percent, look(store, late).message) == (40.0, "reading")
    assert told(store, late, "attempt", "name", "percent") == [
        ("job.submitted", None, None, None),
        ("job.started", 1, None, None),
        ("text.delta", 1, None, None),
        ("text.delta", 1, None, None),
        ("step.completed", 1, "a", None),
        ("job.progress", None, None, 40.0),
    ]
    say(store, execution, "three")
    complete(store, execution)
    assert text_of(store, late) == text_of(store, first) == {"main": "one two three", "notes": "雪 "}
    assert_exact(store, "ann")


async def test_whoever_joins_in_the_very_commit_of_an_event_misses_and_doubles_nothing(store: Store) -> None:
    jobs = [shared() for _ in range(6)]
    await store.write(Submit((jobs[0],)))
    worker = new_id()
    await store.write(RegisterWorker(worker, 30.0, ("t",)))
    (claimed,) = (await store.write(Claim(worker, {"t": Limit()}, 1))).jobs
    execution = Execution(claimed.id, claimed.attempt)
    writes = []
    for number, job in enumerate(jobs[1:]):
        writes.append(store.write(AppendText(execution, "main", f"{number} ")))
        writes.append(store.write(Submit((job,))))
    writes.append(store.write(Cancel(jobs[1].id, None)))
    writes.append(store.write(AppendText(execution, "main", "end")))
    writes.append(store.write(Settle(execution, Completed("1"))))
    for each in writes:
        await each
    for job in jobs:
        snapshot = await store.read(JobSnapshot(job.id))
        assert snapshot is not None
        expected = "0 1 2 3 4 " if job is jobs[1] else "0 1 2 3 4 end"
        assert snapshot.texts == {"main": expected}
        assert snapshot.job.status is (Status.CANCELLED if job is jobs[1] else Status.COMPLETED)


def test_a_try_that_is_made_again_is_told_to_all_and_to_whoever_joins_between(store: Store) -> None:
    first = put(store)
    execution = take(store)
    say(store, execution, "kept ")
    keep(store, execution, "a", channels=("main",))
    say(store, execution, "lost")
    fail(store, execution, retry_after=0.0)
    record = look(store, first)
    assert (record.status, record.tries) == (Status.PENDING, 1)
    between = put(store)
    assert kinds(store, between)[-1] == "job.retrying"
    assert text_of(store, between) == {"main": "kept lost"}
    again = take(store)
    assert again.attempt == 2
    late = put(store)
    for job in (first, between, late):
        assert text_of(store, job) == {"main": "kept "}
        assert (look(store, job).status, look(store, job).attempt) == (Status.RUNNING, 2)
        assert kinds(store, job).count("step.completed") == 1
    complete(store, again)
    assert_exact(store, "ann")


def test_a_job_that_shares_its_execution_says_what_that_waits_for(store: Store) -> None:
    job = put(store)
    assert look(store, job).waiting_for == "turn"
    fail(store, take(store), retry_after=60.0)
    record = look(store, job)
    assert (record.waiting_for, record.run_at is not None) == ("time", True)
    other = put(store, "v")
    execution = take(store)
    store.write_sync(Settle(execution, Parked("answer")))
    assert look(store, other).waiting_for == "answer"


def test_others_are_not_told_why_it_failed(store: Store) -> None:
    lead = put(store, owner="ann", everyone=True)
    again = put(store, owner="ann", everyone=True)
    other = put(store, owner="bob", everyone=True)
    error = JobError("ValueError", "The job failed", "ValueError: ann's secret")
    execution = take(store)
    store.write_sync(Settle(execution, Failed(error, 0.0)))
    late = put(store, owner="cyd", everyone=True)
    execution = take(store)
    store.write_sync(Settle(execution, Failed(error, None)))
    for job in (lead, again):
        found = look(store, job)
        assert found.error == error
        assert "secret" in str(log_of(store, job)[-1].data)
    for job in (other, late):
        found = look(store, job)
        assert found.status is Status.FAILED
        assert found.error == SHARED_FAILURE
        assert "secret" not in str([event.data for event in log_of(store, job)])
    for owner in ("bob", "cyd"):
        (notification,) = store.read_sync(ListNotifications(owner))
        assert "secret" not in str(notification)
        assert (notification.kind, notification.message) == ("failed", SHARED_FAILURE.detail)
    assert "secret" in store.read_sync(ListNotifications("ann"))[0].message


def test_one_owners_own_jobs_all_say_why_it_failed(store: Store) -> None:
    jobs = [put(store), put(store)]
    fail(store, take(store))
    for job in jobs:
        error = look(store, job).error
        assert error is not None
        assert error.detail == "in two"


def test_each_is_notified_in_the_words_of_its_own_submit(store: Store) -> None:
    own = encode({"completed": {"title": "Chapter 5", "message": "is there", "data": {"chapter": 5}}, "started": None})
    first = put(store, words=own)
    second = put(store, owner="ann")
    put(store, words=None)
    execution = take(store)
    store.write_sync(Notify(execution, "started", Notice("in the words of the first")))
    complete(store, execution)
    late = put(store, words=own)
    found = [(each.job, each.kind, each.title, each.data) for each in store.read_sync(ListNotifications("ann"))]
    assert sorted(found, key=str) == sorted(
        [
            (first, "started", "t has started", {}),
            (first, "completed", "Chapter 5", {"chapter": 5}),
            (second, "completed", "t is done", {}),
            (late, "completed", "Chapter 5", {"chapter": 5}),
        ],
        key=str,
    )
    assert_exact(store, "ann")


def test_a_cancel_takes_one_away_and_the_others_go_on(store: Store) -> None:
    first, second = put(store), put(store)
    execution = take(store)
    say(store, execution, "a")
    assert store.write_sync(Cancel(first, "ann")).status is Status.CANCELLED
    say(store, execution, "b")
    complete(store, execution)
    assert kinds(store, first) == ["job.submitted", "job.started", "text.delta", "job.cancelled"]
    assert (look(store, first).status, look(store, second).status) == (Status.CANCELLED, Status.COMPLETED)
    assert text_of(store, second) == {"main": "ab"}
    assert_exact(store, "ann")


def test_the_last_cancel_stops_a_running_execution(store: Store) -> None:
    first, second = put(store), put(store)
    worker = register(store)
    execution = take(store, worker)
    store.write_sync(Cancel(first, None))
    assert store.read_sync(CancelRequests(worker)) == ()
    store.write_sync(Cancel(second, None))
    assert store.read_sync(CancelRequests(worker)) == (execution.job,)
    fresh = put(store)
    store.write_sync(Settle(execution, Completed("1")))
    assert look(store, second).status is Status.CANCELLED
    assert look(store, fresh).status is Status.PENDING, "what is being stopped is joined by nobody"
    complete(store, take(store), "2")
    assert store.read_sync(GetResult(fresh)) == "2"


def test_the_last_cancel_takes_a_waiting_execution_out_of_the_line(store: Store) -> None:
    jobs = [put(store), put(store)]
    for job in jobs:
        store.write_sync(Cancel(job, None))
    assert idle(store)
    assert answer(store).status is Status.PENDING
    take(store)


async def test_a_cancel_in_the_very_commit_of_the_submit_leaves_nothing_in_the_line(store: Store) -> None:
    job = shared()
    writes = [store.write(Submit((job,))), store.write(Cancel(job.id, None))]
    for each in writes:
        await each
    record = await store.read(GetJob(job.id))
    assert record is not None
    assert record.status is Status.CANCELLED


def test_a_cancel_leaves_one_who_waits_for_another_time(store: Store) -> None:
    first, second = put(store, expires=1e-6), put(store)
    store.write_sync(ExpireWaiting())
    record = look(store, first)
    assert record.error is not None
    assert (record.status, record.error.type) == (Status.FAILED, "expired")
    assert kinds(store, first) == ["job.submitted", "notification", "job.failed"]
    complete(store, take(store))
    assert look(store, second).status is Status.COMPLETED


def test_the_last_one_whose_time_is_over_takes_the_execution_along(store: Store) -> None:
    put(store, expires=1e-6)
    store.write_sync(ExpireWaiting())
    assert idle(store)


def test_a_job_that_was_started_in_time_does_not_come_too_late(open_store: Open) -> None:
    store = open_store()
    job = put(store, expires=60.0)
    execution = take(store)
    late = put(store, expires=60.0)
    pass_time(store, 120)
    store.write_sync(ExpireWaiting())
    assert [look(store, each).status for each in (job, late)] == [Status.RUNNING] * 2
    complete(store, execution)


def test_a_failed_job_that_is_run_again_runs_its_execution_again_with_its_steps(store: Store) -> None:
    first, second = put(store), put(store)
    execution = take(store)
    say(store, execution, "kept ")
    keep(store, execution, "a", channels=("main",))
    say(store, execution, "lost")
    fail(store, execution)
    record = store.write_sync(Retry(second, None))
    assert (record.status, record.tries, record.error, record.finished_at) == (Status.PENDING, 0, None, None)
    (claimed,) = claim(store, register(store))
    assert (claimed.id, claimed.attempt, [step.name for step in claimed.steps]) == (execution.job, 2, ["a"])
    again = Execution(claimed.id, claimed.attempt)
    assert text_of(store, second) == {"main": "kept "}
    late = put(store)
    assert text_of(store, late) == {"main": "kept "}
    say(store, again, "new")
    complete(store, again, "2")
    for job in (second, late):
        assert text_of(store, job) == {"main": "kept new"}
        assert store.read_sync(GetResult(job)) == "2"
    assert look(store, first).status is Status.FAILED
    assert kinds(store, first)[-1] == "job.failed"
    assert_exact(store, "ann")


def test_a_cancelled_job_that_is_run_again_joins_what_still_runs(store: Store) -> None:
    first, second = put(store), put(store)
    execution = take(store)
    say(store, execution, "a")
    store.write_sync(Cancel(first, None))
    say(store, execution, "b")
    assert store.write_sync(Retry(first, None)).status is Status.RUNNING
    assert text_of(store, first) == text_of(store, second) == {"main": "ab"}
    say(store, execution, "c")
    complete(store, execution)
    assert text_of(store, first) == {"main": "abc"}
    assert look(store, first).status is Status.COMPLETED
    assert_exact(store, "ann")


def test_a_cancelled_job_that_is_run_again_may_find_the_result(store: Store) -> None:
    first, second = put(store), put(store)
    execution = take(store)
    say(store, execution, "a")
    store.write_sync(Cancel(first, None))
    complete(store, execution, "1")
    assert store.write_sync(Retry(first, None)).status is Status.COMPLETED
    assert store.read_sync(GetResult(first)) == "1"
    assert look(store, second).status is Status.COMPLETED
    assert_exact(store, "ann")


def test_a_job_that_is_run_again_while_its_execution_is_being_stopped_gets_another(store: Store) -> None:
    job = put(store)
    execution = take(store)
    say(store, execution, "old")
    store.write_sync(Cancel(job, None))
    assert store.write_sync(Retry(job, None)).status is Status.PENDING
    again = take(store)
    assert again.job != execution.job
    say(store, again, "new")
    store.write_sync(Settle(execution, Interrupted()))
    assert text_of(store, job) == {"main": "new"}
    complete(store, again)
    assert look(store, job).status is Status.COMPLETED
    assert_exact(store, "ann")


def test_erasing_one_leaves_the_others_alone(store: Store) -> None:
    first, second = put(store), put(store)
    complete(store, take(store), "1")
    store.write_sync(Erase(first, None))
    assert store.read_sync(GetJob(first)) is None
    assert store.read_sync(GetResult(second)) == "1"
    assert answer(store).status is Status.COMPLETED


def test_an_execution_goes_with_the_last_that_points_to_it(open_store: Open) -> None:
    store = open_store()
    jobs = [put(store), put(store)]
    complete(store, take(store))
    for job in jobs:
        store.write_sync(Erase(job, None))
    assert rows_left(store) == {}


def test_an_execution_that_ends_when_nobody_points_to_it_any_more_goes_too(store: Store) -> None:
    job = put(store)
    execution = take(store)
    store.write_sync(Cancel(job, None))
    store.write_sync(Erase(job, None))
    store.write_sync(Settle(execution, Interrupted()))
    assert rows_left(store) == {}


async def test_nothing_is_left_of_what_is_erased_in_the_very_commit_of_its_end(store: Store) -> None:
    jobs = [shared(), new_job(owner="ann")]
    writes: list[Any] = [store.write(Submit((job,))) for job in jobs]
    writes += [store.write(Cancel(job.id, None)) for job in jobs]
    writes += [store.write(Erase(job.id, None)) for job in jobs]
    for each in writes:
        await each
    assert rows_left(store) == {}


def rows_left(store: Store) -> dict[str, int]:
    """What is still there of any job, in which tables."""
    assert isinstance(store, SQLStore)
    raw = store.database.open_reader()
    try:
        found = {
            table.name: raw.execute(f"SELECT COUNT(*) FROM {table.name}").fetchone()[0]
            for table in (tables.jobs, tables.works, *erasing.ERASED, *erasing.LEFT_AT_THE_END)
        }
    finally:
        store.database.close(raw)
    return {name: count for name, count in found.items() if count}


def test_a_result_outlives_its_first_job_as_long_as_others_have_it(store: Store) -> None:
    first = put(store)
    complete(store, take(store), '"done"')
    pass_time(store, 60)
    late = put(store)
    prune(store, 30)
    assert store.read_sync(GetJob(first)) is None
    assert store.read_sync(GetResult(late)) == '"done"'
    assert answer(store).status is Status.COMPLETED
    pass_time(store, 60)
    prune(store, 30)
    prune(store, 30)
    assert rows_left(store) == {}


def prune(store: Store, seconds: float) -> None:
    kept: dict[str, float | None] = dict.fromkeys(("completed", "failed", "cancelled"), seconds)
    store.write_sync(Prune(store.read_sync(FindPrunable(kept)).jobs))


def test_a_parent_that_waits_for_shared_work_goes_on_when_that_is_done(store: Store) -> None:
    parent = start(store, "parent")
    child = put(store, parent=parent.job)
    store.write_sync(Settle(parent, Parked("child", None, (child,))))
    assert look(store, parent.job).waiting_for == "child"
    complete(store, take(store))
    assert look(store, parent.job).waiting_for == "turn"


def test_a_cancelled_parent_takes_only_its_own_part_of_shared_work_along(store: Store) -> None:
    parent = start(store, "parent")
    child, other = put(store, parent=parent.job), put(store)
    execution = take(store)
    store.write_sync(Cancel(parent.job, None))
    store.write_sync(Settle(parent, Interrupted()))
    assert look(store, child).status is Status.CANCELLED
    complete(store, execution)
    assert look(store, other).status is Status.COMPLETED
    assert_exact(store, "ann")


def test_what_shared_work_has_submitted_is_cancelled_with_its_last_job(store: Store) -> None:
    jobs = [put(store), put(store)]
    execution = take(store)
    child = submit(store, "child", parent=execution.job)
    store.write_sync(Cancel(jobs[0], None))
    assert look(store, child).status is Status.PENDING
    store.write_sync(Cancel(jobs[1], None))
    assert look(store, child).status is Status.CANCELLED


def test_the_execution_is_nobodys_to_see(store: Store) -> None:
    job = put(store)
    execution = take(store)
    assert store.read_sync(GetJob(execution.job)) is None
    for operation in (Cancel, Retry, Erase):
        with pytest.raises(JobNotFound):
            store.write_sync(operation(execution.job, None))
    complete(store, execution)
    assert [each.id for each in store.read_sync(ListJobs())] == [job]
    assert [each.id for each in store.read_sync(ListJobs(owner="ann"))] == [job]
    view = store.read_sync(OwnerSnapshot("ann"))
    assert [each.job.id for each in view.jobs] == [job]
    assert {each.job for each in store.read_sync(ListNotifications("ann"))} == {job}


def test_the_counters_count_the_jobs_and_not_the_execution(store: Store) -> None:
    def counted() -> dict[Status, int]:
        return {each.status: each.jobs for each in store.read_sync(CountJobs()) if each.jobs}

    first = put(store)
    put(store)
    assert counted() == {Status.PENDING: 2}
    execution = take(store)
    put(store)
    assert counted() == {Status.RUNNING: 3}
    fail(store, execution, retry_after=0.0)
    assert counted() == {Status.PENDING: 3}
    store.write_sync(Cancel(first, None))
    complete(store, take(store))
    put(store)
    assert counted() == {Status.COMPLETED: 3, Status.CANCELLED: 1}
    store.write_sync(Erase(first, None))
    assert counted() == {Status.COMPLETED: 3}
    waited = [each.waited for each in store.read_sync(CountJobs())]
    assert all(each >= 0 for each in waited)


def test_it_runs_as_soon_as_the_most_urgent_of_its_jobs_would(store: Store) -> None:
    put(store, "slow", priority=3)
    store.write_sync(Submit((new_job(priority=5, owner="bob"),)))
    urgent = put(store, "slow", priority=9)
    (claimed,) = claim(store, register(store), 1)
    assert is_execution(claimed.id)
    assert claimed.priority == 9
    assert look(store, urgent).status is Status.RUNNING
    assert len(claim(store, register(store))) == 1


def test_it_is_held_to_limits_as_one(store: Store) -> None:
    for _ in range(3):
        put(store, "v")
    put(store, "w")
    worker = register(store)
    claims = store.write_sync(Claim(worker, {"t": Limit(owner_concurrency=1)}, 10))
    assert len(claims.jobs) == 1
    execution = Execution(claims.jobs[0].id, 1)
    assert [look(store, job.id).waiting_for for job in store.read_sync(ListJobs(status=Status.PENDING))] == ["limit"]
    store.write_sync(Settle(execution, Completed("1"), limited=True))
    assert len(store.write_sync(Claim(worker, {"t": Limit(owner_concurrency=1)}, 10)).jobs) == 1


LOSSES: dict[str, Callable[[Store, str, Execution], Any]] = {
    "given back": lambda store, worker, execution: store.write_sync(Settle(execution, Released())),
    "its worker died": lambda store, worker, execution: store.write_sync(Rescue((worker,), False, 5)),
}


@pytest.mark.parametrize("lose", LOSSES.values(), ids=LOSSES)
def test_an_execution_that_was_lost_goes_on_for_all(store: Store, lose: Callable[..., Any]) -> None:
    jobs = [put(store), put(store)]
    worker = register(store)
    execution = take(store, worker)
    say(store, execution, "lost")
    lose(store, worker, execution)
    assert {look(store, job).status for job in jobs} == {Status.PENDING}
    again = take(store)
    say(store, again, "found")
    complete(store, again)
    for job in jobs:
        assert look(store, job).status is Status.COMPLETED
        assert text_of(store, job) == {"main": "found"}
    assert_exact(store, "ann")


def test_an_execution_that_nobody_knows_how_to_run_fails_for_all(store: Store) -> None:
    jobs = [put(store), put(store)]
    store.write_sync(FailUnknown(0.0))
    store.write_sync(FailUnknown(0.0))
    for job in jobs:
        record = look(store, job)
        assert record.error is not None
        assert (record.status, record.error.type) == (Status.FAILED, "unknown_task")
    assert_exact(store, "ann")


def test_an_execution_whose_workers_die_too_often_fails_for_all(store: Store) -> None:
    jobs = [put(store), put(store)]
    worker = register(store)
    take(store, worker)
    store.write_sync(Rescue((worker,), False, 1))
    for job in jobs:
        record = look(store, job)
        assert record.error is not None
        assert record.error.type == "worker_died"
    assert len(store.read_sync(ListNotifications("ann"))) == 2


def test_a_key_is_the_jobs_own_and_free_when_it_has_ended(store: Store) -> None:
    first = shared(key="k")
    store.write_sync(Submit((first,)))
    second = shared(key="k")
    assert store.write_sync(Submit((second,))).instead[second.id].id == first.id
    complete(store, take(store))
    answered = shared(key="k")
    store.write_sync(Submit((answered,)))
    assert look(store, answered.id).status is Status.COMPLETED
    next_one = shared("other", key="k")
    assert store.write_sync(Submit((next_one,))).instead == {}


def test_several_of_one_submit_share_their_work(store: Store) -> None:
    jobs = tuple(shared(work) for work in "vwvw")
    store.write_sync(Submit(jobs))
    claimed = claim(store, register(store))
    assert len(claimed) == 2
    for each in claimed:
        complete(store, Execution(each.id, each.attempt), f'"{each.id}"')
    results = [store.read_sync(GetResult(job.id)) for job in jobs]
    assert (results[0], results[1]) == (results[2], results[3])
    assert len(set(results)) == 2
    assert_exact(store, "ann")


def test_concurrent_submits_of_the_same_work_from_two_stores_are_executed_once(open_store: Open) -> None:
    stores = [open_store(), open_store()]
    barrier = threading.Barrier(8)

    def submit_many(number: int) -> list[str]:
        found = []
        for n in range(10):
            barrier.wait()
            found.append(put(stores[number % 2], f"w{n}", owner=f"owner{number}", everyone=True))
        return found

    with ThreadPoolExecutor(8) as pool:
        jobs = [job for each in pool.map(submit_many, range(8)) for job in each]
    claimed: list[Claimed] = []
    worker = register(stores[0])
    while found := claim(stores[0], worker, 50):
        claimed += found
    assert len(claimed) == 10
    for each in claimed:
        complete(stores[1], Execution(each.id, each.attempt))
    assert {look(stores[0], job).status for job in jobs} == {Status.COMPLETED}
    assert_exact(stores[0], *(f"owner{number}" for number in range(8)))


def test_joining_and_leaving_while_it_is_executed_again_and_again_loses_nobody(open_store: Open) -> None:
    """Two stores submit, cancel, run again and erase while a third executes what it finds: every job ends, and with
    all the text of its execution."""
    stores = [open_store(), open_store(), open_store()]
    worker = register(stores[2])
    done = threading.Event()

    def execute_all() -> None:
        number = 0
        while not done.is_set():
            for each in claim(stores[2], worker, 3):
                execution = Execution(each.id, each.attempt)
                number += 1
                for piece in "abcdef":
                    say(stores[2], execution, piece)
                if number % 5 == 4:
                    fail(stores[2], execution)
                else:
                    complete(stores[2], execution)

    def submit_many(number: int) -> list[str]:
        store, owner, kept = stores[number % 2], f"owner{number}", []
        for n in range(25):
            job = put(store, f"w{n % 2}", owner=owner, everyone=True, lasts=0.01)
            if n % 4 == number % 4:
                store.write_sync(Cancel(job, owner))
                if look(store, job).can_retry and n % 8 < 4:
                    store.write_sync(Retry(job, owner))
            if n % 7 == 3 and look(store, job).status.finished:
                store.write_sync(Erase(job, owner))
                continue
            kept.append(job)
        return kept

    executor = threading.Thread(target=execute_all)
    executor.start()
    try:
        with ThreadPoolExecutor(6) as pool:
            jobs = [job for each in pool.map(submit_many, range(6)) for job in each]
        while any(not look(stores[0], job).status.finished for job in jobs):
            put(stores[0], "unrelated")
    finally:
        done.set()
        executor.join()
    for job in jobs:
        record = look(stores[0], job)
        log = log_of(stores[0], job)
        assert [event.seq for event in log] == list(range(1, record.seq + 1))
        if record.status is Status.COMPLETED and record.attempt:
            assert text_of(stores[0], job) == {"main": "abcdef"}
