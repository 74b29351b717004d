from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backburner.domain.errors import InvalidArguments
from backburner.domain.events import RESET, TEXT, Event, apply_text
from backburner.domain.job import FINISHED, MOVES, NewJob, Status, can_move, fresh

CHANNELS = st.sampled_from(["main", "side"])


@given(st.lists(st.tuples(CHANNELS, st.text(max_size=5)) | st.tuples(CHANNELS, st.floats(0, 1))))
def test_folding_events_gives_the_text_that_was_written(story: list[tuple[str, str | float]]) -> None:
    """Strings are appended, numbers cut a channel back to that part of its length."""
    model: dict[str, str] = {}
    folded: dict[str, str] = {}
    for channel, what in story:
        before = model.get(channel, "")
        if isinstance(what, str):
            model[channel] = before + what
            apply_text(folded, _event(TEXT, channel=channel, offset=len(before), delta=what))
        else:
            kept = int(len(before) * what)
            model[channel] = before[:kept]
            apply_text(folded, _event(RESET, channels={channel: kept}))
        assert folded == model


@given(st.lists(st.text(max_size=5), max_size=8), st.integers(0, 7))
def test_an_event_seen_twice_changes_nothing(deltas: list[str], again: int) -> None:
    events, length = [], 0
    for delta in deltas:
        events.append(_event(TEXT, channel="main", offset=length, delta=delta))
        length += len(delta)
    once: dict[str, str] = {}
    twice: dict[str, str] = {}
    for event in events:
        apply_text(once, event)
    for event in events[: again + 1] + events[again:]:
        apply_text(twice, event)
    assert once == twice


def test_finished_jobs_only_go_back_into_the_line() -> None:
    for status in FINISHED:
        assert MOVES[status] <= {Status.PENDING}
    assert not any(can_move(Status.COMPLETED, target) for target in Status)


def test_a_fresh_record_says_what_it_waits_for() -> None:
    assert fresh(NewJob("1", "t", "{}"), 1000).waiting_for == "turn"
    delayed = fresh(NewJob("1", "t", "{}", delay=1.5), 1000)
    assert (delayed.waiting_for, delayed.run_at) == ("time", 1_501_000)


def _event(kind: str, **data: object) -> Event:
    return Event("1", 1, None, kind, 0, data)


@pytest.mark.parametrize("field", ["task", "queue", "owner", "key"])
@pytest.mark.parametrize("text", ["a\0", "\ud800", "x" * 256])
def test_a_job_that_some_database_could_not_hold_is_refused_for_all(field: str, text: str) -> None:
    with pytest.raises(InvalidArguments) as caught:
        NewJob("id", **{"task": "t", "args": "{}", field: text})
    assert list(caught.value.fields) == [field]


def test_arguments_with_nul_are_refused_by_name() -> None:
    with pytest.raises(InvalidArguments) as caught:
        NewJob("id", "t", '{"other": 1, "text": "a\\u0000"}')
    assert list(caught.value.fields) == ["text"]
    NewJob("id", "t", '{"text": "\\\\u0000"}')
