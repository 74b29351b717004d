"""One connection's place in a log."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from ..ports import Store
from .log import PAGE, Entry, Log


class Stream:
    """Reads its log by itself until it has caught up, then lives on what the hub hands it.

    A live stream that lets its queue run full is cut: it ends, and its client comes back with a cursor. While it still
    reads by itself it is as slow as its client and disturbs nobody, so a full queue is thrown away and read later.
    """

    def __init__(self, log: Log, store: Store, after: int, width: int, on_live: Callable[[Stream], None]) -> None:
        self.log = log
        self.number = after
        """Of the last event that was read from this stream."""
        self.on_end: Callable[[], None] | None = None
        """Called when the hub ends the stream, also while its reader is busy with something else."""
        self._store = store
        self._width = width
        self._on_live = on_live
        self._queue: deque[Entry] = deque()
        self._bell = asyncio.Event()
        self._live = False
        self._missed = False
        self._closing = False
        self._ended = False
        self.over = False
        """Whether the log itself has come to its end, and not only this stream of it."""

    async def read(self) -> Sequence[Entry]:
        """Wait for what follows. Empty when the stream has ended. May be cancelled and called again."""
        while not self._ended:
            entries = await (self._take() if self._live else self._catch_up())
            if entries:
                self.number = entries[-1].number
                self._closing = entries[-1].closing
                if self._closing:
                    self._live = False  # ask the log itself whether this was the last word
                return entries
        return ()

    async def _catch_up(self) -> Sequence[Entry]:
        self._missed = False
        events = await self.log.read(self._store, self.number)
        if len(events) < PAGE and not self._missed:
            if not events and self._closing:
                self._ended = self.over = True
            self._live = True
            self._on_live(self)
        return [self.log.entry(event) for event in events]

    async def _take(self) -> Sequence[Entry]:
        if not self._queue:
            self._bell.clear()
            await self._bell.wait()
        entries = [entry for entry in self._queue if entry.number > self.number]
        self._queue.clear()
        if entries and entries[0].number != self.number + 1:
            self._live = False  # what lies between was handed out before this stream joined
            return ()
        return entries

    def offer(self, entries: Sequence[Entry]) -> None:
        """Hand over what is new. Never waits."""
        if len(self._queue) + len(entries) > self._width:
            self._queue.clear()
            if self._live:
                self.end()
            else:
                self._missed = True
            return
        self._queue.extend(entries)
        self._bell.set()

    def end(self) -> None:
        """Nothing more comes. What was read stays valid, and the log has the rest."""
        if not self._ended:
            self._ended = True
            self._queue.clear()
            self._bell.set()
            if self.on_end is not None:
                self.on_end()
