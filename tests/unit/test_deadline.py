from __future__ import annotations

import asyncio
from collections.abc import Callable

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


def test_one_whose_time_is_over_when_it_starts_ends_at_once_and_hinders_no_other() -> None:
    """On uvloop, whose handle of what is due at once does not say when."""
    ended: list[str] = []

    async def start() -> None:
        alarm, over = Alarm(), asyncio.Event()
        Deadline(0.0).start(alarm, over.set)
        Deadline(60.0).start(alarm, lambda: ended.append("too early"))
        await asyncio.wait_for(over.wait(), 20)

    with asyncio.Runner(loop_factory=pytest.importorskip("uvloop").new_event_loop) as runner:
        runner.run(start())
    assert ended == []
