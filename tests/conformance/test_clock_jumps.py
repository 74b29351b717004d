"""The database's clock may jump, forwards and back: nothing waits for the time that it has left."""

from __future__ import annotations

import time

from backburner.domain.budgets import EVERYBODY, Bucket
from backburner.domain.ids import new_id
from backburner.domain.job import Status
from backburner.domain.operations import (
    Chore,
    Claim,
    Claims,
    CountJobs,
    Execution,
    Limit,
    OpenChores,
    Renew,
    ReserveBudget,
    Submit,
    TakeChore,
)
from backburner.ports import Store
from tests.support.clock import pass_time
from tests.support.making import claim, complete, log_of, look, new_job, register, start, submit

HOUR = 3600
RATED = {"t": Limit(rate=(2, 10.0))}


def claim_rated(store: Store, worker: str, count: int = 10) -> Claims:
    return store.write_sync(Claim(worker, RATED, count))


def test_a_rate_goes_on_after_the_clock_was_put_back(store: Store) -> None:
    worker = register(store)
    for _ in range(4):
        submit(store)
    assert len(claim_rated(store, worker).jobs) == 2
    pass_time(store, -HOUR)
    claims = claim_rated(store, worker)
    assert claims.jobs == ()
    assert claims.wait is not None
    assert 9 < claims.wait <= 10
    pass_time(store, 11)
    assert len(claim_rated(store, worker).jobs) == 2


def test_a_claim_that_uses_up_a_rate_says_when_the_next_start_may_be(store: Store) -> None:
    worker = register(store)
    for _ in range(3):
        submit(store)
    claims = claim_rated(store, worker)
    assert len(claims.jobs) == 2
    assert claims.wait is not None
    assert 9 < claims.wait <= 10


def test_a_budget_goes_on_after_the_clock_was_put_back(store: Store) -> None:
    tokens = Bucket("m", EVERYBODY, "tokens", 600)
    waiting = Execution(new_id(), 1)

    def wait(execution: Execution, amount: int) -> float:
        return store.write_sync(ReserveBudget(execution, "s", "m", "", amount, 0, (tokens,))).wait

    assert wait(Execution(new_id(), 1), 600) == 0
    assert 59 < wait(waiting, 600) <= 60
    pass_time(store, -HOUR)
    assert 59 < wait(waiting, 600) <= 60
    pass_time(store, 30)
    assert 29 < wait(waiting, 600) <= 30
    pass_time(store, 31)
    assert wait(waiting, 600) == 0


def test_no_duration_is_negative_however_the_clock_jumps(store: Store) -> None:
    execution = start(store)
    pass_time(store, -HOUR)
    complete(store, execution)
    (count,) = store.read_sync(CountJobs())
    assert (count.status, count.ran, count.waited >= 0) == (Status.COMPLETED, 0.0, True)
    assert look(store, execution.job).duration_seconds == 0.0
    assert log_of(store, execution.job)[-1].data["duration_seconds"] == 0.0


def test_chores_are_not_left_undone_for_as_long_as_the_clock_was_put_back(store: Store) -> None:
    submit(store)
    assert store.write_sync(TakeChore(Chore.COUNT, 10.0))
    pass_time(store, -2 * HOUR)
    assert Chore.COUNT in store.read_sync(OpenChores())
    assert store.write_sync(TakeChore(Chore.COUNT, 10.0))
    assert not store.write_sync(TakeChore(Chore.COUNT, 10.0))


def test_jobs_that_are_due_at_the_same_moment_are_claimed_by_age(store: Store) -> None:
    worker = register(store)
    at = time.time_ns() // 1000 + HOUR * 1_000_000
    jobs = [new_job(run_at=at) for _ in range(30)]
    store.write_sync(Submit(tuple(reversed(jobs))))
    pass_time(store, 2 * HOUR)
    store.write_sync(Renew(worker, 60.0))
    assert [job.id for job in claim(store, worker, count=30)] == [job.id for job in jobs]
