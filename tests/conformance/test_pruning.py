from __future__ import annotations

from typing import Any

from backburner.domain.identity import TokenKind
from backburner.domain.job import KeptStep, Status
from backburner.domain.notifications import Notice
from backburner.domain.operations import (
    Ask,
    Cancel,
    CanResume,
    Completed,
    CountJobs,
    DeclareRetention,
    Erase,
    Execution,
    FindPrunable,
    FoldCounts,
    FoldTexts,
    IssueToken,
    JobCount,
    KeepStep,
    ListJobs,
    ListNotifications,
    Prune,
    PruneLine,
    PruneNotifications,
    Retry,
    Settle,
    Submit,
    Tails,
    Usage,
)
from backburner.domain.operations.pruning import Place
from backburner.ports import Store
from backburner.store import erasing, tables
from backburner.store.store import SQLStore
from tests.support.clock import pass_time
from tests.support.making import claim, complete, fail, keep, look, new_job, register, say, start, submit

DAY = 86_400.0
KEPT = {"completed": 7 * DAY, "failed": 30 * DAY, "cancelled": 30 * DAY}
OF_A_JOB = [table for table in tables.metadata.sorted_tables if "job_id" in table.c]


def prunable(store: Store, **more: Any) -> list[Place]:
    return list(store.read_sync(FindPrunable(KEPT, **more)).jobs)


def prune(store: Store, **more: Any) -> int:
    return store.write_sync(Prune(prunable(store, **more)))


def rows_of(store: Store, job: str) -> dict[str, int]:
    """How many rows each table has of a job, where it has any."""
    assert isinstance(store, SQLStore)
    raw = store.database.open_reader()
    try:
        found = {
            table.name: raw.execute(f"SELECT count(*) FROM {table.name} WHERE job_id = '{job}'").fetchone()[0]
            for table in OF_A_JOB
        }
    finally:
        store.database.close(raw)
    return {name: count for name, count in found.items() if count}


def finish(store: Store, status: str, **more: Any) -> str:
    if status == "cancelled":
        job = submit(store, **more)
        store.write_sync(Cancel(job, None))
        return job
    execution = start(store, **more)
    if status == "completed":
        complete(store, execution)
    else:
        fail(store, execution)
    return execution.job


def counted(store: Store, status: Status) -> tuple[int, int]:
    (count,) = [each for each in store.read_sync(CountJobs()) if each.status is status]
    return count.jobs, count.gone


def test_every_table_that_names_a_job_says_what_becomes_of_its_rows_when_the_job_is_removed() -> None:
    """A new table with a job_id must be put into one of these lists."""
    said = [*erasing.ERASED, *erasing.LEFT_AT_THE_END, *erasing.OUTLIVING]
    assert sorted(table.name for table in OF_A_JOB) == sorted(table.name for table in said)


def test_a_pruned_job_leaves_no_row_in_any_table_but_its_notifications(store: Store) -> None:
    execution = start(store, owner="ann", key="k", expires=60, priority=3)
    for word in ("some", "text"):
        say(store, execution, word)
    keep(store, execution, "step", channels=("main",))
    store.write_sync(KeepStep(execution, KeptStep("call", 0, "k", "1"), usage=Usage("m", 1, 1)))
    store.write_sync(Ask(execution, "ask", 0, "key", "token", "Approve?", "true", None))
    store.write_sync(IssueToken("digest", TokenKind.READ, "ann", execution.job, 60.0))
    store.write_sync(Settle(execution, Completed("1", Notice("Done"))))
    pass_time(store, 601)
    store.write_sync(FoldTexts())
    of_every_job = {table.name for table in erasing.ERASED} - {"bb_shares"}
    assert rows_of(store, execution.job).keys() >= of_every_job
    pass_time(store, 8 * DAY)
    assert prune(store) == 1
    assert rows_of(store, execution.job) == {"bb_notifications": 1}
    assert store.read_sync(ListJobs()) == ()


def test_each_status_is_kept_for_its_own_time(store: Store) -> None:
    jobs = {status: finish(store, status) for status in KEPT}
    waiting, running = submit(store, "other"), start(store).job
    assert prunable(store) == []
    pass_time(store, 8 * DAY)
    assert [job for _, job in prunable(store)] == [jobs["completed"]]
    assert prune(store) == 1
    assert prunable(store) == []
    pass_time(store, 23 * DAY)
    assert prune(store) == 2
    assert {job.id for job in store.read_sync(ListJobs())} == {waiting, running}


def test_a_status_that_is_kept_for_ever_or_not_named_stays(store: Store) -> None:
    for status in KEPT:
        finish(store, status)
    pass_time(store, 1000 * DAY)
    assert store.read_sync(FindPrunable({"failed": None})).jobs == ()
    assert len(store.read_sync(FindPrunable({"failed": None, "completed": DAY})).jobs) == 1


def test_a_task_keeps_its_jobs_for_as_long_as_it_has_declared(store: Store) -> None:
    brief, plain = finish(store, "completed", task="brief"), finish(store, "completed", task="plain")
    kept = finish(store, "completed", task="kept")
    store.write_sync(DeclareRetention({"brief": {"completed": 60.0}, "plain": {}, "kept": {"completed": None}}))
    pass_time(store, 61)
    assert [job for _, job in prunable(store)] == [brief]
    assert prunable(store, usual=False) == []
    pass_time(store, 8 * DAY)
    assert [job for _, job in prunable(store)] == [brief, plain]
    store.write_sync(DeclareRetention({"brief": {}, "kept": {}}))
    assert {job for _, job in prunable(store)} == {brief, plain, kept}


def test_a_declaration_is_kept_where_another_worker_does_not_know_the_task(store: Store) -> None:
    finish(store, "completed", task="kept")
    store.write_sync(DeclareRetention({"kept": {"completed": None}}))
    store.write_sync(DeclareRetention({"mine": {"completed": 1.0}}))
    pass_time(store, 8 * DAY)
    assert prunable(store) == []


def test_ended_jobs_are_found_page_by_page(store: Store) -> None:
    """Over jobs that ended at the same moment, and over those that are kept."""
    store.write_sync(Submit(tuple(new_job() for _ in range(12))))
    worker = register(store)
    for number, job in enumerate(claim(store, worker, count=12)):
        fence = Execution(job.id, job.attempt)
        if number % 3:
            complete(store, fence)
        else:
            fail(store, fence)
    pass_time(store, 8 * DAY)
    found: list[Place] = []
    after = None
    while True:
        page = store.read_sync(FindPrunable(KEPT, after=after, limit=5))
        found += page.jobs
        after = page.after
        if after is None:
            break
    assert sorted(found) == sorted(prunable(store))
    assert len(found) == len(set(found)) == 8


def test_a_job_that_was_run_again_meanwhile_is_not_removed(store: Store) -> None:
    again, ended_again = finish(store, "failed"), finish(store, "failed")
    pass_time(store, 31 * DAY)
    found = prunable(store)
    for job in (again, ended_again):
        store.write_sync(Retry(job, None))
    store.write_sync(Cancel(ended_again, None))
    assert len(found) == 2
    assert store.write_sync(Prune(found)) == 0
    assert look(store, again).status is Status.PENDING
    assert look(store, ended_again).status is Status.CANCELLED


def test_a_cursor_behind_which_jobs_were_pruned_cannot_resume(store: Store) -> None:
    assert store.read_sync(CanResume("ann", 0))
    assert not store.read_sync(CanResume("ann", 1))
    finish(store, "failed", owner="ann")
    finish(store, "completed", owner="ann")
    finish(store, "completed", owner="bob")
    (end,) = store.read_sync(Tails((), ("ann",)))[1].values()
    assert all(store.read_sync(CanResume("ann", after)) for after in range(end + 1))
    assert not store.read_sync(CanResume("ann", end + 1))
    pass_time(store, 8 * DAY)
    later = start(store, owner="ann")
    assert prune(store) == 2
    places = (0, end - 1, end, end + 2)
    assert [store.read_sync(CanResume("ann", after)) for after in places] == [False, False, True, True]
    store.write_sync(Settle(later, Completed("1")))
    store.write_sync(Erase(later.job, None))
    assert store.read_sync(CanResume("ann", end))
    pass_time(store, 30 * DAY)
    assert prune(store) == 1
    assert store.read_sync(CanResume("ann", end))


def test_totals_never_fall_when_jobs_are_removed(store: Store) -> None:
    erased, _ = finish(store, "completed"), finish(store, "completed")
    finish(store, "failed")
    store.write_sync(Erase(erased, None))
    assert counted(store, Status.COMPLETED) == (1, 1)
    store.write_sync(FoldCounts())
    pass_time(store, 100 * DAY)
    prune(store)
    assert (counted(store, Status.COMPLETED), counted(store, Status.FAILED)) == ((0, 2), (0, 1))
    finish(store, "completed")
    store.write_sync(FoldCounts())
    (completed,) = [each for each in store.read_sync(CountJobs()) if each.status is Status.COMPLETED]
    assert isinstance(completed, JobCount)
    assert (completed.jobs, completed.gone) == (1, 2)


def test_a_job_that_is_gone_before_its_end_was_added_up_stays_in_the_totals(store: Store) -> None:
    job = submit(store)
    store.write_sync(FoldCounts())
    store.write_sync(Cancel(job, None))
    store.write_sync(Erase(job, None))
    store.write_sync(FoldCounts())
    assert counted(store, Status.CANCELLED) == (0, 1)


def test_old_notifications_are_removed_and_fresh_ones_stay(store: Store) -> None:
    for _ in range(3):
        store.write_sync(Settle(start(store, owner="ann"), Completed("1", Notice("Old"))))
    pass_time(store, 91 * DAY)
    store.write_sync(Settle(start(store, owner="ann"), Completed("1", Notice("Fresh"))))
    assert store.write_sync(PruneNotifications(90 * DAY)) == 3
    assert store.write_sync(PruneNotifications(90 * DAY)) == 0
    assert [each.title for each in store.read_sync(ListNotifications("ann"))] == ["Fresh"]


def turns_of(store: Store) -> set[str]:
    assert isinstance(store, SQLStore)
    raw = store.database.open_reader()
    try:
        return {row[0] for row in raw.execute("SELECT owner FROM bb_turns").fetchall()}
    finally:
        store.database.close(raw)


def test_owners_who_have_had_their_turns_are_forgotten_by_the_line_and_stay_behind_nobody(store: Store) -> None:
    for owner in ("ann", "bob"):
        for _ in range(3):
            submit(store, owner=owner)
    waiting = [submit(store, "waits", owner="cid") for _ in range(2)]
    for job in claim(store, register(store), count=10):
        assert job.task == "t"
    store.write_sync(PruneLine())
    assert turns_of(store) >= {"ann", "bob"}
    assert [job.id for job in claim(store, register(store, "waits"), waits=None)] == waiting
    store.write_sync(PruneLine())
    assert turns_of(store) == set()
    first, second = submit(store, owner="ann"), submit(store, owner="ann")
    other = submit(store, owner="dan")
    assert [job.id for job in claim(store, register(store))] == [first, other, second]


def test_a_line_in_which_jobs_wait_keeps_its_turns(store: Store) -> None:
    crowd = [submit(store, owner="crowd") for _ in range(5)]
    store.write_sync(PruneLine())
    single = submit(store, owner="single")
    assert [job.id for job in claim(store, register(store))] == [crowd[0], single, *crowd[1:]]
