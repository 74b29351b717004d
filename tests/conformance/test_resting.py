"""Rows that names leave behind: those at rest are removed, and nobody who comes meanwhile loses by it."""

from __future__ import annotations

import contextlib

from backburner.domain.budgets import ANY, EVERYBODY, Bucket, DayBudget
from backburner.domain.ids import new_id
from backburner.domain.operations import (
    Claim,
    Completed,
    Execution,
    Limit,
    PruneLine,
    ReserveBudget,
    Settle,
    SettleBudget,
    Submit,
)
from backburner.ports import Store
from backburner.store import claiming, pruning
from backburner.store.store import SQLStore
from tests.conformance.conftest import Open
from tests.support.clock import pass_time
from tests.support.making import claim, look, new_job, register, submit
from tests.support.open_transactions import held_open, meanwhile

DAYS = 3 * 86_400.0
ONE = {"t": Limit(1)}
QUEUES = {"default": Limit(5)}
NAMED = ("bb_lines", "bb_limits", "bb_buckets", "bb_day_budgets")


def rows(store: Store) -> dict[str, int]:
    """How many the tables have that have one for each name."""
    assert isinstance(store, SQLStore)
    raw = store.database.open_reader()
    try:
        return {table: raw.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in NAMED}
    finally:
        store.database.close(raw)


def prune(store: Store) -> None:
    while store.write_sync(PruneLine()):
        pass


def work_once(store: Store) -> None:
    """A job of a limited task in a limited queue, and a model call within budgets."""
    submit(store, owner="ann")
    (job,) = store.write_sync(Claim(register(store), ONE, 10, QUEUES)).jobs
    store.write_sync(Settle(Execution(job.id, job.attempt), Completed("null"), limited=True))
    call = reservation()
    store.write_sync(call)
    store.write_sync(SettleBudget(call.execution, "s", 10, 0, None))


def reservation() -> ReserveBudget:
    buckets = (Bucket("m", EVERYBODY, "requests", 6), Bucket(ANY, "ann", "tokens", 600))
    return ReserveBudget(
        Execution(new_id(), 1), "s", "m", "ann", 10, 0, buckets, (DayBudget("m", "ann", "tokens", 1000),)
    )


def test_what_names_left_behind_is_removed_after_a_day_of_rest(store: Store) -> None:
    work_once(store)
    before = rows(store)
    assert {"bb_lines": 1, "bb_limits": 2, "bb_buckets": 2, "bb_day_budgets": 1} == before
    prune(store)
    assert before == rows(store)
    pass_time(store, DAYS)
    prune(store)
    assert dict.fromkeys(NAMED, 0) == rows(store)
    work_once(store)
    assert before == rows(store), "and made anew by whoever comes"


def test_more_than_one_transaction_removes_is_removed_in_parts(store: Store) -> None:
    store.write_sync(Submit(tuple(new_job(f"t{number}") for number in range(250))))
    assert 250 == len(claim(store, register(store, "t"), 300, **{f"t{number}": None for number in range(250)}))
    pass_time(store, DAYS)
    prune(store)
    assert 0 == rows(store)["bb_lines"]


def test_what_is_in_use_stays(store: Store) -> None:
    worker = register(store)
    store.write_sync(Submit(tuple(new_job(owner="ann") for _ in range(2))))
    each = {"t": Limit(owner_concurrency=1)}
    (runs,) = store.write_sync(Claim(worker, each, 10)).jobs
    store.write_sync(reservation())
    pass_time(store, DAYS)
    prune(store)
    assert {"bb_lines": 0, "bb_limits": 1, "bb_buckets": 0 + 2, "bb_day_budgets": 0} == rows(store)
    store.write_sync(Settle(Execution(runs.id, runs.attempt), Completed("null"), limited=True))
    assert 1 == len(store.write_sync(Claim(worker, each, 10)).jobs), "what was set aside is brought back"
    waits = submit(store, "other")
    pass_time(store, DAYS)
    prune(store)
    assert [waits] == [job.id for job in claim(store, register(store, "other"), other=None)]


def test_a_limit_that_is_being_removed_is_exact_for_those_who_come_meanwhile(concurrent: Open) -> None:
    store, other, third = concurrent(), concurrent(), concurrent()
    work_once(store)
    for each in (store, other, third):
        pass_time(each, DAYS)
    prune(store)  # the line; the limits are at rest now
    work_once(store)
    for each in (store, other, third):
        pass_time(each, DAYS)
    claims = [Claim(register(each), ONE, 10, QUEUES) for each in (other, third)]

    def remove_and_submit(batch: pruning.Batch) -> None:
        pruning.prune_line(batch, PruneLine())

    with contextlib.ExitStack() as under_way, held_open(store, remove_and_submit):
        waiting = under_way.enter_context(
            meanwhile(other, Submit(tuple(new_job(owner=owner) for owner in ("ann", "bob"))))
        )
    waiting.result()
    first = held_open(store, lambda batch: claiming.claim(batch, Claim(register(store), ONE, 10, QUEUES)))
    with contextlib.ExitStack() as under_way, first as taken:
        under_way.enter_context(meanwhile(other, PruneLine()))
        answers = [
            under_way.enter_context(meanwhile(each, wanted))
            for each, wanted in zip((other, third), claims, strict=True)
        ]
        assert 1 == len(taken.jobs), "the job that came while its line was removed is there"
    assert [] == [job for answer in answers for job in answer.result().jobs]


def test_a_process_that_knows_a_line_makes_it_again_after_it_was_removed(open_store: Open) -> None:
    store, other = open_store(), open_store()
    work_once(store)
    for each in (store, other):
        pass_time(each, DAYS)
    prune(other)
    job = submit(store)
    assert "turn" == look(store, job).waiting_for
    assert [job] == [found.id for found in claim(other, register(other))]
