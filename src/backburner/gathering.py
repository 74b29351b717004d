"""Calls side by side, some at once."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from .given import argument, whole

R = TypeVar("R")


async def gather(calls: Sequence[Awaitable[R]], limit: int | None, enter: Callable[[], None]) -> list[R]:
    """Their results, in order; at most ``limit`` are under way at once.

    The first failure cancels the others, waits until they have ended, and is raised. ``enter()`` is called in the
    context of a call before it begins.
    """
    try:
        if limit is not None:
            whole(argument, "limit", limit, "choose 1 or more, or None for no limit")
        return await _side_by_side(calls, asyncio.Semaphore(limit or max(len(calls), 1)), enter)
    finally:
        for call in calls:
            if inspect.iscoroutine(call):
                call.close()  # those that never began


async def _side_by_side(calls: Sequence[Awaitable[R]], places: asyncio.Semaphore, enter: Callable[[], None]) -> list[R]:
    async def one(call: Awaitable[R]) -> R:
        async with places:
            enter()
            return await call

    tasks = [asyncio.create_task(one(call)) for call in calls]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
