"""A program and whatever it starts, ended together."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal

TERM_GRACE = 2.0
"""Seconds between the request to end and the end."""
POLL = 0.01


async def end_group(pid: int, ended: asyncio.Future[None]) -> None:
    """End the process group that ``pid`` leads: SIGTERM, and SIGKILL for what is still there after `TERM_GRACE`.

    ``ended`` is done when the leader has been reaped.
    """
    send(pid, signal.SIGTERM)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(TERM_GRACE):
            await asyncio.shield(ended)
            while exists(pid):  # noqa: ASYNC110  # nothing tells when the last member of a group is gone
                await asyncio.sleep(POLL)
    send(pid, signal.SIGKILL)
    await asyncio.shield(ended)


def send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def exists(pid: int) -> bool:
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def describe_end(returncode: int) -> str:
    if returncode >= 0:
        return f"ended with exit code {returncode}"
    try:
        name = signal.Signals(-returncode).name
    except ValueError:
        name = f"signal {-returncode}"
    return f"was killed by {name}" + (" (perhaps for want of memory)" if name == "SIGKILL" else "")
