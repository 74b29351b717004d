"""Reading a JSON body without letting anybody fill the memory."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from fastapi import Request

from ..domain.errors import TooLarge
from ..domain.json import MAX_BYTES
from .problems import Refused


async def read_json(request: Request) -> Any:
    """Raises `TooLarge` above 16 MiB, and a 400 problem for what is not JSON (RFC 8259: no NaN either)."""
    body = await _read(request)
    try:
        return json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise Refused(
            400, "malformed", "The body is not JSON", f"The body of the request is not JSON: {error}"
        ) from None


async def _read(request: Request) -> bytes:
    if int(request.headers.get("content-length", 0)) > MAX_BYTES:
        raise _too_large()
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BYTES:
            raise _too_large()
    return bytes(body)


def _too_large() -> TooLarge:
    return TooLarge("The body is over 16 MiB. Store the data elsewhere and pass a reference.")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")
