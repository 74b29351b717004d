from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from backburner.domain.errors import LeaseLost
from backburner.domain.job import Status
from backburner.domain.operations import UNLIMITED, Claim, Execution, ListWorkers, Renew, Rescue, Retire, Submit
from backburner.ports import Hint, Store
from tests.support.making import claim, complete, look, new_job, refusal, register, start, submit

from .conftest import Open


def test_the_first_in_line_is_the_one_of_highest_priority_and_then_the_oldest(store: Store) -> None:
    low = submit(store, priority=1)
    first, second = submit(store, priority=5), submit(store, priority=5)
    high = submit(store, priority=10)
    assert [job.id for job in claim(store, register(store))] == [high, first, second, low]


def test_priority_and_age_hold_across_tasks(store: Store) -> None:
    one = submit(store, "a", priority=5)
    two = submit(store, "b", priority=9)
    three = submit(store, "a", priority=9)
    assert [job.id for job in claim(store, register(store, "a", "b"), a=None, b=None)] == [two, three, one]


def test_jobs_of_one_submit_are_claimed_in_their_order(store: Store) -> None:
    jobs = tuple(new_job() for _ in range(150))
    store.write_sync(Submit(jobs))
    worker = register(store)
    taken = [job.id for _ in range(3) for job in claim(store, worker, count=50)]
    assert taken == [job.id for job in jobs]


def test_a_claim_takes_no_more_than_it_asks_for(store: Store) -> None:
    for _ in range(5):
        submit(store)
    worker = register(store)
    assert [len(claim(store, worker, count=3)) for _ in range(3)] == [3, 2, 0]


def test_a_worker_gets_only_jobs_of_tasks_it_knows(store: Store) -> None:
    submit(store, "stranger")
    mine = submit(store, "mine")
    assert [job.id for job in claim(store, register(store, "mine"), mine=None)] == [mine]


def test_a_claimed_job_says_what_the_worker_needs(store: Store) -> None:
    job = submit(store, args='{"n":1}', owner="ann", priority=7, max_tries=4)
    (claimed,) = claim(store, register(store))
    assert (claimed.id, claimed.task, claimed.attempt, claimed.tries, claimed.max_tries) == (job, "t", 1, 0, 4)
    assert (claimed.owner, claimed.priority, claimed.args, claimed.steps) == ("ann", 7, '{"n":1}', ())
    record = look(store, job)
    assert (record.status, record.waiting_for, record.attempt) == (Status.RUNNING, None, 1)
    assert record.started_at is not None


def test_a_tasks_limit_is_exact_over_claims_and_workers(store: Store) -> None:
    for _ in range(6):
        submit(store)
    one, two = register(store), register(store)
    taken = claim(store, one, count=2, t=3)
    assert len(taken) == 2
    assert len(claim(store, two, count=10, t=3)) == 1
    assert claim(store, one, count=10, t=3) == []
    complete(store, Execution(taken[0].id, taken[0].attempt))
    assert len(claim(store, two, count=10, t=3)) == 1


def test_a_task_at_its_limit_does_not_hold_up_the_others(store: Store) -> None:
    for _ in range(3):
        submit(store, "full", priority=10)
    free = submit(store, "free", priority=1)
    taken = claim(store, register(store, "full", "free"), count=10, full=1, free=None)
    assert [job.task for job in taken] == ["full", "free"]
    assert taken[1].id == free


def test_a_limit_holds_while_workers_claim_at_once(open_store: Open) -> None:
    stores = [open_store(), open_store()]
    stores[0].write_sync(Submit(tuple(new_job() for _ in range(40))))
    workers = [register(store) for store in stores for _ in range(2)]
    barrier = threading.Barrier(4)

    def grab(number: int) -> int:
        barrier.wait()
        return sum(len(claim(stores[number % 2], workers[number], count=2, t=7)) for _ in range(5))

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(grab, range(4))) == 7


def test_no_job_is_given_to_two_workers(open_store: Open) -> None:
    stores = [open_store(), open_store()]
    stores[0].write_sync(Submit(tuple(new_job() for _ in range(100))))
    barrier = threading.Barrier(2)

    def grab(store: Store) -> list[str]:
        worker = register(store)
        barrier.wait()
        return [job.id for _ in range(30) for job in claim(store, worker, count=3)]

    with ThreadPoolExecutor(2) as pool:
        taken = [job for each in pool.map(grab, stores) for job in each]
    assert len(taken) == len(set(taken)) == 100


def test_a_delayed_job_waits_and_the_claim_says_when_it_is_due(store: Store) -> None:
    job = submit(store, delay=3600.0)
    claims = store.write_sync(Claim(register(store), {"t": UNLIMITED}, 10))
    assert claims.jobs == ()
    record = look(store, job)
    assert record.waiting_for == "time"
    assert claims.wait is not None
    assert 3500 < claims.wait <= 3600
    assert record.run_at is not None
    assert abs(record.run_at - record.created_at - 3_600_000_000) < 1000


def test_a_job_whose_time_has_come_is_claimed(store: Store) -> None:
    job = submit(store, run_at=1)
    other = submit(store, delay=0.001)
    worker = register(store)
    taken: list[str] = []
    while len(taken) < 2:
        taken += [each.id for each in claim(store, worker)]
    assert taken[0] == job
    assert taken[1] == other


def test_more_delayed_jobs_than_one_claim_moves_are_all_claimed_in_time(store: Store) -> None:
    store.write_sync(Submit(tuple(new_job(delay=0.001) for _ in range(250))))
    worker = register(store)
    taken = 0
    while taken < 250:
        taken += len(claim(store, worker, count=64))
    assert claim(store, worker) == []


def test_a_worker_that_was_given_up_gets_no_jobs(store: Store) -> None:
    worker = register(store)
    store.write_sync(Rescue((worker,), expired=False, cap=5))
    job = submit(store)
    assert refusal(lambda: claim(store, worker)) is LeaseLost
    assert look(store, job).status is Status.PENDING


def test_a_worker_that_never_signed_on_gets_no_jobs(store: Store) -> None:
    assert refusal(lambda: claim(store, "nobody")) is LeaseLost


def test_renewing_says_whether_the_worker_still_counts(store: Store) -> None:
    worker = register(store)
    assert store.write_sync(Renew(worker, 30.0)) is True
    store.write_sync(Rescue((worker,), expired=False, cap=5))
    assert store.write_sync(Renew(worker, 30.0)) is False


def test_a_renewed_lease_keeps_a_worker_from_expiring(store: Store) -> None:
    worker = register(store, lease=0.0)
    store.write_sync(Renew(worker, 60.0))
    assert store.write_sync(Rescue((), expired=True, cap=5)) == 0
    assert [each.id for each in store.read_sync(ListWorkers())] == [worker]


def test_jobs_of_an_expired_worker_go_back_into_the_line(store: Store) -> None:
    job = submit(store)
    expired, alive = register(store, lease=0.0), register(store)
    claim(store, expired)
    assert store.write_sync(Rescue((), expired=True, cap=5)) == 1
    assert [each.id for each in store.read_sync(ListWorkers())] == [alive]
    (again,) = claim(store, alive)
    assert (again.id, again.attempt, again.tries) == (job, 2, 0)


def test_a_rescue_without_expiry_leaves_expired_workers_alone(store: Store) -> None:
    submit(store)
    expired = register(store, lease=0.0)
    claim(store, expired)
    assert store.write_sync(Rescue((), expired=False, cap=5)) == 0
    assert store.write_sync(Rescue(("nobody",), expired=False, cap=5)) == 0


def test_a_job_that_kills_its_workers_fails_after_the_cap(store: Store) -> None:
    job = submit(store, owner="ann")
    for death in range(1, 4):
        worker = register(store)
        assert len(claim(store, worker)) == 1
        store.write_sync(Rescue((worker,), expired=False, cap=3))
        assert look(store, job).rescues == death
    record = look(store, job)
    assert record.status is Status.FAILED
    assert record.error is not None
    assert "died 3 times" in record.error.detail
    assert record.tries == 0


def test_the_worker_list_counts_what_each_runs(store: Store) -> None:
    for _ in range(3):
        submit(store)
    busy, idle = register(store, "t", "u"), register(store)
    claim(store, busy, count=2)
    found = {each.id: each for each in store.read_sync(ListWorkers())}
    assert (found[busy].running, found[idle].running) == (2, 0)
    assert found[busy].tasks == ("t", "u")


def test_a_worker_that_retires_leaves_no_job_behind(store: Store) -> None:
    job = submit(store)
    worker = register(store)
    claim(store, worker)
    store.write_sync(Retire(worker))
    record = look(store, job)
    assert (record.status, record.tries, record.rescues) == (Status.PENDING, 0, 0)
    assert [each.id for each in claim(store, register(store))] == [job]


def test_a_worker_is_dead_once_its_lock_is_free(open_store: Open) -> None:
    one, two = open_store(), open_store()
    worker = register(one)
    unlock = one.lock_worker(worker)
    assert two.dead_workers() == ()
    assert one.dead_workers() == ()
    unlock()
    assert two.dead_workers() == (worker,)
    two.write_sync(Rescue((worker,), expired=False, cap=5))
    assert two.dead_workers() == ()


def test_a_lock_may_be_given_back_twice(store: Store) -> None:
    unlock = store.lock_worker("w")
    unlock()
    unlock()


def test_work_rings_the_bell(open_store: Open) -> None:
    hints: list[Hint] = []
    store = open_store(hints.append)
    submit(store)
    assert hints[-1].work
    assert hints[-1].events
    execution = start(store, "u")
    before = len(hints)
    complete(store, execution)
    assert any(hint.events for hint in hints[before:])
