"""Operations that happen to share a transaction do what they would do one after the other."""

from __future__ import annotations

from collections import Counter

from backburner.domain.job import Status
from backburner.domain.operations import Claim, ExpireWaiting, Limit
from backburner.ports import Store
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
