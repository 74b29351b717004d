from __future__ import annotations

from backburner.domain.job import Status
from backburner.domain.operations import FailUnknown, JobEvents, ListNotifications
from backburner.ports import Store
from tests.support.making import claim, look, register, submit


def test_a_job_whose_task_no_live_worker_knows_fails_once_patience_has_ended(store: Store) -> None:
    register(store, "known")
    waiting = submit(store, "known")
    stranger = submit(store, "stranger", owner="ann")
    assert store.write_sync(FailUnknown(600)) == 0, "it has only just been noticed"
    assert store.write_sync(FailUnknown(600)) == 0, "ten minutes are not over"
    assert store.write_sync(FailUnknown(0)) == 1
    record = look(store, stranger)
    assert record.status is Status.FAILED
    assert record.error is not None
    assert record.error.type == "unknown_task"
    assert "'stranger'" in record.error.detail
    assert look(store, waiting).status is Status.PENDING
    kinds = [event.kind for event in store.read_sync(JobEvents(stranger))]
    assert kinds == ["job.submitted", "notification", "job.failed"]
    assert len(store.read_sync(ListNotifications("ann"))) == 1


def test_patience_begins_anew_when_a_worker_has_known_the_task_meanwhile(store: Store) -> None:
    job = submit(store, "late")
    store.write_sync(FailUnknown(600))
    worker = register(store, "late")
    store.write_sync(FailUnknown(0))
    assert [each.id for each in claim(store, worker, late=None)] == [job]


def test_failing_the_unknown_takes_nothing_out_of_a_line_without_strangers(store: Store) -> None:
    register(store, "a", "b")
    jobs = [submit(store, task) for task in ("a", "b", "a")]
    assert [store.write_sync(FailUnknown(0)) for _ in range(2)] == [0, 0]
    assert all(look(store, job).status is Status.PENDING for job in jobs)
