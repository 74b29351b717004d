"""Budgets of model calls, and what calls took."""

from __future__ import annotations

import heapq
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from backburner.domain.budgets import ANY, EVERYBODY, Bucket, DayBudget
from backburner.domain.ids import new_id
from backburner.domain.job import KeptStep
from backburner.domain.operations import (
    Completed,
    Erase,
    Execution,
    FreeBudgets,
    KeepStep,
    Parked,
    PauseModel,
    Remaining,
    Reservation,
    ReserveBudget,
    Settle,
    SettleBudget,
    Usage,
    UsageByDay,
    UsageOfJob,
    UsageRecord,
)
from backburner.ports import Store
from tests.conformance.conftest import Open
from tests.support.clock import pass_time
from tests.support.making import claim, complete, look, register, start, submit

REQUESTS = Bucket("m", EVERYBODY, "requests", 6)
TOKENS = Bucket("m", EVERYBODY, "tokens", 600)


def somebody() -> Execution:
    return Execution(new_id(), 1)


def ask(
    store: Store,
    *buckets: Bucket,
    execution: Execution | None = None,
    tokens: int = 10,
    cost: int = 0,
    days: tuple[DayBudget, ...] = (),
    owner: str = "",
    model: str = "m",
) -> Reservation:
    wanted = ReserveBudget(execution or somebody(), "s", model, owner, tokens, cost, buckets, days)
    return store.write_sync(wanted)


def settle(store: Store, execution: Execution, tokens: int, cost: int = 0, remaining: Remaining | None = None) -> None:
    store.write_sync(SettleBudget(execution, "s", tokens, cost, remaining))


def granted(answer: Reservation) -> bool:
    return answer.wait == 0 and answer.spent is None


def test_a_full_bucket_goes_out_at_once_and_then_as_much_as_flows_in(store: Store) -> None:
    assert [granted(ask(store, REQUESTS)) for _ in range(6)] == [True] * 6
    first, second = somebody(), somebody()
    assert ask(store, REQUESTS, execution=first).wait == pytest.approx(10, abs=1.5)
    assert ask(store, REQUESTS, execution=second, owner="ann").wait == pytest.approx(20, abs=1.5)
    pass_time(store, 10)
    assert granted(ask(store, REQUESTS, execution=first))
    assert not granted(ask(store, REQUESTS, execution=second, owner="ann"))
    pass_time(store, 10)
    assert granted(ask(store, REQUESTS, execution=second, owner="ann"))


def test_nobody_without_a_place_overtakes_those_who_wait(store: Store) -> None:
    big, small = somebody(), somebody()
    ask(store, TOKENS, tokens=500)
    assert ask(store, TOKENS, execution=big, tokens=600).wait == pytest.approx(50, abs=1.5)
    assert ask(store, TOKENS, execution=small, tokens=10, owner="ann").wait == pytest.approx(51, abs=1.5)
    pass_time(store, 50.5)
    assert granted(ask(store, TOKENS, execution=big, tokens=600))


def serve(store: Store, calls: list[tuple[str, int]], *buckets: Bucket, seconds: float) -> list[tuple[float, str, int]]:
    """What is granted, and when, if all of these (owner, tokens) ask at once and each asks again when it is told to."""
    lined = [(0.0, number, owner, tokens, somebody()) for number, (owner, tokens) in enumerate(calls)]
    heapq.heapify(lined)
    served: list[tuple[float, str, int]] = []
    passed = 0.0
    while lined and lined[0][0] <= seconds:
        at, number, owner, tokens, execution = heapq.heappop(lined)
        pass_time(store, at - passed)
        passed = at
        answer = ask(store, *buckets, execution=execution, tokens=tokens, owner=owner)
        if granted(answer):
            served.append((at, owner, tokens))
            settle(store, execution, tokens)
        else:
            heapq.heappush(lined, (at + answer.wait, number, owner, tokens, execution))
    return served


def test_owners_take_turns_however_many_calls_one_of_them_has(store: Store) -> None:
    calls = [*[("ann", 100)] * 30, *[("bob", 100)] * 3, ("cat", 100)]
    served = serve(store, calls, TOKENS, seconds=120)
    assert len(served) == pytest.approx(6 + 2 * 6, abs=1)
    last = {owner: max(at for at, whose, _ in served if whose == owner) for owner in ("bob", "cat")}
    assert last["cat"] <= 31
    assert last["bob"] <= 75


def test_a_line_of_small_calls_starves_no_big_one(store: Store) -> None:
    calls = [*[(f"owner {number}", 20) for number in range(60)], ("big", 500)]
    served = serve(store, calls, TOKENS, seconds=140)
    assert ("big", 500) in [(owner, tokens) for _, owner, tokens in served]


def test_all_buckets_of_a_call_are_taken_or_none(store: Store) -> None:
    ask(store, REQUESTS, TOKENS, tokens=600)
    for _ in range(20):
        assert not granted(ask(store, REQUESTS, TOKENS, tokens=100))
    assert [granted(ask(store, REQUESTS)) for _ in range(5)] == [True] * 5


def test_the_real_usage_replaces_the_estimate(store: Store) -> None:
    mine, other = somebody(), somebody()
    ask(store, TOKENS, execution=mine, tokens=600)
    assert ask(store, TOKENS, execution=other, tokens=300).wait == pytest.approx(30, abs=1.5)
    settle(store, mine, 300)
    assert granted(ask(store, TOKENS, execution=other, tokens=300))
    settle(store, other, 900)
    settle(store, other, 900)
    assert ask(store, TOKENS, tokens=300, owner="ann").wait == pytest.approx(90, abs=1.5)


@pytest.mark.parametrize(("passed", "left"), [(60, 0), (50, 100), (30, 300)])
def test_what_a_call_gives_back_fills_a_bucket_no_further_than_full(store: Store, passed: int, left: int) -> None:
    mine, other = somebody(), somebody()
    ask(store, TOKENS, execution=mine, tokens=600)
    pass_time(store, passed)
    assert granted(ask(store, TOKENS, execution=other, tokens=600 * passed // 60))
    settle(store, mine, 0)
    assert ask(store, TOKENS, tokens=left + 100, owner="ann").wait == pytest.approx(10, abs=1.5)


def test_a_call_of_several_minutes_gives_back_what_nobody_could_use_meanwhile(store: Store) -> None:
    mine = somebody()
    ask(store, TOKENS, execution=mine, tokens=600)
    for _ in range(4):
        pass_time(store, 30)
        assert granted(ask(store, TOKENS, tokens=300))
    settle(store, mine, 400)
    assert granted(ask(store, TOKENS, tokens=200))
    assert not granted(ask(store, TOKENS, tokens=50, owner="ann"))


def test_a_repeated_reservation_takes_nothing_more(store: Store) -> None:
    mine = somebody()
    assert [granted(ask(store, TOKENS, execution=mine, tokens=600)) for _ in range(3)] == [True] * 3
    settle(store, mine, 0)
    assert granted(ask(store, TOKENS, tokens=600))


def test_owners_have_buckets_of_their_own_beside_the_shared_one(store: Store) -> None:
    shared = Bucket(ANY, EVERYBODY, "requests", 3)

    def once(owner: str) -> bool:
        return granted(ask(store, shared, Bucket("m", owner, "requests", 2), owner=owner))

    assert [once("ann"), once("ann"), once("ann"), once("bob"), once("bob")] == [True, True, False, True, False]


def test_several_stores_never_take_more_than_the_bucket_holds(open_store: Open) -> None:
    stores = [open_store() for _ in range(2)]
    barrier = threading.Barrier(8)

    def many(number: int) -> int:
        barrier.wait()
        got = [granted(ask(stores[number % 2], REQUESTS, TOKENS, tokens=150)) for _ in range(5)]
        return sum(got)

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(many, range(8))) == 4


def test_a_pause_holds_for_everybody_and_the_line_moves_back(open_store: Open) -> None:
    one, other = open_store(), open_store()
    waiting = somebody()
    ask(one, TOKENS, tokens=600)
    ask(one, TOKENS, execution=waiting, tokens=600)
    other.write_sync(PauseModel("m", 120))
    other.write_sync(PauseModel("m", 30))
    assert ask(other).wait == pytest.approx(120, abs=1.5)
    assert ask(one, TOKENS, execution=waiting, tokens=600).wait == pytest.approx(180, abs=1.5)
    assert granted(ask(one, model="another"))
    pass_time(other, 121)
    assert granted(ask(other))


def test_what_the_endpoint_says_is_left_is_heeded(store: Store) -> None:
    mine = somebody()
    ask(store, REQUESTS, TOKENS, execution=mine)
    settle(store, mine, 10, remaining=Remaining(requests=1, tokens=100))
    assert granted(ask(store, REQUESTS, TOKENS))
    assert ask(store, REQUESTS).wait == pytest.approx(10, abs=1.5)
    other = somebody()
    ask(store, model="n", execution=other)
    settle(store, other, 10, remaining=Remaining(tokens=0, tokens_reset=40.0))
    assert ask(store, model="n").wait == pytest.approx(40, abs=1.5)


def test_a_days_budget_is_refused_with_what_is_used_and_begins_again_at_midnight(store: Store) -> None:
    day = DayBudget(ANY, "ann", "tokens", 1000)
    mine = somebody()
    assert granted(ask(store, execution=mine, tokens=800, days=(day,), owner="ann"))
    spent = ask(store, tokens=300, days=(day,), owner="ann").spent
    assert spent is not None
    assert (day, 800, 300) == (spent.budget, spent.used, spent.needed)
    assert spent.resets_at % 86_400_000_000 == 0
    assert 0 < spent.resets_at - spent.now <= 86_400_000_000
    settle(store, mine, 500)
    assert granted(ask(store, tokens=300, days=(day,), owner="ann"))
    assert not granted(ask(store, tokens=300, days=(day,), owner="ann"))
    pass_time(store, 86_400)
    assert granted(ask(store, tokens=900, days=(day,), owner="ann"))


def test_a_refusal_takes_from_no_other_budget(store: Store) -> None:
    day = DayBudget("m", "ann", "cost", 50)
    for _ in range(10):
        assert ask(store, REQUESTS, cost=60, days=(day,), owner="ann").spent is not None
    assert [granted(ask(store, REQUESTS)) for _ in range(6)] == [True] * 6


def test_a_days_budget_that_is_set_later_counts_from_the_beginning_of_the_day(store: Store) -> None:
    execution = start(store, owner="ann")
    store.write_sync(KeepStep(execution, KeptStep("a", 0, "k", "1"), usage=Usage("m", 300, 100, 7)))
    for model, kind, used in [("m", "tokens", 400), (ANY, "cost", 7), ("n", "tokens", 0)]:
        day = DayBudget(model, "ann", kind, 1)  # type: ignore[arg-type]
        called = "m" if model == ANY else model
        spent = ask(store, tokens=5, cost=5, days=(day,), owner="ann", model=called).spent
        assert spent is not None
        assert used == spent.used


def test_what_an_execution_that_is_over_had_reserved_is_given_back(store: Store) -> None:
    day = DayBudget(ANY, "ann", "tokens", 1000)
    execution = start(store, owner="ann")
    assert granted(ask(store, TOKENS, execution=execution, tokens=600, days=(day,), owner="ann"))
    assert store.write_sync(FreeBudgets()) == 0
    complete(store, execution)
    assert store.write_sync(FreeBudgets()) == 1
    assert granted(ask(store, TOKENS, execution=start(store), tokens=600, days=(day,), owner="ann"))


def test_a_place_in_line_outlives_a_park_and_not_the_job(store: Store) -> None:
    ask(store, TOKENS, execution=start(store), tokens=600)
    parked = start(store)
    wait = ask(store, TOKENS, execution=parked, tokens=600).wait
    store.write_sync(Settle(parked, Parked("budget", wait)))
    assert look(store, parked.job).waiting_for == "budget"
    assert store.write_sync(FreeBudgets()) == 0
    later = start(store)
    assert ask(store, TOKENS, execution=later, tokens=600, owner="bob").wait == pytest.approx(120, abs=2.5)
    pass_time(store, wait)
    (again,) = claim(store, register(store))
    assert again.id == parked.job
    assert granted(ask(store, TOKENS, execution=Execution(again.id, again.attempt), tokens=600))
    third = start(store)
    assert ask(store, TOKENS, execution=third, tokens=600, owner="cat").wait == pytest.approx(120, abs=2.5)
    complete(store, later)
    assert store.write_sync(FreeBudgets()) == 1
    assert ask(store, TOKENS, execution=third, tokens=600, owner="cat").wait == pytest.approx(60, abs=2.5)


@pytest.mark.parametrize("model", ["m", ANY])
def test_a_line_that_everybody_has_left_is_in_nobodys_way(store: Store, model: str) -> None:
    one_a_minute = Bucket(model, EVERYBODY, "requests", 1)
    ask(store, one_a_minute)
    assert not granted(ask(store, one_a_minute))
    store.write_sync(PauseModel("m", 30))
    while store.write_sync(FreeBudgets()):
        pass
    pass_time(store, 61)
    assert granted(ask(store, one_a_minute))


def test_a_line_that_some_have_left_is_kept_for_the_others(store: Store) -> None:
    one_a_minute = Bucket("m", EVERYBODY, "requests", 1)
    ask(store, one_a_minute)
    waiting = start(store)
    assert not granted(ask(store, one_a_minute, execution=waiting))
    assert not granted(ask(store, one_a_minute, owner="bob"))
    store.write_sync(PauseModel("m", 30))
    while store.write_sync(FreeBudgets()):
        pass
    pass_time(store, 61)
    assert not granted(ask(store, one_a_minute, owner="cleo"))


def test_who_waits_goes_on_as_soon_as_others_have_taken_less(store: Store) -> None:
    """A whole minute was reserved, and nothing taken."""
    greedy = start(store)
    assert granted(ask(store, TOKENS, execution=greedy, tokens=600))
    waiting = [start(store, owner=owner) for owner in ("ann", "bob")]
    for execution, owner in zip(waiting, ("ann", "bob"), strict=True):
        wait = ask(store, TOKENS, execution=execution, tokens=300, owner=owner).wait
        store.write_sync(Settle(execution, Parked("budget", wait)))
    worker = register(store)
    assert claim(store, worker) == []
    settle(store, greedy, 0)
    again = claim(store, worker)
    assert sorted(each.id for each in again) == sorted(each.job for each in waiting)
    for each in again:
        owner = look(store, each.id).owner or ""
        assert granted(ask(store, TOKENS, execution=Execution(each.id, each.attempt), tokens=300, owner=owner))


def test_who_waits_for_something_else_is_not_called(store: Store) -> None:
    greedy, patient = start(store), start(store)
    assert granted(ask(store, TOKENS, execution=greedy, tokens=600))
    other = Bucket("another", EVERYBODY, "requests", 1)
    assert granted(ask(store, other, model="another"))
    wait = ask(store, other, execution=patient, model="another").wait
    store.write_sync(Settle(patient, Parked("budget", wait)))
    settle(store, greedy, 2)
    assert claim(store, register(store)) == []


def test_a_new_attempt_gives_back_what_the_last_one_had_reserved(store: Store) -> None:
    job = submit(store, owner="ann")
    day = DayBudget(ANY, "ann", "tokens", 1000)
    for attempt in (1, 2):
        answer = ask(store, TOKENS, execution=Execution(job, attempt), tokens=600, days=(day,), owner="ann")
        assert granted(answer)
    settle(store, Execution(job, 1), 0)
    assert ask(store, TOKENS, tokens=600).wait > 50


def keep_call(store: Store, execution: Execution, name: str, usage: Usage, times: int = 1) -> None:
    for _ in range(times):
        store.write_sync(KeepStep(execution, KeptStep(name, 0, "k", "1"), usage=usage))


def taken(store: Store, **more: Any) -> list[UsageRecord]:
    return list(store.read_sync(UsageByDay(0, **more)))


def test_usage_is_counted_once_by_job_and_by_owner_model_and_day(store: Store) -> None:
    first, second, nobodys = start(store, owner="ann"), start(store, owner="ann"), start(store)
    keep_call(store, first, "a", Usage("m", 10, 3, 130), times=2)
    keep_call(store, first, "b", Usage("n", 1, 1))
    keep_call(store, second, "a", Usage("m", 5, 2, 70, calls=2))
    keep_call(store, nobodys, "a", Usage("m", 1, 1))
    (day,) = {each.day for each in taken(store)}
    assert [
        UsageRecord(day, "", "m", 1, 1, 1, None),
        UsageRecord(day, "ann", "m", 3, 15, 5, 200),
        UsageRecord(day, "ann", "n", 1, 1, 1, None),
    ] == taken(store)
    assert [UsageRecord(day, "ann", "m", 3, 15, 5, 200)] == taken(store, owner="ann", model="m")
    assert [UsageRecord(day, "ann", "n", 1, 1, 1, None)] == taken(store, model="n")
    assert (
        UsageRecord(day, "ann", "m", 1, 10, 3, 130),
        UsageRecord(day, "ann", "n", 1, 1, 1, None),
    ) == store.read_sync(UsageOfJob(first.job))
    record = look(store, first.job)
    assert (11, 4, 130e-9) == (record.input_tokens, record.output_tokens, record.cost)
    assert look(store, nobodys.job).cost is None


def test_the_days_of_an_owner_outlive_the_job(store: Store) -> None:
    execution = start(store, owner="ann")
    keep_call(store, execution, "a", Usage("m", 10, 3))
    store.write_sync(Settle(execution, Completed("1")))
    before = taken(store, owner="ann")
    store.write_sync(Erase(execution.job, "ann"))
    assert before == taken(store, owner="ann")
    assert store.read_sync(UsageOfJob(execution.job)) == ()


def test_days_are_those_of_utc_and_the_latest_comes_first(store: Store) -> None:
    for name in ("a", "b"):
        keep_call(store, start(store, owner="ann"), name, Usage("m", 1, 1))
        pass_time(store, 86_400)
    later, earlier = taken(store)
    assert earlier.day + 1 == later.day
    assert [later] == list(store.read_sync(UsageByDay(later.day)))
