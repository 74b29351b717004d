"""What holds while somebody's transaction stays open, where several write at once."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from backburner.domain.errors import DuplicateJob
from backburner.domain.events import Event
from backburner.domain.job import Status
from backburner.domain.operations import (
    AppendText,
    Claim,
    Completed,
    Execution,
    JobEvents,
    Limit,
    Operation,
    OwnerEvents,
    Rescue,
    SetProgress,
    Settle,
    Submit,
    Tails,
    Transact,
)
from backburner.ports import Store
from backburner.store import claiming, running, settling, submitting
from tests.support.making import claim, kinds, look, new_job, refusal, register, start, submit
from tests.support.open_transactions import held_open, meanwhile

from .conftest import Open

ONE_EACH = {"t": Limit(owner_concurrency=1)}


def follow(store: Store, owner: str, seen: list[Event]) -> None:
    """Read on as a reader does: behind the last that it has, up to where the stream ends now."""
    seen += store.read_sync(OwnerEvents(owner, after=len(seen)))
    assert [event.position for event in seen] == list(range(1, len(seen) + 1))
    assert store.read_sync(Tails((), (owner,)))[1].get(owner, 0) == len(seen)


@pytest.mark.parametrize("known", [True, False], ids=["known owner", "new owner"])
def test_a_reader_of_an_owner_skips_no_event_of_a_transaction_that_is_still_open(concurrent: Open, known: bool) -> None:
    store, other, reader = concurrent(), concurrent(), concurrent()
    seen: list[Event] = []
    if known:
        submit(store, owner="ann")
    slow, quick = new_job(owner="ann"), new_job(owner="ann")
    with (
        contextlib.ExitStack() as under_way,
        held_open(other, lambda batch: submitting.submit(batch, [Submit((slow,))])),
    ):
        under_way.enter_context(meanwhile(store, Submit((quick,))))
        follow(reader, "ann", seen)
        assert len(seen) == known
    follow(reader, "ann", seen)
    assert {slow.id, quick.id} == {event.job for event in seen[known:]}


def test_a_reader_of_a_job_skips_no_event_of_a_transaction_that_is_still_open(concurrent: Open) -> None:
    store, other, reader = concurrent(), concurrent(), concurrent()
    execution = start(store, owner="ann")
    words = AppendText(execution, "main", "Once upon a time")
    with contextlib.ExitStack() as under_way, held_open(other, lambda batch: running.append_text(batch, words)):
        under_way.enter_context(meanwhile(store, SetProgress(execution, 50.0, "")))
        seen = list(reader.read_sync(JobEvents(execution.job)))
        assert [event.seq for event in seen] == [1, 2]
        assert reader.read_sync(Tails((execution.job,), ()))[0] == {execution.job: 2}
    seen += reader.read_sync(JobEvents(execution.job, after=2))
    assert [(event.seq, event.kind) for event in seen[2:]] == [(3, "text.delta"), (4, "job.progress")]


def test_an_owner_does_not_wait_for_another_owners_transaction(concurrent: Open) -> None:
    store, other = concurrent(), concurrent()
    submit(store)  # only a task's very first job in a queue is waited for
    slow = new_job(owner="ann")
    with held_open(other, lambda batch: submitting.submit(batch, [Submit((slow,))])):
        quick = submit(store, owner="bob")
        assert [event.job for event in store.read_sync(OwnerEvents("bob"))] == [quick]
        assert store.read_sync(OwnerEvents("ann")) == ()
    assert [event.job for event in store.read_sync(OwnerEvents("ann"))] == [slow.id]


def test_a_slow_transaction_of_an_application_comes_into_the_stream_when_it_commits(concurrent: Open) -> None:
    store, other, reader = concurrent(), concurrent(), concurrent()
    execution = start(store, owner="ann")
    began, go_on = threading.Event(), threading.Event()
    seen: list[Event] = []

    def work(session: object) -> str:
        began.set()
        assert go_on.wait(30)
        return "1"

    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(store.write_sync, Transact(execution, "save", 0, "key", work))
        try:
            assert began.wait(30)
            later = submit(other, owner="ann")
            follow(reader, "ann", seen)
            assert seen[-1].job == later
        finally:
            go_on.set()
        slow.result()
    follow(reader, "ann", seen)
    assert (seen[-1].job, seen[-1].kind) == (execution.job, "step.completed")


@pytest.mark.parametrize(
    "limit", [Limit(3), Limit(owner_concurrency=3), Limit(rate=(3, 3600.0))], ids=["task", "owner", "rate"]
)
@pytest.mark.parametrize("of", ["task", "queue"])
def test_a_limit_is_exact_while_a_claim_stays_open(concurrent: Open, limit: Limit, of: str) -> None:
    if of == "queue" and limit.rate:
        pytest.skip("rates are tasks' only")
    stores = [concurrent() for _ in range(3)]
    stores[0].write_sync(Submit(tuple(new_job(owner="ann") for _ in range(12))))
    tasks, queues = ({"t": limit}, {}) if of == "task" else ({"t": Limit()}, {"default": limit})
    claims = [Claim(register(store), tasks, 2, queues) for store in stores for _ in range(2)]
    with (
        contextlib.ExitStack() as under_way,
        held_open(stores[0], lambda batch: claiming.claim(batch, claims[0])) as first,
    ):
        others = [under_way.enter_context(meanwhile(stores[n % 3], each)) for n, each in enumerate(claims[1:], 1)]
        assert len(first.jobs) == 2
    assert sum(len(each.result().jobs) for each in others) == 1


def test_a_slot_is_not_given_away_before_its_job_has_ended(concurrent: Open) -> None:
    store, other = concurrent(), concurrent()
    job, waiting = submit(store, owner="ann"), submit(store, owner="ann")
    worker = register(store)
    store.write_sync(Claim(worker, ONE_EACH, 1))
    done = Settle(Execution(job, 1), Completed("null"), limited=True)
    with contextlib.ExitStack() as under_way, held_open(other, lambda b: settling.settle(b, [done]), commit=False):
        claims = under_way.enter_context(meanwhile(store, Claim(worker, ONE_EACH, 1)))
    assert claims.result().jobs == ()
    assert (look(store, job).status, look(store, waiting).waiting_for) == (Status.RUNNING, "limit")


@pytest.mark.parametrize("reject", [False, True], ids=["return", "reject"])
@pytest.mark.parametrize("commits", [True, False], ids=["commits", "is undone"])
def test_a_submit_waits_for_the_fate_of_another_with_the_same_key(
    concurrent: Open, reject: bool, commits: bool
) -> None:
    store, other = concurrent(), concurrent()
    first, second = new_job(key="k"), new_job(key="k", reject=reject)
    with (
        contextlib.ExitStack() as under_way,
        held_open(other, lambda batch: submitting.submit(batch, [Submit((first,))]), commits),
    ):
        answer = under_way.enter_context(meanwhile(store, Submit((second,))))
        assert not answer.done()
    if not commits:
        assert answer.result().instead == {}
    elif reject:
        assert refusal(answer.result) is DuplicateJob
    else:
        assert answer.result().instead[second.id].id == first.id
    accepted = first.id if commits else second.id
    assert [job.id for job in claim(store, register(store))] == [accepted]


@pytest.mark.parametrize("how", ["settle", "rescue"])
def test_a_slot_that_is_freed_while_its_successor_is_set_aside_is_not_lost(concurrent: Open, how: str) -> None:
    store, other = concurrent(), concurrent()
    worker, second = register(store), register(store)
    job, waiting = submit(store, owner="ann", max_tries=1), submit(store, owner="ann")
    store.write_sync(Claim(worker, ONE_EACH, 1))
    freeing: Operation[object] = (
        Settle(Execution(job, 1), Completed("null"), limited=True)
        if how == "settle"
        else Rescue((worker,), expired=False, cap=1)
    )
    with (
        contextlib.ExitStack() as under_way,
        held_open(other, lambda batch: claiming.claim(batch, Claim(second, ONE_EACH, 1))) as aside,
    ):
        under_way.enter_context(meanwhile(store, freeing))
        assert aside.jobs == ()
    assert look(store, waiting).waiting_for == "turn"
    assert [each.id for each in store.write_sync(Claim(second, ONE_EACH, 1)).jobs] == [waiting]


def test_a_claim_waits_for_the_slot_that_is_just_given_back(concurrent: Open) -> None:
    store, other = concurrent(), concurrent()
    worker = register(store)
    job, waiting = submit(store, owner="ann"), submit(store, owner="ann")
    store.write_sync(Claim(worker, ONE_EACH, 1))
    done = Settle(Execution(job, 1), Completed("null"), limited=True)
    with contextlib.ExitStack() as under_way, held_open(other, lambda batch: settling.settle(batch, [done])):
        claims = under_way.enter_context(meanwhile(store, Claim(worker, ONE_EACH, 1)))
    assert [each.id for each in claims.result().jobs] == [waiting]
    assert kinds(store, job)[-1] == "job.completed"
