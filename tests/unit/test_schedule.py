from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backburner.domain.errors import ConfigurationError
from backburner.schedule import CronSchedule

BERLIN = "Europe/Berlin"


def micros(text: str, zone: str = "UTC", fold: int = 0) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()) * 1_000_000


def ticks(expression: str, zone: str, start: str, count: int) -> list[str]:
    schedule, at, found = CronSchedule(expression, zone), micros(start, zone), []
    for _ in range(count):
        following = schedule.after(at)
        assert following is not None
        at = following
        found.append(datetime.fromtimestamp(at / 1e6, UTC).strftime("%m-%d %H:%M"))
    return found


def test_ticks_are_in_the_time_of_the_zone() -> None:
    assert ticks("0 3 * * *", BERLIN, "2026-01-10T00:00", 2) == ["01-10 02:00", "01-11 02:00"]
    assert ticks("0 3 * * *", BERLIN, "2026-07-10T00:00", 2) == ["07-10 01:00", "07-11 01:00"]


def test_a_tick_in_the_gap_of_spring_comes_right_after_it() -> None:
    """On 2026-03-29 Berlin has no 02:30."""
    assert ticks("30 2 * * *", BERLIN, "2026-03-28T12:00", 2) == ["03-29 01:00", "03-30 00:30"]


def test_a_tick_in_the_doubled_hour_of_autumn_comes_once() -> None:
    """On 2026-10-25 Berlin has 02:30 twice, first at 00:30 UTC."""
    assert ticks("30 2 * * *", BERLIN, "2026-10-24T12:00", 2) == ["10-25 00:30", "10-26 01:30"]
    second_time = micros("2026-10-25T02:15", BERLIN, fold=1)
    assert CronSchedule("30 2 * * *", BERLIN).after(second_time) == micros("2026-10-26T01:30")


def test_every_quarter_of_an_hour_goes_on_through_the_doubled_hour() -> None:
    found = ticks("*/15 * * * *", BERLIN, "2026-10-25T01:45", 8)
    assert found == [f"10-25 0{hour}:{minute:02}" for hour in (0, 1) for minute in (0, 15, 30, 45)]


def test_a_sixth_field_in_front_is_seconds() -> None:
    schedule = CronSchedule("*/10 * * * * *", "UTC")
    assert schedule.after(micros("2026-01-01T00:00:10")) == micros("2026-01-01T00:00:20")


@given(at=st.integers(micros("2026-01-01T00:00"), micros("2027-01-01T00:00")), zone=st.sampled_from(["UTC", BERLIN]))
def test_the_latest_tick_and_the_next_one_enclose_a_moment(at: int, zone: str) -> None:
    for expression in ("*/5 * * * *", "30 2 * * *", "0 0 1 * *", "15 2 * 3,10 SUN"):
        schedule = CronSchedule(expression, zone)
        latest, following = schedule.latest(at), schedule.after(at)
        assert latest is not None
        assert following is not None
        assert latest <= at < following
        assert schedule.after(latest) == following or schedule.after(latest) == latest
        assert schedule.latest(latest) == latest


@pytest.mark.parametrize(
    ("expression", "words"),
    [("0 3 * *", "Wrong number"), ("0 25 * * *", "Bad hour"), ("", "Wrong number"), ("0 0 31 2 *", "day-of-month")],
)
def test_a_bad_expression_is_refused_with_the_reason(expression: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        CronSchedule(expression, "UTC")


@pytest.mark.parametrize("zone", ["Europe/Atlantis", "", "../etc/passwd", "Europe", "CEST+1"])
def test_a_zone_that_is_none_is_refused_by_name(zone: str) -> None:
    with pytest.raises(ConfigurationError, match="time zone"):
        CronSchedule("0 3 * * *", zone)
