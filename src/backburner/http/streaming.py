"""A response that goes on as long as its stream does."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..delivery.hub import Hub
from ..delivery.log import Log
from ..delivery.outlooks import EVERY, Watch
from ..delivery.sse import HEARTBEAT, MEDIA_TYPE, expiring, retry_line
from ..delivery.stream import Stream
from ..domain.errors import StoreUnavailable

logger = logging.getLogger("backburner.http")

HEARTBEAT_INTERVAL = 15.0
PATIENCE = 5.0
"""Seconds that the client of a stream which has ended gets to take what was written already."""
WARNING = 300.0
"""Seconds before the end of an identity at which its stream says so."""
SLICE = 64 * 1024
"""Bytes that are handed to the server at once, so that it can slow down a big text."""


class EventStream(Response):
    """What was before (``opening``), then what follows in ``log`` behind ``after``; with ``after`` None it ends there.

    Ends when its stream ends, its client goes away, or the identity that it was opened with expires (``until``, seconds
    since the epoch), whichever is first. Of the last it warns beforehand, so that the client can come back with a new
    token: its cursor goes on where this stream ends. ``watch`` tells beside the log what is to be expected.
    """

    def __init__(
        self,
        hub: Hub,
        log: Log,
        opening: bytes,
        after: int | None,
        heartbeat: float = HEARTBEAT_INTERVAL,
        until: float | None = None,
        watch: Watch | None = None,
    ) -> None:
        super().__init__(headers={"Content-Type": MEDIA_TYPE, "Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._hub = hub
        self._log = log
        self._opening = opening
        self._after = after
        self._heartbeat = heartbeat
        self._until = until
        self._watch = watch
        self._waiting: asyncio.Timeout | None = None
        self.over = after is None
        """Whether there is nothing more to come: the job has ended, or the identity."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sender = asyncio.create_task(self._send_all(send))
        watcher = asyncio.create_task(_wait_for_disconnect(receive))
        try:
            await asyncio.wait((sender, watcher), return_when=asyncio.FIRST_COMPLETED)
        finally:
            watcher.cancel()
            sender.cancel()
            results = await asyncio.gather(sender, watcher, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, OSError):
                raise result

    async def _send_all(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await _write(send, retry_line() + self._opening)
        if self._after is not None:
            with self._hub.follow(self._log, self._after) as stream:
                stream.on_end = _after_patience(asyncio.current_task())
                try:
                    await self._relay(stream, send)
                except StoreUnavailable as error:
                    logger.warning("a stream ends early, its client will come back: %s", error)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _relay(self, stream: Stream, send: Send) -> None:
        clock = asyncio.get_running_loop().time
        beat = clock() + self._heartbeat
        warned: float | None = None
        look = clock() + EVERY if self._watch is not None else math.inf
        while True:
            end = math.inf if self._until is None else clock() + max(self._until - time.time(), 0.0)
            warning = end - WARNING if warned != self._until else math.inf
            try:
                async with (waiting := asyncio.timeout_at(min(beat, look, warning, end))):
                    self._waiting = waiting
                    entries = await stream.read()
            except TimeoutError:
                now = clock()
                if now >= end:
                    self.over = True
                    return
                if now >= warning and self._until is not None:
                    await _write(send, expiring(self._until))
                    warned = self._until
                if self._watch is not None and now >= look:
                    await self._tell(self._watch, send)
                    look = clock() + EVERY
                if now >= beat:
                    await _write(send, HEARTBEAT)
                    beat = now + self._heartbeat
                continue
            if not entries or clock() >= end:
                self.over = stream.over or clock() >= end
                return
            await _write(send, b"".join([entry.text for entry in entries]))

    def lasts_until(self, until: float | None) -> None:
        """Its client has shown a new token."""
        self._until = until
        if self._waiting is not None:
            with contextlib.suppress(RuntimeError):  # it does not wait just now
                self._waiting.reschedule(asyncio.get_running_loop().time())

    async def _tell(self, watch: Watch, send: Send) -> None:
        with contextlib.suppress(StoreUnavailable):  # the log says so too
            if news := await watch.news():
                await _write(send, news)


def _after_patience(task: asyncio.Task[None] | None) -> Callable[[], None]:
    """A client that takes nothing any more cannot be told so: its task is given up."""

    def give_up() -> None:
        if task is not None:
            asyncio.get_running_loop().call_later(PATIENCE, task.cancel)

    return give_up


async def _write(send: Send, data: bytes) -> None:
    if len(data) <= SLICE:
        await send({"type": "http.response.body", "body": data, "more_body": True})
        return
    for start in range(0, len(data), SLICE):
        await send({"type": "http.response.body", "body": data[start : start + SLICE], "more_body": True})
        await asyncio.sleep(0)


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
