"""Following a job over server-sent events, through interruptions."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Callable
from typing import Any

import httpx

NOTHING_MORE = "nothing more"
ENDS = ("job.completed", "job.failed", "job.cancelled", NOTHING_MORE)
SILENCE = 45.0
"""Three heartbeats missed: the line is dead."""
TRIES = 8
LONGEST_PAUSE = 5.0

See = Callable[[str, dict[str, Any]], None]


async def follow(http: httpx.AsyncClient, path: str, see: See) -> None:
    """Call ``see(kind, data)`` for each event of a job until it has ended, each once.

    A line that drops is taken up again behind the last event; the error of the last of ``TRIES`` in a row is raised.
    """
    cursor: str | None = None
    failures = 0
    while True:
        try:
            async with contextlib.aclosing(_events(http, path, cursor)) as events:
                async for kind, data, at in events:
                    failures = 0
                    cursor = at or cursor
                    see(kind, data)
                    if kind in ENDS or (kind == "snapshot" and data["job"]["finished_at"] is not None):
                        return
            raise httpx.RemoteProtocolError("the stream ended before the job did")
        except httpx.TransportError:
            failures += 1
            if failures == TRIES:
                raise
            await asyncio.sleep(min(LONGEST_PAUSE, 0.1 * 2**failures))


async def _events(
    http: httpx.AsyncClient, path: str, cursor: str | None
) -> AsyncGenerator[tuple[str, dict[str, Any], str | None]]:
    headers = {"Accept": "text/event-stream"}
    if cursor is not None:
        headers["Last-Event-ID"] = cursor
    timeout = httpx.Timeout(10, read=SILENCE)
    async with http.stream("GET", path, headers=headers, timeout=timeout) as response:
        response.raise_for_status()
        if response.status_code == httpx.codes.NO_CONTENT:
            yield NOTHING_MORE, {}, None
            return
        waiting = b""
        # Bytes, not lines: other line ends than the protocol's may stand inside an event's data.
        async for piece in response.aiter_bytes():
            *events, waiting = (waiting + piece).split(b"\n\n")
            for event in events:
                fields = {
                    name: value for name, _, value in (line.partition(": ") for line in event.decode().split("\n"))
                }
                if "event" in fields:
                    yield fields["event"], json.loads(fields["data"]), fields.get("id")
