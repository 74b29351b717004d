"""Ordinary functions beside the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from .domain.errors import ConfigurationError, JobCancelled

R = TypeVar("R")

CANCELLED = "the job was cancelled"


class Threads:
    """Those that one execution has started: a thread cannot be stopped, only told, and waited for."""

    def __init__(self, purpose: str) -> None:
        self._purpose = purpose
        self._alive: dict[asyncio.Future[Any], str] = {}

    def start(self, function: Callable[[], R], detail: str = "") -> asyncio.Future[R]:
        name = f"{self._purpose} {detail}".rstrip()
        future = in_thread(function, name)
        self._alive[future] = name
        future.add_done_callback(lambda future: self._alive.pop(future, None))
        return future

    async def call(self, function: Callable[[], R], detail: str = "") -> R:
        """Whoever waits may be cancelled; the thread goes on and is still counted."""
        return await asyncio.shield(self.start(function, detail))

    @property
    def names(self) -> tuple[str, ...]:
        """Of those that still run."""
        return tuple(self._alive.values())

    async def ended(self) -> None:
        while self._alive:
            await asyncio.wait(list(self._alive))


def in_thread(function: Callable[[], R], name: str) -> asyncio.Future[R]:
    """Call it in a thread of its own, which nobody waits for at the end of the process.

    A pool's threads could all be taken by steps that wait for the steps inside them.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[R] = loop.create_future()
    context = contextvars.copy_context()

    def work() -> None:
        done: Future[R] = Future()
        try:
            done.set_result(context.run(function))
        except StopIteration:  # no future can carry it
            done.set_exception(RuntimeError("the function raised StopIteration"))
        except BaseException as error:
            done.set_exception(error)
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits any more
            loop.call_soon_threadsafe(_copy, done, future)

    threading.Thread(target=work, name=name, daemon=True).start()
    return future


async def to_its_end(awaitable: Awaitable[R], when_cancelled: Callable[[], None] | None = None) -> R:
    """Await it although this task may be cancelled meanwhile; the cancellation is raised behind it."""
    future = asyncio.ensure_future(awaitable)
    cancelled = False
    while True:
        try:
            result = await asyncio.shield(future)
            break
        except asyncio.CancelledError:
            if future.done():
                raise
            cancelled = True
            if when_cancelled is not None:
                when_cancelled()
    if cancelled:
        raise asyncio.CancelledError
    return result


async def whole(starting: Awaitable[R], undo: Callable[[R], Awaitable[object]]) -> R:
    """Await a start that must not be cancelled half-way: whoever is cancelled meanwhile undoes it once it is whole.

    Where the start of a process is cancelled between its fork and its pipes, asyncio kills that process alone and then
    waits until its pipes are closed, which those whom it has started keep open.
    """
    future = asyncio.ensure_future(starting)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await to_its_end(_undone(future, undo))
        raise


async def on_plain_loop(coroutine: Coroutine[Any, Any, R]) -> R:
    """Await it on a loop of asyncio's own, where another one runs.

    Those start and end processes otherwise at many corners: uvloop never tells of one whose outputs a descendant holds.
    """
    if isinstance(asyncio.get_running_loop(), asyncio.BaseEventLoop):
        return await coroutine
    begun: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = Future()

    async def begin() -> R:
        task = asyncio.current_task()
        assert task is not None
        begun.set_result((asyncio.get_running_loop(), task))
        return await coroutine

    def work() -> R:
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            return runner.run(begin())

    def cancel(begun: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]]) -> None:
        loop, task = begun.result()
        with contextlib.suppress(RuntimeError):  # it has ended
            loop.call_soon_threadsafe(task.cancel)

    return await to_its_end(in_thread(work, "backburner-program"), lambda: begun.add_done_callback(cancel))


async def _undone(starting: asyncio.Future[R], undo: Callable[[R], Awaitable[object]]) -> None:
    with contextlib.suppress(Exception):  # nothing was started
        await undo(await starting)


def refuse_loop(instead: str) -> None:
    """Raises `ConfigurationError` on the thread of an event loop, which must not wait."""
    if asyncio._get_running_loop() is not None:
        raise ConfigurationError(f"this thread runs an event loop: use {instead} here")


class Calls:
    """What one thread, or several, wait for on an event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._tasks: set[asyncio.Task[Any]] = set()
        self._cancelled = False

    @property
    def cancelled(self) -> bool:
        return self._cancelled

    def wait(self, coroutine: Coroutine[Any, Any, R]) -> R:
        """Run it on the loop, in the context of the calling thread. Raises `JobCancelled` when it is cancelled, and
        `ConfigurationError` on the loop's own thread, which must not wait for itself."""
        if asyncio._get_running_loop() is self._loop:
            coroutine.close()
            raise ConfigurationError("an async function waits with await: use the method without _sync")
        context = contextvars.copy_context()
        done: Future[R] = Future()

        def begin() -> None:
            if self._cancelled:
                coroutine.close()
                done.set_exception(JobCancelled(CANCELLED))
                return
            task = self._loop.create_task(coroutine, context=context)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            task.add_done_callback(lambda finished: _hand_over(finished, done))

        self._loop.call_soon_threadsafe(begin)
        return done.result()

    def cancel(self) -> None:
        """What is waited for, and whatever will be. From any thread."""
        self._cancelled = True
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        for task in list(self._tasks):
            task.cancel()


def _hand_over(task: asyncio.Task[R], done: Future[R]) -> None:
    if task.cancelled():
        done.set_exception(JobCancelled(CANCELLED))
    elif (error := task.exception()) is not None:
        done.set_exception(error)
    else:
        done.set_result(task.result())


def _copy(done: Future[R], future: asyncio.Future[R]) -> None:
    if future.done():
        return
    error = done.exception()
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(done.result())
