"""Text on its way from a running function to the log."""

from __future__ import annotations

import asyncio

from .domain.errors import StoreUnavailable
from .domain.operations import AppendText, Execution
from .ports import Store

STORE_BACK_OFF = 0.5
MOST_GATHERED = 64 * 1024


class Channel:
    """A stream of text on its way to disk: written at once while nothing is under way, else gathered.

    ``offset``: code points that stand in it already. Where a write belongs is only said when it is repeated: then it
    may be on disk already, and to find out costs a read.
    """

    def __init__(self, store: Store, execution: Execution, name: str, offset: int = 0) -> None:
        self._store = store
        self._execution = execution
        self._name = name
        self._offset = offset
        self._repeats = False
        self._gathered: list[str] = []
        self._size = 0
        self._under_way: asyncio.Future[None] | None = None
        self._error: BaseException | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    async def write(self, delta: str) -> None:
        self._raise()
        self._gathered.append(delta)
        self._size += len(delta)
        if self._under_way is None:
            self._send()
        if self._size > MOST_GATHERED:
            await self.settle()

    async def settle(self) -> None:
        """Wait until all of it is on disk."""
        await self._idle.wait()
        self._raise()

    def _send(self) -> None:
        delta = "".join(self._gathered)
        self._gathered.clear()
        self._size = 0
        self._idle.clear()
        offset = self._offset if self._repeats else None
        self._under_way = self._store.write(AppendText(self._execution, self._name, delta, offset))
        self._under_way.add_done_callback(lambda future: self._sent(future, delta))

    def _sent(self, future: asyncio.Future[None], delta: str) -> None:
        error = asyncio.CancelledError() if future.cancelled() else future.exception()
        if isinstance(error, StoreUnavailable):
            self._repeats = True
            self._gathered.insert(0, delta)
            asyncio.get_running_loop().call_later(STORE_BACK_OFF, self._send)
            return
        self._under_way = None
        self._repeats = False
        self._offset += len(delta)
        self._error = self._error or error
        if self._gathered and self._error is None:
            self._send()
        else:
            self._idle.set()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error
