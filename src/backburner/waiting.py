"""Waiting inside an execution: in place for a moment, then without a slot."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

from .domain.operations import Parked
from .domain.parking import Park

R = TypeVar("R")

_place: contextvars.ContextVar[Place | None] = contextvars.ContextVar("backburner_place", default=None)


class Place:
    """A step or a wait that is under way. ``inside`` counts those that it consists of just now."""

    __slots__ = ("inside", "left", "parent", "works")

    def __init__(self, parent: Place | None, works: bool) -> None:
        self.parent = parent
        self.works = works
        self.inside = 0
        self.left = False

    @property
    def busy(self) -> bool:
        """Whether it works itself, and does not only wait for what is inside."""
        return self.works and not self.left and self.inside == 0


class Waiter:
    __slots__ = ("outcome", "park", "patient")

    def __init__(self, outcome: Parked, park: asyncio.Future[None]) -> None:
        self.outcome = outcome
        self.park = park
        self.patient = True


class Waiting:
    """Who waits in one execution, and whether anything else goes on in it.

    Steps that run beside a wait are not to be torn down: the job is parked when nothing but waits is left. All on one
    event loop.
    """

    def __init__(self) -> None:
        self._busy = 0
        self._waiters: set[Waiter] = set()
        self._outcome: Parked | None = None

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """Around what must not be interrupted by a park."""
        self.go_on()
        with self._inside(works=True):
            yield

    async def until(self, ready: Coroutine[Any, Any, R], outcome: Parked, patience: float) -> R:
        """What ``ready`` comes to. Raises `Park` when that takes more than ``patience`` seconds and nothing else goes
        on; everybody who waits is then woken by the same park."""
        try:
            self.go_on()
        except Park:
            ready.close()
            raise
        loop = asyncio.get_running_loop()
        waiter = Waiter(outcome, loop.create_future())
        work = loop.create_task(ready)
        either: list[asyncio.Future[Any]] = [work, waiter.park]
        timer = loop.call_later(patience, self._lose_patience, waiter)
        self._waiters.add(waiter)
        try:
            with self._inside(works=False):
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
            self.go_on()
            raise AssertionError("only a park ends a wait early")
        finally:
            self._waiters.discard(waiter)
            timer.cancel()
            work.cancel()
            waiter.park.cancel()

    def go_on(self) -> None:
        """Raises `Park` where the execution is to be parked and the function has caught that."""
        if self._outcome is not None:
            raise Park(self._outcome)

    def __enter__(self) -> None:
        """Around the function: a park that it swallowed, or wrapped into a group, is a park all the same."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, Park | asyncio.CancelledError):
            self.go_on()

    @contextlib.contextmanager
    def _inside(self, works: bool) -> Iterator[None]:
        place = Place(_place.get(), works)
        token = _place.set(place)
        with self._changing(place.parent):
            if place.parent is not None:
                place.parent.inside += 1
            self._busy += place.busy
        try:
            yield
        finally:
            _place.reset(token)
            self._busy -= place.busy
            place.left = True
            with self._changing(place.parent):
                if place.parent is not None:
                    place.parent.inside -= 1
            self._consider()

    @contextlib.contextmanager
    def _changing(self, place: Place | None) -> Iterator[None]:
        before = place is not None and place.busy
        yield
        self._busy += (place is not None and place.busy) - before

    def _lose_patience(self, waiter: Waiter) -> None:
        waiter.patient = False
        self._consider()

    def _consider(self) -> None:
        """Park, if it is time."""
        if self._outcome is not None or self._busy or all(waiter.patient for waiter in self._waiters):
            return
        self._outcome = _together([waiter.outcome for waiter in self._waiters])
        for waiter in self._waiters:
            if not waiter.park.done():
                waiter.park.set_result(None)


def _together(outcomes: list[Parked]) -> Parked:
    """One park for several waits."""
    seconds = [each.seconds for each in outcomes if each.seconds is not None]
    return Parked(
        next((each.waiting_for for each in outcomes if each.waiting_for == "answer"), outcomes[0].waiting_for),
        min(seconds, default=None),
        tuple(sorted({child for each in outcomes for child in each.children})),
        tuple(sorted({token for each in outcomes for token in each.questions})),
    )
