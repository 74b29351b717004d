"""Whose turn it is: owners, queues, and what limits leave to each."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from backburner.domain.job import Claimed, Status
from backburner.domain.operations import (
    Cancel,
    Claim,
    CountJobs,
    Execution,
    Limit,
    ListQueues,
    PauseQueue,
    PruneLine,
    Retry,
    Settle,
    Submit,
)
from backburner.domain.operations import Completed as Done
from backburner.ports import Store
from tests.support.making import claim, complete, fail, look, new_job, register, submit

from .conftest import Open


def take(store: Store, worker: str, limit: Limit, count: int = 10, queue: Limit | None = None) -> list[Claimed]:
    queues = {"default": queue} if queue is not None else {}
    return list(store.write_sync(Claim(worker, {"t": limit}, count, queues)).jobs)


def end(store: Store, job: Claimed) -> None:
    store.write_sync(Settle(Execution(job.id, job.attempt), Done("null"), limited=True))


def test_an_owner_with_many_waiting_jobs_delays_another_by_none_of_them(store: Store) -> None:
    store.write_sync(Submit(tuple(new_job(owner="ann") for _ in range(1000))))
    worker = register(store)
    claim(store, worker, count=20)
    bobs = submit(store, owner="bob")
    assert bobs in [job.id for job in claim(store, worker, count=2)]


def test_owners_take_turns(store: Store) -> None:
    for owner in ("ann", "bob", "eve"):
        store.write_sync(Submit(tuple(new_job(owner=owner) for _ in range(20))))
    taken = Counter(job.owner for job in claim(store, register(store), count=30))
    assert taken == {"ann": 10, "bob": 10, "eve": 10}


def test_who_comes_back_has_saved_no_turns(store: Store) -> None:
    worker = register(store)
    submit(store, owner="bob")
    claim(store, worker)
    store.write_sync(Submit(tuple(new_job(owner="ann") for _ in range(200))))
    claim(store, worker, count=100)
    store.write_sync(Submit(tuple(new_job(owner="bob") for _ in range(50))))
    taken = Counter(job.owner for job in claim(store, worker, count=40))
    assert taken == {"ann": 20, "bob": 20}


def test_priority_goes_before_turns(store: Store) -> None:
    worker = register(store)
    store.write_sync(Submit(tuple(new_job(owner="ann", priority=9) for _ in range(10))))
    submit(store, owner="bob", priority=5)
    assert {job.owner for job in claim(store, worker, count=10)} == {"ann"}


def test_jobs_without_an_owner_are_one_owner_among_the_others(store: Store) -> None:
    store.write_sync(Submit(tuple(new_job() for _ in range(100))))
    store.write_sync(Submit(tuple(new_job(owner="ann") for _ in range(100))))
    taken = Counter(job.owner for job in claim(store, register(store), count=20))
    assert taken == {None: 10, "ann": 10}


def test_a_job_that_is_tried_again_pays_for_no_second_turn(store: Store) -> None:
    worker = register(store)
    submit(store, owner="ann")
    (first,) = claim(store, worker)
    store.write_sync(Submit(tuple(new_job(owner="bob") for _ in range(5))))
    fail(store, Execution(first.id, first.attempt), retry_after=0.0)
    assert first.id in [job.id for job in claim(store, worker, count=2)]


def test_a_cancelled_job_counts_as_served_until_the_line_has_run_empty(store: Store) -> None:
    """See docs/decisions/0011-cancelled-turns.md."""
    for job in [submit(store, owner="ann") for _ in range(3)]:
        store.write_sync(Cancel(job, None))
    anns, bobs = submit(store, owner="ann"), [submit(store, owner="bob") for _ in range(3)]
    assert [*bobs, anns] == [job.id for job in claim(store, register(store))]
    store.write_sync(PruneLine())
    later = [submit(store, owner=owner) for owner in ("ann", "bob", "ann", "bob")]
    assert later == [job.id for job in claim(store, register(store))]


def test_an_owners_limit_of_a_task_is_exact_and_lets_others_pass(store: Store) -> None:
    worker, limit = register(store), Limit(owner_concurrency=2)
    store.write_sync(Submit(tuple(new_job(owner="ann") for _ in range(50))))
    bobs = submit(store, owner="bob")
    taken = take(store, worker, limit, count=10)
    assert Counter(job.owner for job in taken) == {"ann": 2, "bob": 1}
    assert take(store, worker, limit) == []
    waiting = [job for job in (look(store, each) for each in _ids(store, "ann")) if job.status is Status.PENDING]
    assert {job.waiting_for for job in waiting} == {"limit"}
    end(store, next(job for job in taken if job.owner == "ann"))
    assert [job.owner for job in take(store, worker, limit)] == ["ann"]
    assert take(store, worker, limit) == []
    assert look(store, bobs).status is Status.RUNNING


def test_jobs_that_were_set_aside_come_back_in_their_order(store: Store) -> None:
    worker, limit = register(store), Limit(owner_concurrency=1)
    jobs = [submit(store, owner="ann") for _ in range(5)]
    seen = []
    for _ in range(5):
        (job,) = take(store, worker, limit)
        seen.append(job.id)
        end(store, job)
    assert seen == jobs


def test_a_job_that_was_set_aside_can_be_cancelled_and_run_again(store: Store) -> None:
    worker, limit = register(store), Limit(owner_concurrency=1)
    first, second = submit(store, owner="ann"), submit(store, owner="ann")
    (job,) = take(store, worker, limit)
    assert (job.id, look(store, second).waiting_for) == (first, "limit")
    assert store.write_sync(Cancel(second, None)).status is Status.CANCELLED
    end(store, job)
    assert take(store, worker, limit) == []
    store.write_sync(Retry(second, None))
    assert [job.id for job in take(store, worker, limit)] == [second]


def test_a_queues_limits_hold_over_its_tasks(store: Store) -> None:
    worker = register(store, "a", "b")
    for task in ("a", "b"):
        store.write_sync(Submit(tuple(new_job(task, owner="ann", queue="q") for _ in range(10))))
        store.write_sync(Submit(tuple(new_job(task, owner="bob", queue="q") for _ in range(10))))
    tasks = {"a": Limit(), "b": Limit()}
    queues = {"q": Limit(concurrency=5, owner_concurrency=3)}
    taken = store.write_sync(Claim(worker, tasks, 20, queues)).jobs
    assert len(taken) == 5
    assert max(Counter(job.owner for job in taken).values()) <= 3
    assert store.write_sync(Claim(worker, tasks, 20, queues)).jobs == ()


def test_a_task_at_its_limit_says_so(store: Store) -> None:
    worker = register(store)
    submit(store)
    second = submit(store)
    assert look(store, second).waiting_for == "turn"
    take(store, worker, Limit(concurrency=1))
    assert look(store, second).waiting_for == "limit"


def test_limits_of_owners_are_exact_while_workers_claim_at_once(open_store: Open) -> None:
    stores = [open_store(), open_store()]
    owners = ["ann", "bob", "eve"]
    for owner in owners:
        stores[0].write_sync(Submit(tuple(new_job(owner=owner) for _ in range(30))))
    workers = [register(store) for store in stores for _ in range(2)]
    limit = Limit(concurrency=7, owner_concurrency=3)
    barrier = threading.Barrier(4)

    def grab(number: int) -> list[Claimed]:
        barrier.wait()
        store = stores[number % 2]
        return [job for _ in range(6) for job in take(store, workers[number], limit, count=2)]

    with ThreadPoolExecutor(4) as pool:
        taken = [job for each in pool.map(grab, range(4)) for job in each]
    assert len(taken) == 7
    assert max(Counter(job.owner for job in taken).values()) <= 3


def test_a_rate_is_exact_in_every_period(store: Store) -> None:
    worker, limit = register(store), Limit(rate=(3, 60.0))
    store.write_sync(Submit(tuple(new_job() for _ in range(10))))
    claims = store.write_sync(Claim(worker, {"t": limit}, 10))
    assert len(claims.jobs) == 3
    for job in claims.jobs:
        complete(store, Execution(job.id, job.attempt))
    again = store.write_sync(Claim(worker, {"t": limit}, 10))
    assert again.jobs == ()
    assert again.wait is not None
    assert 50 < again.wait <= 60
    _move(store, 59)
    assert take(store, worker, limit) == []
    _move(store, 2)
    assert len(take(store, worker, limit)) == 3


def test_a_paused_queue_gives_no_jobs_until_it_is_resumed(store: Store) -> None:
    worker = register(store)
    held = submit(store, queue="slow")
    free = submit(store, queue="default")
    store.write_sync(PauseQueue("slow", paused=True))
    store.write_sync(PauseQueue("slow", paused=True))
    assert [job.id for job in claim(store, worker)] == [free]
    (slow,) = [queue for queue in store.read_sync(ListQueues()) if queue.name == "slow"]
    assert (slow.paused, slow.pending, slow.running) == (True, 1, 0)
    store.write_sync(PauseQueue("slow", paused=False))
    assert [job.id for job in claim(store, worker)] == [held]


def test_what_a_claim_leaves_of_one_line_it_finds_in_another(store: Store) -> None:
    """Lines are read in pages; a page that is used up is turned."""
    worker = register(store, "a", "b")
    for number in range(12):
        submit(store, "a" if number % 4 else "b", priority=5)
    taken = claim(store, worker, count=12, a=None, b=None)
    assert len(taken) == 12
    assert Counter(job.task for job in taken) == {"a": 9, "b": 3}


def test_a_job_that_must_start_before_its_time_and_does_not_has_failed(store: Store) -> None:
    worker = register(store)
    late = submit(store, owner="ann", expires=60.0)
    _move(store, 61)
    fresh = submit(store, expires=60.0)
    assert [job.id for job in claim(store, worker)] == [fresh]
    record = look(store, late)
    assert record.status is Status.FAILED
    assert record.error is not None
    assert record.error.type == "expired"


def test_counts_follow_every_move(store: Store) -> None:
    worker = register(store)
    jobs = [submit(store, owner="ann") for _ in range(4)]
    submit(store, owner="bob")
    store.write_sync(Cancel(jobs[3], None))
    first, second = [job for job in claim(store, worker, count=3) if job.owner == "ann"][:2]
    complete(store, Execution(first.id, first.attempt))
    fail(store, Execution(second.id, second.attempt))
    found = {each.status.value: each.jobs for each in store.read_sync(CountJobs("ann"))}
    assert found == {"pending": 1, "completed": 1, "failed": 1, "cancelled": 1}
    whole = Counter[str]()
    for each in store.read_sync(CountJobs()):
        whole[each.status.value] += each.jobs
    assert sum(whole.values()) == 5


def _ids(store: Store, owner: str) -> list[str]:
    from backburner.domain.operations import ListJobs

    return [job.id for job in store.read_sync(ListJobs(owner=owner, limit=200))]


def _move(store: Store, seconds: float) -> None:
    store.database.shift += int(seconds * 1e6)  # type: ignore[attr-defined]  # every store here has a database
