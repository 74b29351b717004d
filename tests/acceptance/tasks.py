"""What the worker processes of the acceptance tests run."""

from __future__ import annotations

import asyncio
import os
import time

from backburner import Backburner, Run, SyncRun

bb = Backburner()


@bb.task(public=True)
async def story(run: Run) -> str:
    """Three model calls, two of which stream into the same channel with a word between them."""
    await run.progress(1, "Thinking")
    await run.llm.text("Think of an outline.", name="outline", channel=None)
    first = await run.llm.text("Write part one.", name="one")
    await run.text("\n\n")
    second = await run.llm.text("Write part two.", name="two")
    return f"{first}\n\n{second}"


@bb.task(public=True)
async def mark(run: Run, path: str, number: int) -> int:
    """Leaves one line for each time it is run."""
    with open(path, "a") as file:
        file.write(f"{number}\n")
    return number


@bb.task(public=True, retries=0)
async def hold(run: Run, gate: str) -> str:
    """Runs until the file ``gate`` exists; says which process ended it."""
    await run.progress(50, f"held by {os.getpid()}")
    while not os.path.exists(gate):
        await asyncio.sleep(0.01)
    await run.progress(90, f"let go by {os.getpid()}")
    return str(os.getpid())


@bb.task(public=True, retries=0)
async def block(run: Run, seconds: float) -> int:
    """Holds up the event loop, as a careless handler does."""
    time.sleep(seconds)
    return run.attempt


@bb.task(public=True, retries=0)
def stubborn(run: SyncRun, path: str, enough: str) -> None:
    """Beats in a thread until there is a file ``enough``, and listens to nobody; each beat says whose it is."""
    while not os.path.exists(enough):
        with open(path, "a") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(0.05)


def leave_line(path: str, line: str) -> str:
    with open(path, "a") as file:
        file.write(f"{line}\n")
    return line


@bb.task(public=True, retries=0)
async def interview(run: Run, path: str) -> str:
    """Pays for a step, asks a person, and pays for another one."""
    await run.step("before", leave_line, path, "before")
    name = await run.ask("Who are you?", str)
    await run.step("after", leave_line, path, f"after {name}")
    return name


PARTS = 6
WORDS = 8


@bb.task(public=True, retries=0)
async def chapters(run: Run, path: str, number: int, gate: str) -> int:
    """Pays for each part with a line; says its words at a model's pace; the last part waits for the file ``gate``."""

    async def write(part: int) -> int:
        with open(path, "a") as file:
            file.write(f"{number} {part}\n")
        for word in range(WORDS):
            await run.text(f"{number}.{part}.{word} ")
            await asyncio.sleep(0.05)
        return part

    for part in range(PARTS):
        while part == PARTS - 1 and not os.path.exists(gate):
            await asyncio.sleep(0.05)
        await run.step(f"part {part}", write, part)
        await run.progress(100 * part / PARTS)
    return number
