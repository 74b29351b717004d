"""A steady load on one route, by a client that costs next to nothing: it shares two cores with what it measures."""

from __future__ import annotations

import asyncio
import json
import time
from urllib.parse import urlsplit

import uvloop

CONNECTIONS = 32


def steady(url: str, body: dict[str, object], rate: int, seconds: int) -> list[float]:
    """Milliseconds to each answer, counted from when its request was due, whether or not earlier ones were answered."""
    return uvloop.run(_steady(url, body, rate, seconds))


async def _steady(url: str, body: dict[str, object], rate: int, seconds: int) -> list[float]:
    parts = urlsplit(url)
    content = json.dumps(body).encode()
    request = (
        f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    ).encode() + content
    assert parts.hostname is not None
    streams = [await asyncio.open_connection(parts.hostname, parts.port) for _ in range(CONNECTIONS)]
    idle: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    for stream in streams:
        idle.put_nowait(stream)
    took: list[float] = []

    async def one(due: float) -> None:
        reader, writer = stream = await idle.get()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 202"), head
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.split(b":")[1]))
        took.append((time.perf_counter() - due) * 1000)
        idle.put_nowait(stream)

    began = time.perf_counter()
    running = []
    for number in range(rate * seconds):
        due = began + number / rate
        if due > time.perf_counter():
            await asyncio.sleep(due - time.perf_counter())
        running.append(asyncio.ensure_future(one(due)))
    await asyncio.gather(*running)
    for _, writer in streams:
        writer.close()
    return took
