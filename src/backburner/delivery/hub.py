"""One reader of the log for all connections of an event loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence

from ..domain.errors import StoreUnavailable
from ..domain.events import Event
from ..domain.operations import Tails
from ..ports import Hint, Signal, Store
from .log import PAGE, JobLog, Log, OwnerLog
from .outlooks import Lookout
from .stream import Stream

logger = logging.getLogger("backburner.delivery")

SLOW_LOOK = 2.0
WIDTH = 256
SIDE_BY_SIDE = 4
"""Logs that are read at once: others want to read from the store too."""
REST = 0.002
"""Seconds between two reads while the bell keeps ringing: hints come for every commit, watched or not."""


class Hub:
    """Belongs to the event loop it was made on; only `close` may be called from elsewhere.

    Woken by the signal, with a slow look behind it. It listens and reads only while somebody follows something.
    """

    def __init__(self, store: Store, signal: Signal, *, slow_look: float = SLOW_LOOK, width: int = WIDTH) -> None:
        self.loop = asyncio.get_running_loop()
        self._store = store
        self._signal = signal
        self._slow_look = slow_look
        self._width = width
        self._followed: dict[Log, Followed] = {}
        self._bell = asyncio.Event()
        self._ringing = False
        self._closed = False
        self._reader: asyncio.Task[None] | None = None
        self._unsubscribe: Callable[[], None] | None = None
        self.lookout = Lookout(store)

    @contextlib.contextmanager
    def follow(self, log: Log, after: int) -> Iterator[Stream]:
        """A stream of what lies behind ``after``, history first. On a closed hub it has ended already."""
        stream = Stream(log, self._store, after, self._width, self._begin)
        if self._closed:
            stream.end()
            yield stream
            return
        self._join(stream)
        try:
            yield stream
        finally:
            self._leave(stream)

    def close(self) -> None:
        """End all streams, and every later one at once. From any thread, also from a signal handler."""
        self._closed = True
        with contextlib.suppress(RuntimeError):  # the loop has ended, and its streams with it
            self.loop.call_soon_threadsafe(self._end_all)

    def _join(self, stream: Stream) -> None:
        self._followed.setdefault(stream.log, Followed()).streams.add(stream)
        if self._reader is None:
            self._unsubscribe = self._signal.subscribe(self._on_hint)
            self._reader = self.loop.create_task(self._run(), name="backburner-hub")

    def _leave(self, stream: Stream) -> None:
        followed = self._followed.get(stream.log)
        if followed is not None:
            followed.streams.discard(stream)
            if not followed.streams:
                del self._followed[stream.log]
        if not self._followed:
            self._rest()

    def _rest(self) -> None:
        reader, self._reader = self._reader, None
        unsubscribe, self._unsubscribe = self._unsubscribe, None
        if reader is not None:
            reader.cancel()
        if unsubscribe is not None:
            unsubscribe()

    def _begin(self, stream: Stream) -> None:
        """A stream has caught up. The first one of its log decides where the hub starts to read."""
        followed = self._followed.get(stream.log)
        if followed is not None and followed.number is None:
            followed.number = stream.number
            self._bell.set()  # something may have been committed since the stream looked

    async def _run(self) -> None:
        while True:
            self._bell.clear()
            try:
                more = await self._look()
            except StoreUnavailable as error:
                logger.warning("the log cannot be read just now: %s", error)
                await asyncio.sleep(self._slow_look)
                continue
            except Exception:
                if not self._closed:
                    logger.exception("reading the log failed; its readers are disconnected")
                self._end_all()
                return
            if more:
                continue
            if self._bell.is_set():
                await asyncio.sleep(REST)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._slow_look):
                    await self._bell.wait()

    async def _look(self) -> bool:
        """Read and hand out what is new; answers whether there is more at once."""
        awake = [log for log, followed in self._followed.items() if followed.number is not None]
        if not awake:
            return False
        moved = await self._find_moved(awake)
        more = False
        for start in range(0, len(moved), SIDE_BY_SIDE):
            some = moved[start : start + SIDE_BY_SIDE]
            pages = await asyncio.gather(*(log.read(self._store, number) for log, number in some))
            for (log, _), events in zip(some, pages, strict=True):
                self._hand_out(log, events)
                more = more or len(events) == PAGE
        return more

    async def _find_moved(self, awake: Sequence[Log]) -> list[tuple[Log, int]]:
        jobs = [log.job for log in awake if isinstance(log, JobLog)]
        owners = [log.owner for log in awake if isinstance(log, OwnerLog)]
        tails = await self._store.read(Tails(jobs, owners))
        moved: list[tuple[Log, int]] = []
        for log in awake:
            followed = self._followed.get(log)
            if followed is None or followed.number is None:
                continue  # everybody left meanwhile
            end = log.end(tails)
            if end is None:
                followed.end()
            elif end > followed.number:
                moved.append((log, followed.number))
        return moved

    def _hand_out(self, log: Log, events: Sequence[Event]) -> None:
        followed = self._followed.get(log)
        if followed is None or not events:
            return
        entries = [log.entry(event) for event in events]
        followed.number = entries[-1].number
        for stream in tuple(followed.streams):
            stream.offer(entries)

    def _end_all(self) -> None:
        for followed in tuple(self._followed.values()):
            followed.end()
        self._followed.clear()
        self._rest()

    def _on_hint(self, hint: Hint) -> None:
        """Called on the signal's thread; the loop is woken once, however often the bell rings before it looks."""
        if hint.events and not self._ringing:
            self._ringing = True
            try:
                self.loop.call_soon_threadsafe(self._ring)
            except RuntimeError:  # the loop has ended
                self._ringing = False

    def _ring(self) -> None:
        self._ringing = False
        self._bell.set()


class Followed:
    """The streams of one log, and the last event they were handed; None until the first has caught up."""

    __slots__ = ("number", "streams")

    def __init__(self) -> None:
        self.number: int | None = None
        self.streams: set[Stream] = set()

    def end(self) -> None:
        for stream in tuple(self.streams):
            stream.end()
