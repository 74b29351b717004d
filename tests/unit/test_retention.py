from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from backburner import Backburner, Run
from backburner.domain.errors import ConfigurationError
from backburner.domain.retention import parse_duration, parse_retention
from backburner.settings import load_settings

DAY = 86_400.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("15m", 900), ("12h", 43_200), (" 7d ", 7 * DAY), ("2w", 14 * DAY), ("1.5h", 5400)],
)
def test_a_duration_is_a_number_and_a_unit(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


def test_forever_is_no_number_of_seconds() -> None:
    assert parse_duration("forever") is None


@pytest.mark.parametrize("text", ["", "soon", "-1d", "7 days", "1e99", "7dd", "٣d", "99999999w"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no duration"):
        parse_duration(text)


def test_one_duration_is_for_all_ended_jobs() -> None:
    assert parse_retention("1d") == {"completed": DAY, "failed": DAY, "cancelled": DAY}


@pytest.mark.parametrize(
    ("text", "words"),
    [("finished=7d", "'finished=7d' is not understood"), ("failed=", "no duration"), ("failed=1d,failed=2d", "twice")],
)
def test_a_retention_that_makes_no_sense_is_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_retention(text)


def test_the_setting_changes_what_it_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKBURNER_RETENTION", "completed=1h, failed=forever")
    assert load_settings().kept == {
        "completed": 3600.0,
        "failed": None,
        "cancelled": 30 * DAY,
        "notifications": 90 * DAY,
    }


def test_a_bad_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKBURNER_RETENTION", "finished=7d")
    with pytest.raises(ConfigurationError, match=r"BACKBURNER_RETENTION: .*'finished=7d' is not understood"):
        load_settings()


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (60, {"completed": 60.0, "failed": 60.0, "cancelled": 60.0}),
        (timedelta(days=1), {"completed": DAY, "failed": DAY, "cancelled": DAY}),
        ("completed=1h", {"completed": 3600.0}),
        (None, {}),
    ],
)
def test_a_task_may_keep_its_jobs_otherwise(bb: Backburner, given: Any, kept: dict[str, float]) -> None:
    @bb.task(retention=given)
    async def tidy(run: Run) -> None: ...

    assert tidy.options.retention == kept


@pytest.mark.parametrize("given", [-1, "soon", "notifications=1d"])
def test_a_tasks_retention_that_makes_no_sense_is_refused(bb: Backburner, given: Any) -> None:
    with pytest.raises(ConfigurationError, match="retention is "):
        bb.task(retention=given)
