"""Operations that happen to share a transaction do what they would do one after the other."""

from __future__ import annotations

from collections import Counter

from backburner.domain.job import Status
from backburner.domain.operations import Claim, ExpireWaiting, Limit, Reclaim
from backburner.ports import Store
from backburner.store import claiming, holding
from backburner.store.failing import expire_waiting
from backburner.store.limiting import bring_back
from tests.support.making import claim, look, register, submit
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
