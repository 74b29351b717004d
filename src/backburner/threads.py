"""Ordinary functions beside the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

R = TypeVar("R")


def in_thread(function: Callable[[], R]) -> asyncio.Future[R]:
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

    threading.Thread(target=work, name="backburner-job", daemon=True).start()
    return future


def _copy(done: Future[R], future: asyncio.Future[R]) -> None:
    if future.done():
        return
    error = done.exception()
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(done.result())
