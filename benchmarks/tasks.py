"""What the measured processes run."""

from __future__ import annotations

import time

from backburner import Backburner, Run

bb = Backburner()


@bb.task(public=True)
async def noop(run: Run) -> None:
    """Nothing: what is left is the engine's own time."""


@bb.task(public=True)
async def stamp(run: Run) -> float:
    """The moment it runs, on the clock that all processes of a machine share."""
    return time.monotonic()


@bb.task(public=True, retries=0)
async def write(run: Run) -> str:
    """A model's text, streamed."""
    return await run.llm.text("Write a chapter.", name="chapter")
