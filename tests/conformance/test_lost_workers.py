"""What a lost worker held is in the line again, whoever touches it just then, and so is what waited for its slot."""

from __future__ import annotations

import contextlib

import pytest

from backburner.domain.job import Status
from backburner.domain.operations import (
    Cancel,
    Claim,
    Completed,
    Execution,
    Limit,
    ListWorkers,
    Operation,
    Reclaim,
    Rescue,
    Retire,
    Retry,
    Settle,
)
from backburner.ports import Store
from backburner.store import claiming, owning, settling
from tests.support.making import claim, look, register, submit
from tests.support.open_transactions import held_open, meanwhile

from .conftest import Open

ONE_EACH = {"t": Limit(owner_concurrency=1)}

RESCUE = Rescue((), expired=True, cap=5)


def lose(worker: str, how: str) -> Operation[object]:
    return {
        "rescue": Rescue((worker,), expired=False, cap=5),
        "expiry": RESCUE,
        "retire": Retire(worker),
        "reclaim": Reclaim(worker, known=()),
    }[how]


@pytest.mark.parametrize("how", ["rescue", "expiry"])
def test_a_job_that_somebody_holds_while_its_worker_is_lost_is_not_forgotten(concurrent: Open, how: str) -> None:
    store, other = concurrent(), concurrent()
    job, worker = submit(store), register(store, lease=0.0)
    claim(store, worker)
    with held_open(other, lambda batch: owning.cancel(batch, Cancel(job, None))):
        store.write_sync(lose(worker, how))
    store.write_sync(RESCUE)
    assert look(store, job).status is Status.CANCELLED
    assert store.read_sync(ListWorkers()) == ()


def test_a_worker_that_retires_waits_for_whoever_holds_its_job(concurrent: Open) -> None:
    store, other = concurrent(), concurrent()
    job, worker = submit(store), register(store)
    claim(store, worker)
    with contextlib.ExitStack() as under_way, held_open(other, lambda batch: owning.retry(batch, Retry(job, None))):
        under_way.enter_context(meanwhile(store, Retire(worker)))
    assert look(store, job).status is Status.PENDING
    assert store.read_sync(ListWorkers()) == ()


def test_a_worker_that_retires_while_its_job_is_settled_does_not_take_it_back(concurrent: Open) -> None:
    store, other = concurrent(), concurrent()
    job, worker = submit(store), register(store)
    (claimed,) = claim(store, worker)
    done = Settle(Execution(job, claimed.attempt), Completed("1"))
    with contextlib.ExitStack() as under_way, held_open(other, lambda batch: settling.settle(batch, [done])):
        under_way.enter_context(meanwhile(store, Retire(worker)))
    assert look(store, job).status is Status.COMPLETED
    assert claim(store, register(store)) == []


@pytest.mark.parametrize("how", ["rescue", "expiry", "retire"])
def test_a_claim_that_commits_after_its_worker_was_lost_leaves_no_job_to_nobody(concurrent: Open, how: str) -> None:
    store, other = concurrent(), concurrent()
    job, worker = submit(store), register(store, lease=0.0)
    taking = Claim(worker, ONE_EACH, 1)
    with contextlib.ExitStack() as under_way, held_open(other, lambda batch: claiming.claim(batch, taking)):
        under_way.enter_context(meanwhile(store, lose(worker, how)))
    store.write_sync(RESCUE)
    assert look(store, job).status is Status.PENDING
    assert store.read_sync(ListWorkers()) == ()


@pytest.mark.parametrize("how", ["rescue", "expiry", "retire", "reclaim"])
def test_a_slot_that_a_lost_worker_held_brings_back_who_waits_for_it(store: Store, how: str) -> None:
    """The lost job itself will not run again: somebody wants it cancelled."""
    lost, waiting = submit(store, owner="ann"), submit(store, owner="ann")
    worker = register(store, lease=0.0)
    store.write_sync(Claim(worker, ONE_EACH, 2))
    assert look(store, waiting).waiting_for == "limit"
    store.write_sync(Cancel(lost, None))
    store.write_sync(lose(worker, how))
    claims = store.write_sync(Claim(register(store), ONE_EACH, 2))
    assert [job.id for job in claims.jobs] == [waiting]
