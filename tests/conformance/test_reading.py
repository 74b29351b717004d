from __future__ import annotations

from backburner.domain.errors import IllegalTransition, JobNotFound
from backburner.domain.job import Status
from backburner.domain.notifications import Notice
from backburner.domain.operations import (
    Cancel,
    Completed,
    CountUnread,
    Erase,
    GetJob,
    GetResult,
    JobEvents,
    JobSnapshot,
    ListJobs,
    ListNotifications,
    MarkRead,
    OwnerSnapshot,
    Settle,
)
from backburner.ports import Store
from tests.support.making import complete, keep, look, refusal, say, start, submit


def test_a_submitted_job_reads_as_it_was_given(store: Store) -> None:
    job = submit(store, args='{"x":["雪",1.5,null]}', owner="ann", queue="q", priority=3, max_tries=2)
    record = look(store, job)
    assert (record.id, record.task, record.queue, record.owner) == (job, "t", "q", "ann")
    assert (record.status, record.waiting_for, record.priority) == (Status.PENDING, "turn", 3)
    assert (record.attempt, record.tries, record.max_tries, record.rescues, record.seq) == (0, 0, 2, 0, 1)
    assert record.args == {"x": ["雪", 1.5, None]}
    assert record.created_at == record.updated_at
    assert (record.started_at, record.finished_at, record.error) == (None, None, None)


def test_a_job_is_shown_to_its_owner_and_not_to_others(store: Store) -> None:
    job = submit(store, owner="ann")
    assert store.read_sync(GetJob(job, "ann")) == look(store, job)
    assert store.read_sync(GetJob(job, "bob")) is None
    assert store.read_sync(JobSnapshot(job, "bob")) is None
    assert store.read_sync(GetJob("nothing")) is None
    assert store.read_sync(JobSnapshot("nothing")) is None
    assert store.read_sync(GetResult(job)) is None


def test_lists_are_newest_first_and_paged(store: Store) -> None:
    jobs = [submit(store) for _ in range(7)]
    seen: list[str] = []
    before: str | None = None
    while page := store.read_sync(ListJobs(before=before, limit=3)):
        seen += [job.id for job in page]
        before = page[-1].id
    assert seen == jobs[::-1]


def test_lists_are_filtered_by_any_mixture(store: Store) -> None:
    plain = submit(store)
    mine = submit(store, owner="ann", queue="q")
    done = start(store, "u", owner="ann")
    complete(store, done)

    def ids(**filters: object) -> list[str]:
        return [job.id for job in store.read_sync(ListJobs(**filters))]  # type: ignore[arg-type]

    assert ids(owner="ann") == [done.job, mine]
    assert ids(status=Status.COMPLETED) == [done.job]
    assert ids(task="t") == [mine, plain]
    assert ids(queue="q") == [mine]
    assert ids(owner="ann", status=Status.PENDING, task="t", queue="q") == [mine]
    assert ids(owner="nobody") == []
    assert ids(since=look(store, done.job).created_at) == [done.job]


def test_a_snapshot_is_a_job_with_its_text(store: Store) -> None:
    execution = start(store, owner="ann")
    say(store, execution, "雪")
    snapshot = store.read_sync(JobSnapshot(execution.job, "ann"))
    assert snapshot is not None
    assert (snapshot.job, snapshot.texts) == (look(store, execution.job), {"main": "雪"})
    assert snapshot.job.seq == 3


def test_an_owners_view_shows_live_jobs_with_text_and_finished_ones_without(store: Store) -> None:
    done = start(store, owner="ann")
    say(store, done, "old")
    store.write_sync(Settle(done, Completed("1", Notice("Done"))))
    live = start(store, "u", owner="ann")
    say(store, live, "new")
    waiting = submit(store, owner="ann")
    submit(store, owner="bob")
    view = store.read_sync(OwnerSnapshot("ann"))
    assert [(each.job.id, each.texts) for each in view.jobs] == [
        (waiting, {}), (live.job, {"main": "new"}), (done.job, {}),
    ]  # fmt: skip
    assert view.unread == 1
    assert view.position == 9
    nobody = store.read_sync(OwnerSnapshot("nobody"))
    assert (nobody.position, nobody.jobs, nobody.unread) == (0, (), 0)


def test_an_owners_view_shows_an_old_job_that_still_runs(store: Store) -> None:
    old = start(store, owner="ann")
    for _ in range(5):
        store.write_sync(Cancel(submit(store, owner="ann"), None))
    assert old.job in {each.job.id for each in store.read_sync(OwnerSnapshot("ann", recent=2)).jobs}


def test_the_inbox_is_newest_first_paged_and_marked_as_read(store: Store) -> None:
    for number in range(5):
        store.write_sync(Settle(start(store, owner="ann"), Completed("1", Notice(f"n{number}"))))
    store.write_sync(Settle(start(store, owner="bob"), Completed("1", Notice("bob's"))))
    first = store.read_sync(ListNotifications("ann", limit=2))
    rest = store.read_sync(ListNotifications("ann", before=first[-1].id))
    assert [each.title for each in first + rest] == ["n4", "n3", "n2", "n1", "n0"]
    assert store.read_sync(CountUnread("ann")) == 5
    assert store.write_sync(MarkRead("ann", first[0].id)) == 1
    assert store.write_sync(MarkRead("ann", first[0].id)) == 0
    assert store.write_sync(MarkRead("bob", first[1].id)) == 0
    assert [each.title for each in store.read_sync(ListNotifications("ann", unread_only=True))] == [
        "n3", "n2", "n1", "n0",
    ]  # fmt: skip
    assert store.write_sync(MarkRead("ann", None)) == 4
    assert (store.read_sync(CountUnread("ann")), store.read_sync(CountUnread("bob"))) == (0, 1)
    assert store.read_sync(ListNotifications("ann"))[0].read_at is not None


def test_an_erased_job_is_gone_with_all_that_belongs_to_it(store: Store) -> None:
    execution = start(store, owner="ann")
    say(store, execution, "secret")
    keep(store, execution, "one")
    store.write_sync(Settle(execution, Completed('"secret"')))
    assert refusal(lambda: store.write_sync(Erase(execution.job, "bob"))) is JobNotFound
    store.write_sync(Erase(execution.job, "ann"))
    assert store.read_sync(GetJob(execution.job)) is None
    assert store.read_sync(GetResult(execution.job)) is None
    assert store.read_sync(JobEvents(execution.job)) == ()
    assert store.read_sync(JobSnapshot(execution.job)) is None
    assert store.read_sync(ListJobs(owner="ann")) == ()
    assert refusal(lambda: store.write_sync(Erase(execution.job, "ann"))) is JobNotFound


def test_only_a_finished_job_is_erased(store: Store) -> None:
    job = submit(store)
    execution = start(store, "u")
    assert refusal(lambda: store.write_sync(Erase(job, None))) is IllegalTransition
    assert refusal(lambda: store.write_sync(Erase(execution.job, None))) is IllegalTransition
    store.write_sync(Cancel(job, None))
    store.write_sync(Erase(job, None))
    assert store.read_sync(GetJob(job)) is None
