"""The hubs of an open store: one for each event loop that streams."""

from __future__ import annotations

import asyncio
import threading

from ..ports import Signal, Store
from .hub import Hub


class Hubs:
    def __init__(self, store: Store, signal: Signal) -> None:
        self._store = store
        self._signal = signal
        self._hubs: tuple[Hub, ...] = ()
        self._lock = threading.Lock()
        self._closed = False

    def here(self) -> Hub:
        """The hub of the running event loop."""
        loop = asyncio.get_running_loop()
        for hub in self._hubs:
            if hub.loop is loop:
                return hub
        hub = Hub(self._store, self._signal)
        with self._lock:
            self._hubs = (*(each for each in self._hubs if not each.loop.is_closed()), hub)
        if self._closed:
            hub.close()
        return hub

    @property
    def closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        """End all streams; later ones end at once. From any thread, and without a lock: signal handlers call it."""
        self._closed = True
        for hub in self._hubs:
            hub.close()
