"""What those who wait may expect, told while they watch. It is not in the log: it changes with every other job."""

from __future__ import annotations

import asyncio
import time

from ..domain.operations import Outlooks
from ..domain.outlook import UNKNOWN, Outlook
from ..ports import Store
from .sse import outlook_event

EVERY = 3.0
"""Seconds between two looks of a stream."""
FRESH = 1.0
"""Seconds for which one look serves everybody who watches the same job."""
MOST_KNOWN = 1000


class Lookout:
    """The outlooks of watched jobs; many who watch one job cost one look. For one event loop."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, tuple[float, asyncio.Future[Outlook]]] = {}

    async def outlook(self, job: str) -> Outlook:
        now = time.monotonic()
        at, found = self._known.get(job, (0.0, None))
        if found is None or now - at > FRESH or found.cancelled():
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            found = asyncio.ensure_future(self._look(job))
            self._known[job] = now, found
        return await asyncio.shield(found)

    async def _look(self, job: str) -> Outlook:
        return (await self._store.read(Outlooks([job]))).get(job, UNKNOWN)


class Watch:
    """What one stream tells of its job: only what is new to it."""

    def __init__(self, lookout: Lookout, job: str) -> None:
        self._lookout = lookout
        self._job = job
        self._told: Outlook | None = None

    async def news(self) -> bytes:
        """An event for the stream, empty where there is nothing to tell."""
        found = await self._lookout.outlook(self._job)
        if found == self._told or (self._told is None and found == UNKNOWN):
            return b""
        self._told = found
        return outlook_event(self._job, found)
