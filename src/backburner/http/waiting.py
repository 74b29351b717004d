"""Answers that wait for a job, and answers that are known already."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from ..domain.job import JobRecord

if TYPE_CHECKING:
    from ..app import Backburner

LONGEST = 30
"""Seconds: proxies give up after a minute or so."""
SLICE = 1.0
"""Seconds until a wait notices that the server is to end."""
MOVING = ("position", "eta_seconds")
"""What changes with every other job: it is no news of this one."""


async def until(bb: Backburner, record: JobRecord, seconds: float, done: Callable[[JobRecord], bool]) -> JobRecord:
    """The job when it is ``done``, or as it stands after ``seconds``, or sooner where the server ends.

    Whoever goes away cancels nothing.
    """
    latest = record

    def look(found: JobRecord) -> bool:
        nonlocal latest
        latest = found
        return done(found)

    clock = asyncio.get_running_loop().time
    end = clock() + seconds
    while not done(latest) and clock() < end and not bb.hubs.closed:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(min(end, clock() + SLICE)):
                return await bb.watcher.wait(record.id, look)
    return latest


def preferred_wait(request: Request) -> int | None:
    """Seconds of ``Prefer: wait=N`` (RFC 7240, 4.3), None where it is not there or makes no sense: a preference is
    never refused."""
    for each in request.headers.get("prefer", "").split(","):
        name, _, value = each.partition(";")[0].partition("=")
        value = value.strip().strip('"')
        if name.strip().lower() == "wait" and value.isascii() and value.isdecimal() and len(value) < 10:
            return min(int(value), LONGEST)
    return None


def tag_of(content: Mapping[str, Any]) -> str:
    """An entity tag (RFC 9110, 8.8.3), weak: what changes with other jobs is left out."""
    lasting = {name: value for name, value in content.items() if name not in MOVING}
    text = json.dumps(lasting, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return f'W/"{hashlib.sha256(text).hexdigest()[:32]}"'


def knows(request: Request, tag: str) -> bool:
    """Whether the client has it: ``If-None-Match`` compares weakly (RFC 9110, 13.1.2)."""
    known = [each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")]
    return tag.removeprefix("W/") in known or known == ["*"]


def tagged(request: Request, content: Mapping[str, Any]) -> Response:
    """The content, or a 304 for who has it."""
    headers = {"ETag": tag_of(content), "Cache-Control": "private, no-cache"}
    if knows(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return JSONResponse(content, headers=headers)
