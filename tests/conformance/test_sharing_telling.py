"""What jobs tell of shared work beside its result: text that is folded, usage counted once, a place in the line."""

from __future__ import annotations

import pytest

from backburner.domain.ids import new_id
from backburner.domain.job import KeptStep, Status
from backburner.domain.operations import (
    Cancel,
    Execution,
    FoldTexts,
    KeepStep,
    Outlooks,
    RegisterWorker,
    Retry,
    Usage,
    UsageByDay,
    UsageOfJob,
)
from backburner.ports import Store
from tests.support.clock import pass_time
from tests.support.making import claim, complete, fail, kinds, log_of, look, register, say, submit
from tests.support.sharing import assert_exact, put, take, text_of

from .conftest import Open
from .test_folding import TEN_MINUTES, fold, in_events

NEAR = 2.0
"""Seconds that a slow machine may take for a test's own steps."""


def spend(store: Store, execution: Execution, name: str = "llm") -> None:
    usage = Usage("gpt", 10, 5, 2_000_000)
    store.write_sync(KeepStep(execution, KeptStep(name, 0, "key", "1"), (), usage))


def test_the_text_of_every_job_is_folded_when_it_has_ended(open_store: Open) -> None:
    store = open_store()
    first, gone = put(store), put(store)
    execution = take(store)
    for number in range(3):
        say(store, execution, f"{number} ")
    store.write_sync(Cancel(gone, None))
    late = put(store)
    say(store, execution, "end")
    jobs = {first: "0 1 2 end", gone: "0 1 2 ", late: "0 1 2 end"}
    before = {job: log_of(store, job) for job in jobs}
    complete(store, execution)
    pass_time(store, TEN_MINUTES + 1)
    fold(store)
    for job, text in jobs.items():
        assert in_events(store, job) == 0
        assert log_of(store, job)[: len(before[job])] == before[job]
        assert text_of(store, job) == {"main": text}
    assert not store.write_sync(FoldTexts())
    assert_exact(store, "ann")


def test_what_is_told_again_after_a_fold_is_folded_too(open_store: Open) -> None:
    store = open_store()
    job = put(store)
    execution = take(store)
    say(store, execution, "lost ")
    say(store, execution, "words")
    fail(store, execution)
    pass_time(store, TEN_MINUTES + 1)
    fold(store)
    store.write_sync(Retry(job, None))
    again = take(store)
    say(store, again, "found ")
    say(store, again, "them")
    complete(store, again)
    pass_time(store, TEN_MINUTES + 1)
    fold(store)
    assert in_events(store, job) == 0
    assert text_of(store, job) == {"main": "found them"}


def test_one_owners_jobs_all_show_what_the_work_took_and_it_is_counted_once(store: Store) -> None:
    jobs = [put(store), put(store)]
    execution = take(store)
    spend(store, execution)
    jobs.append(put(store))
    complete(store, execution)
    answered = put(store)
    for job in jobs:
        record = look(store, job)
        assert (record.input_tokens, record.output_tokens, record.cost) == (10, 5, 0.002)
        (usage,) = store.read_sync(UsageOfJob(job))
        assert (usage.owner, usage.model, usage.calls, usage.cost) == ("ann", "gpt", 1, 2_000_000)
    assert look(store, answered).cost is None
    assert store.read_sync(UsageOfJob(answered)) == ()
    (day,) = store.read_sync(UsageByDay(0))
    assert (day.owner, day.calls, day.input_tokens, day.cost) == ("ann", 1, 10, 2_000_000)


def test_work_for_everyone_is_paid_by_the_owner_who_began_it(store: Store) -> None:
    began, joined = (put(store, owner=owner, everyone=True) for owner in ("ann", "bob"))
    execution = take(store)
    spend(store, execution)
    late = put(store, owner="cyd", everyone=True)
    complete(store, execution)
    assert (look(store, began).input_tokens, look(store, began).cost) == (10, 0.002)
    assert [each.owner for each in store.read_sync(UsageOfJob(began))] == ["ann"]
    for job in (joined, late):
        assert (look(store, job).input_tokens, look(store, job).output_tokens, look(store, job).cost) == (0, 0, None)
        assert store.read_sync(UsageOfJob(job)) == ()
        assert "usage" not in str([event.data for event in log_of(store, job)])
        assert "step.completed" in kinds(store, job)
    assert [(day.owner, day.calls) for day in store.read_sync(UsageByDay(0))] == [("ann", 1)]


def test_every_job_tells_the_place_and_the_end_of_what_it_shares(open_store: Open) -> None:
    store = open_store()
    measured = put(store, "measured")
    execution = take(store)
    pass_time(store, 30.0)
    complete(store, execution)
    assert look(store, measured).status is Status.COMPLETED
    store.write_sync(RegisterWorker(new_id(), 1e6, ("t",), 1))
    before = submit(store)
    jobs = [put(store), put(store)]
    told = store.read_sync(Outlooks((before, *jobs)))
    assert [told[job].position for job in (before, *jobs)] == [1, 2, 2]
    assert [told[job].eta_seconds for job in jobs] == pytest.approx([60.0, 60.0], abs=NEAR)
    claim(store, register(store), 1)
    take(store)
    pass_time(store, 10.0)
    jobs.append(put(store))
    told = store.read_sync(Outlooks(jobs))
    assert [told[job].position for job in jobs] == [None] * 3
    assert [told[job].eta_seconds for job in jobs] == pytest.approx([20.0] * 3, abs=NEAR)
