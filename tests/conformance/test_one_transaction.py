"""Operations that happen to share a transaction do what they would do one after the other."""

from __future__ import annotations

from collections import Counter

import pytest

from backburner.domain.errors import LeaseLost
from backburner.domain.job import Status
from backburner.domain.operations import (
    Claim,
    Completed,
    Execution,
    ExpireWaiting,
    GetResult,
    Limit,
    Parked,
    Reclaim,
    Settle,
)
from backburner.ports import Store
from backburner.store import claiming, holding, settling
from backburner.store.failing import expire_waiting
from backburner.store.limiting import bring_back
from tests.support.making import claim, look, register, start, submit
from tests.support.open_transactions import transaction

ONE_EACH = {"t": Limit(owner_concurrency=1)}


def test_a_job_that_is_brought_back_and_expires_in_one_transaction_never_runs(store: Store) -> None:
    submit(store, owner="ann")
    late = submit(store, owner="ann", expires=60.0)
    store.write_sync(Claim(register(store), ONE_EACH, 2))
    assert look(store, late).waiting_for == "limit"
    with transaction(store) as batch:
        bring_back(batch, Counter({("default", "t", "ann"): 1}))
        batch.now += 61_000_000
        assert expire_waiting(batch, ExpireWaiting()) == 1
    assert claim(store, register(store)) == []
    assert look(store, late).status is Status.FAILED


def test_a_job_that_is_started_twice_in_one_transaction_counts_twice_for_its_rate(store: Store) -> None:
    job, worker = submit(store), register(store)
    rated = Claim(worker, {"t": Limit(rate=(2, 60.0))}, 1)
    with transaction(store) as batch:
        first = claiming.claim(batch, rated)
        holding.reclaim(batch, Reclaim(worker, known=()))
        second = claiming.claim(batch, rated)
    assert [(each.id, each.attempt) for each in (*first.jobs, *second.jobs)] == [(job, 1), (job, 2)]
    submit(store)
    assert store.write_sync(rated).jobs == ()


def test_a_lost_attempt_that_settles_does_not_take_the_settlement_of_the_one_that_runs(store: Store) -> None:
    job, worker = submit(store), register(store)
    claim(store, worker)
    store.write_sync(Reclaim(worker, known=()))
    claim(store, worker)
    with transaction(store) as batch:
        both = [Settle(Execution(job, attempt), Completed(str(attempt))) for attempt in (1, 2)]
        lost, done = settling.settle(batch, both)
    assert isinstance(lost, LeaseLost)
    assert done is Status.COMPLETED
    assert store.read_sync(GetResult(job)) == "2"


@pytest.mark.parametrize("first", ["parent", "child"])
def test_a_park_and_the_end_that_it_waits_for_in_one_transaction_lose_no_wake_up(store: Store, first: str) -> None:
    parent = start(store)
    child = start(store)
    park, end = Settle(parent, Parked("child", None, (child.job,))), Settle(child, Completed("1"))
    with transaction(store) as batch:
        settling.settle(batch, [park, end] if first == "parent" else [end, park])
    assert look(store, parent.job).waiting_for == "turn"
    assert [each.id for each in claim(store, register(store))] == [parent.job]
