"""The ``openai`` clients of this process: one for each event loop, address and key."""

from __future__ import annotations

import asyncio
import importlib
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from backburner.llm.dialect import Dialect
from backburner.llm.settings import ModelSettings

if TYPE_CHECKING:
    from openai import AsyncOpenAI

CONNECT_SECONDS = 10.0
LOOPBACK = {"127.0.0.1", "localhost", "::1"}

ClientKey = tuple[str, str | None, float]


@dataclass(slots=True)
class _LoopClients:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    clients: dict[ClientKey, AsyncOpenAI] = field(default_factory=dict)


class ClientPool:
    """Keeps connections open from one call to the next, and what was learned about each endpoint.

    A client's connections belong to the event loop that opened them, so every loop has clients of its own.
    The pool may be used from several loops and threads. Whoever made it calls ``aclose`` at the end.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _LoopClients] = WeakKeyDictionary()
        self._dialects: dict[tuple[str, str], Dialect] = {}

    async def client(self, settings: ModelSettings) -> AsyncOpenAI:
        """The running loop's client for this endpoint and key; made on the first call."""
        mine = self._of(asyncio.get_running_loop())
        key = (settings.url, settings.api_key, settings.timeout)
        async with mine.lock:
            if key not in mine.clients:
                # The import takes a second and the certificates some 30 ms: neither may stop the loop.
                mine.clients[key] = await asyncio.to_thread(_make, settings)
            return mine.clients[key]

    def dialect(self, settings: ModelSettings, model: str) -> Dialect:
        """What this endpoint is known to accept for this model; everything, until it refuses something."""
        return self._dialects.get((settings.url, model), Dialect())

    def remember(self, settings: ModelSettings, model: str, dialect: Dialect) -> None:
        self._dialects[settings.url, model] = dialect

    async def aclose(self) -> None:
        """Close every client, also those of other loops as long as these run. The pool can be used again."""
        here = asyncio.get_running_loop()
        with self._guard:
            loops = dict(self._loops)
            self._loops.clear()
        for loop, held in loops.items():
            closing = _close_all(held)
            if loop is here:
                await closing
            elif loop.is_running():
                await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(closing, loop))
            else:
                closing.close()

    def _of(self, loop: asyncio.AbstractEventLoop) -> _LoopClients:
        with self._guard:
            return self._loops.setdefault(loop, _LoopClients())


async def _close_all(held: _LoopClients) -> None:
    async with held.lock:
        clients = list(held.clients.values())
        held.clients.clear()
    for client in clients:
        await client.close()


def _make(settings: ModelSettings) -> AsyncOpenAI:
    openai = importlib.import_module("openai")
    timeout = openai.Timeout(settings.timeout, connect=min(CONNECT_SECONDS, settings.timeout))
    # A proxy from the environment cannot reach this machine's own loopback addresses.
    direct = urlsplit(settings.url).hostname in LOOPBACK
    client: AsyncOpenAI = openai.AsyncOpenAI(
        base_url=settings.url,
        api_key=settings.api_key or "no-key-needed",
        max_retries=0,
        timeout=timeout,
        http_client=openai.DefaultAsyncHttpxClient(trust_env=False, timeout=timeout) if direct else None,
    )
    return client
