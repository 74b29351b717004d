from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from backburner.domain.deadline import Alarm, Deadline

Pass = Callable[[float], None]


class Clock:
    """Stands still unless it is told to go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._now = 1000.0
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: self._now)

    async def go_on(self, seconds: float) -> None:
        self._now += seconds
        for _ in range(3):
            await asyncio.sleep(0)


async def test_it_ends_after_its_seconds_and_only_then(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, ended = Clock(monkeypatch), asyncio.Event()
    Deadline(5.0).start(Alarm(), ended.set)
    await clock.go_on(4.9)
    assert not ended.is_set()
    await clock.go_on(0.2)
    assert ended.is_set()


async def test_the_time_while_it_is_stopped_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, ended = Clock(monkeypatch), asyncio.Event()
    deadline = Deadline(5.0)
    deadline.start(Alarm(), ended.set)
    await clock.go_on(3.0)
    with deadline.stopped():
        await clock.go_on(100.0)
        with deadline.stopped():
            await clock.go_on(100.0)
        await clock.go_on(100.0)
    await clock.go_on(1.9)
    assert not ended.is_set()
    await clock.go_on(0.2)
    assert ended.is_set()


async def test_one_that_cannot_be_acted_upon_hinders_no_other_and_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, alarm, ended = Clock(monkeypatch), Alarm(), [asyncio.Event() for _ in range(20)]
    reported: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context["exception"]))
    Deadline(5.0).start(alarm, lambda: 1 / 0)
    for event in ended:
        Deadline(5.0).start(alarm, event.set)
    await clock.go_on(5.1)
    assert all(event.is_set() for event in ended)
    assert [type(error) for error in reported] == [ZeroDivisionError]


async def test_it_does_not_begin_again_once_it_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, ended = Clock(monkeypatch), asyncio.Event()
    deadline = Deadline(5.0)
    deadline.start(Alarm(), ended.set)
    with deadline.stopped():
        deadline.cancel()
    await clock.go_on(100.0)
    assert not ended.is_set()


async def test_without_seconds_it_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, ended = Clock(monkeypatch), asyncio.Event()
    deadline = Deadline(None)
    deadline.start(Alarm(), ended.set)
    with deadline.stopped():
        await clock.go_on(1.0)
    await clock.go_on(1e9)
    assert not ended.is_set()


async def test_one_whose_time_is_over_when_it_starts_ends_at_once_and_hinders_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the handle of what is due at once does not say when, as uvloop's."""
    loop, over, alarm = asyncio.get_running_loop(), asyncio.Event(), Alarm()
    later = loop.call_at

    def call_at(when: float, callback: Callable[..., object], *args: Any, **more: Any) -> asyncio.Handle:
        due = when <= loop.time()
        return loop.call_soon(callback, *args, **more) if due else later(when, callback, *args, **more)

    monkeypatch.setattr(loop, "call_at", call_at)
    Deadline(0.0).start(alarm, over.set)
    Deadline(60.0).start(alarm, asyncio.Event().set)
    await asyncio.wait_for(over.wait(), 20)
