from __future__ import annotations

import pytest

from backburner.domain.outlook import Arrivals, Busy, Newcomer, Pool, Queued, Rate, Slots, flow, time_left
from backburner.domain.playing import play_out
from backburner.domain.timing import MEMORY, Timing


def timing(*measured: tuple[float, float | None]) -> Timing:
    found = Timing()
    for seconds, size in measured:
        found.note(seconds, size)
    return found


def queued(number: int, task: str = "t", seconds: float | None = 10.0, queue: str = "q") -> Queued:
    return Queued((0, number, str(number)), queue, task, seconds)


def pool(slots: int, *tasks: str) -> Pool:
    return Pool(frozenset(tasks or ("t",)), slots)


def test_without_a_measurement_nothing_is_expected() -> None:
    assert Timing().expected() is None
    assert Timing().expected(3.0) is None


def test_without_sizes_the_mean_is_expected() -> None:
    assert timing((10.0, None), (20.0, None)).expected() == 15.0
    assert timing((10.0, None), (20.0, None)).expected(3.0) == 15.0


def test_with_sizes_a_line_through_them_is_expected() -> None:
    measured = timing(*((6.0 + 3.5 * size, size) for size in (1.0, 4.0, 9.0)))
    assert measured.expected(20.0) == pytest.approx(76.0)


def test_with_one_size_the_duration_is_in_proportion_to_it() -> None:
    assert timing((10.0, 2.0), (14.0, 2.0)).expected(6.0) == pytest.approx(36.0)


def test_no_size_lets_expect_less_than_nothing() -> None:
    assert timing((1.0, 10.0), (20.0, 20.0)).expected(1.0) == pytest.approx(0.7)  # a line would say less than zero
    assert timing((20.0, 1.0), (10.0, 2.0)).expected(9.0) == pytest.approx(15.0)


def test_a_size_beyond_reckoning_is_as_none() -> None:
    assert timing((10.0, 1e300)).expected(1e300) == 10.0


def test_what_a_task_took_lately_weighs_more() -> None:
    known = timing(*[(10.0, None)] * 1000)
    for _ in range(MEMORY * 3):
        known = known.followed_by(timing((20.0, None)))
    assert known.expected() == pytest.approx(20.0, rel=0.05)


def test_what_is_left_of_a_running_job_is_what_others_took_less_what_it_has_run() -> None:
    assert time_left(60.0, 20.0, 0.0) == 40.0


def test_a_job_that_runs_longer_than_others_is_never_said_to_be_over() -> None:
    assert time_left(60.0, 300.0, 0.0) == 6.0


def test_a_job_that_reports_progress_is_believed_the_more_the_further_it_is() -> None:
    assert time_left(60.0, 90.0, 90.0) == pytest.approx(0.9 * 10.0 + 0.1 * 6.0)
    assert time_left(60.0, 1.0, 10.0) == pytest.approx(59.0, abs=1.0)
    assert time_left(None, 30.0, 50.0) == 30.0


def test_the_line_is_played_out_over_the_slots() -> None:
    busy = [Busy("q", "t", 0, 4.0), Busy("q", "t", 0, 7.0)]
    starts = play_out(Slots([pool(2)], {}), busy, [queued(1), queued(2), queued(3)])
    assert starts == {"1": 4.0, "2": 7.0, "3": 14.0}


def test_a_task_at_its_limit_lets_others_pass() -> None:
    line = [queued(1, "slow", 100.0), queued(2, "slow", 100.0), queued(3)]
    starts = play_out(Slots([pool(2, "slow", "t")], {"task:slow": 1}), [], line)
    assert starts == {"1": 0.0, "3": 0.0, "2": 100.0}


def test_a_queue_at_its_limit_lets_others_pass() -> None:
    line = [queued(1), queued(2), queued(3, queue="other")]
    starts = play_out(Slots([pool(5)], {"queue:q": 1}), [], line)
    assert starts == {"1": 0.0, "3": 0.0, "2": 10.0}


def test_workers_take_only_what_they_know() -> None:
    line = [queued(1, "a"), queued(2, "a"), queued(3, "b"), queued(4, "stranger")]
    assert play_out(Slots([pool(1, "a"), pool(1, "b")], {}), [], line) == {"1": 0.0, "3": 0.0, "2": 10.0}


def test_nobody_knows_when_a_slot_is_free_whose_job_was_never_measured() -> None:
    assert play_out(Slots([pool(1)], {}), [Busy("q", "t", 0, None)], [queued(1)]) == {}


def test_a_long_line_flows_through_the_slots() -> None:
    assert flow(Slots([pool(4)], {}), "q", "t", {("q", "t"): 4000.0}) == pytest.approx(1000.0)
    assert flow(Slots([pool(4)], {"task:t": 2}), "q", "t", {("q", "t"): 4000.0}) == pytest.approx(2000.0)
    assert flow(Slots([pool(4)], {"queue:q": 1}), "q", "t", {("q", "t"): 4000.0}) == pytest.approx(4000.0)
    assert flow(Slots([pool(4, "else")], {}), "q", "t", {("q", "t"): 4000.0}) is None


def test_the_long_line_of_a_task_at_its_limit_hardly_delays_others() -> None:
    slots = Slots([pool(4, "slow", "t")], {"task:slow": 1})
    assert flow(slots, "q", "t", {("q", "slow"): 1e6, ("q", "t"): 300.0}) == pytest.approx(100.0, rel=0.01)


def test_durations_that_are_all_the_same_do_not_scatter() -> None:
    assert timing(*[(10.0, None)] * 9).scatter() == pytest.approx(0.0, abs=1e-6)
    assert timing(*((6.0 + 3.5 * size, size) for size in range(1, 9))).scatter(3.0) == pytest.approx(0.0, abs=1e-6)


def test_the_scatter_is_in_parts_of_what_is_expected() -> None:
    assert timing(*[(8.0, None), (12.0, None)] * 5).scatter() == pytest.approx(0.2)
    of_sizes = timing(*((part * 10.0 * size, size) for size in (1.0, 2.0, 5.0) for part in (0.8, 1.2)))
    assert of_sizes.scatter(2.0) == pytest.approx(0.2)
    assert of_sizes.scatter() > 0.5


def test_few_measurements_tell_nothing_of_the_scatter() -> None:
    assert timing((1.0, None), (100.0, None)).scatter() == 0.0


def test_a_job_that_outlasts_others_has_more_left_the_more_they_differ() -> None:
    assert 6.0 < time_left(60.0, 60.0, 0.0, 0.25) < time_left(60.0, 60.0, 0.0, 0.5) < 60.0  # type: ignore[operator]
    assert time_left(60.0, 0.0, 0.0, 0.25) == pytest.approx(60.0 / (1 + 0.25**2) ** 0.5)
    assert time_left(60.0, 1e9, 0.0, 0.25) == 6.0


def test_a_task_starts_no_more_often_than_its_rate_allows() -> None:
    slots = Slots([pool(10)], {}, {"t": Rate(2, 60.0, (50.0,))})
    starts = play_out(slots, [], [queued(number) for number in range(1, 6)])
    assert starts == {"1": 0.0, "2": 10.0, "3": 60.0, "4": 70.0, "5": 120.0}
    assert [slots.rates["t"].opens(ahead) for ahead in range(5)] == list(starts.values())


def test_a_task_whose_rate_is_used_up_lets_others_pass() -> None:
    slots = Slots([pool(1, "t", "u")], {}, {"t": Rate(1, 60.0, (30.0,))})
    line = [queued(1), queued(2, "u", 20.0), queued(3, "u", 20.0)]
    assert play_out(slots, [], line) == {"2": 0.0, "3": 20.0, "1": 40.0}


def test_who_comes_later_and_is_more_urgent_goes_first() -> None:
    urgent = Newcomer("q", "t", -9, "bob", 5.0)
    starts = play_out(Slots([pool(1)], {}), [], [queued(1), queued(2)], Arrivals(4.0, [urgent]))
    assert starts["1"] == 0.0
    assert starts["2"] > 30.0, "newcomers come faster than they are served, until there are no more"
    starts = play_out(Slots([pool(1)], {}), [], [queued(1), queued(2)], Arrivals(15.0, [urgent]))
    assert starts == {"1": 0.0, "2": 15.0}


def test_newcomers_of_the_same_rank_take_turns_with_those_that_wait() -> None:
    line = [queued(number) for number in range(1, 4)]
    again = Newcomer("q", "t", 0, "ann", 10.0)
    turns = {("q", 0, "ann"): 4}
    assert play_out(Slots([pool(1)], {}), [], line, Arrivals(4.0, [again], turns)) == {"1": 0.0, "2": 10.0, "3": 20.0}
    other = Newcomer("q", "t", 0, "bob", 10.0)
    assert play_out(Slots([pool(1)], {}), [], line, Arrivals(4.0, [other], turns)) == {"1": 0.0, "2": 20.0, "3": 40.0}
