from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from backburner.store.bucket import MINUTE, Level

START = 1_700_000_000_000_000


def full(per_minute: int) -> Level:
    return Level(per_minute, START - MINUTE, START - MINUTE, 0, START)


@given(
    per_minute=st.integers(1, 1000),
    calls=st.lists(st.tuples(st.integers(0, 30_000_000), st.integers(1, 1000)), min_size=1, max_size=60),
)
def test_no_stretch_of_time_takes_more_than_a_full_bucket_and_what_flows_in(
    per_minute: int, calls: list[tuple[int, int]]
) -> None:
    level, now = full(per_minute), START
    taken: list[tuple[int, int]] = []
    for pause, amount in calls:
        now += pause
        amount = min(amount, per_minute)
        if level.when(amount, now, now, None) <= now:
            level.take(amount, now)
            taken.append((now, amount))
    for first, (begin, _) in enumerate(taken):
        total = 0
        for at, amount in taken[first:]:
            total += amount
            assert total <= per_minute * (1 + (at - begin) / MINUTE) + 1e-6


@given(
    per_minute=st.integers(10, 1000),
    calls=st.lists(
        st.tuples(
            st.integers(0, 60_000_000),
            st.integers(1, 100),
            st.integers(0, 90_000_000),
            st.integers(0, 100),
        ),
        min_size=1,
        max_size=60,
    ),
)
@example(100, [(0, 100, 70_000_000, 0), (60_000_000, 100, 0, 100), (10_000_000, 100, 0, 100)])
@example(
    100,
    [
        *[(0, 50, 35_000_000, 0)] * 2,
        (30_000_000, 50, 0, 100),
        (6_000_000, 50, 0, 100),
        (0, 50, 0, 100),
    ],
)
def test_neither_does_one_in_which_calls_give_back_what_they_did_not_take(
    per_minute: int, calls: list[tuple[int, int, int, int]]
) -> None:
    level, now = full(per_minute), START
    under_way: list[tuple[int, int, int, int]] = []
    taken: list[tuple[int, int]] = []

    def settle(until: int) -> None:
        for over in sorted(each for each in under_way if each[0] <= until):
            under_way.remove(over)
            at, begun, amount, used = over
            level.correct(used - amount, at, begun)

    for pause, part, length, percent in calls:
        now += pause
        settle(now)
        amount = per_minute * part // 100
        if level.when(amount, now, now, None) <= now:
            level.take(amount, now)
            used = amount * percent // 100
            under_way.append((now + length, now, amount, used))
            taken.append((now, used))
    for first, (begin, _) in enumerate(taken):
        total = 0
        for at, amount in taken[first:]:
            total += amount
            assert total <= per_minute * (1 + (at - begin) / MINUTE) + 1e-6


def test_a_call_gives_back_what_the_bucket_would_hold_had_it_not_been_taken() -> None:
    level = full(60)
    level.take(60, START)
    for second in range(1, 121):
        at = START + second * 1_000_000
        assert level.when(1, at, at, None) == at
        level.take(1, at)
    at = START + 120 * 1_000_000
    level.correct(-60, at, START)
    assert level.when(59, at, at, None) == at


@given(per_minute=st.integers(1, 100_000), amounts=st.lists(st.integers(1, 5000), min_size=1, max_size=40))
def test_everybody_in_line_can_take_when_their_place_has_come(per_minute: int, amounts: list[int]) -> None:
    level = full(per_minute)
    places = [(level.book(amount, START), amount) for amount in amounts]
    assert places == sorted(places, key=lambda each: each[0])
    for place, amount in places:
        at = place + level.moved
        assert level.when(amount, at, at, place) == at
        level.take(amount, at, place)


@given(per_minute=st.integers(10, 10_000))
def test_a_line_moves_up_when_calls_take_less_than_reserved(per_minute: int) -> None:
    level = full(per_minute)
    level.take(per_minute, START)
    place = level.book(per_minute, START)
    assert level.when(per_minute, START, START, place) == START + MINUTE
    level.correct(-(per_minute // 2), START, START)
    expected = START + MINUTE - per_minute // 2 * MINUTE // per_minute
    assert level.when(per_minute, START, START, place) in (expected, expected - 1, expected + 1)


def test_more_than_a_bucket_holds_goes_when_it_is_full_and_owes_the_rest() -> None:
    level = full(60)
    assert level.when(150, START, START, None) == START
    level.take(150, START)
    assert level.when(1, START, START, None) == START + 91_000_000


def test_what_the_endpoint_says_is_left_counts_when_it_is_less() -> None:
    level = full(60)
    level.leave(100, START)
    assert level.when(60, START, START, None) == START
    level.leave(0, START)
    assert level.when(1, START, START, None) == START + 1_000_000
