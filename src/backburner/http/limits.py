"""What a request may hold at all, whatever route it is for."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from fastapi import Request
from starlette.types import Message, Receive

from ..domain.errors import InvalidArguments, TooLarge
from ..domain.json import MAX_BYTES, NUL, refuse_nul, well_formed


def within_limits(request: Request) -> Request:
    """The request, whose body ends in `TooLarge` above 16 MiB while it is being read.

    Raises `InvalidArguments` for NUL in its address, which no database looks up, and `TooLarge` for a body that says
    beforehand that it is too large. Uploads of files (multipart) have no limit here: they are not kept in memory.
    """
    _refuse_nul("path", request.path_params)
    if b"%00" in request.scope["query_string"]:
        _refuse_nul("query", request.query_params)
    if _is_upload(request):
        return request
    length = request.headers.get("content-length", "")
    if length.isdecimal() and (len(length) > len(str(MAX_BYTES)) or int(length) > MAX_BYTES):
        raise too_large()
    return Request(request.scope, _limited(request.receive))


async def refuse_nul_in(request: Request) -> None:
    """Raises `InvalidArguments` for JSON with NUL in a string, naming the field; what is no JSON is let through."""
    if _is_upload(request):
        return
    with contextlib.suppress(ValueError, RecursionError):
        refuse_nul((await request.body()).decode())


def _is_upload(request: Request) -> bool:
    return request.headers.get("content-type", "").lower().startswith("multipart/")


def _refuse_nul(place: str, values: Mapping[str, object]) -> None:
    for name, value in values.items():
        if "\0" in name or (isinstance(value, str) and "\0" in value):
            shown = well_formed(name)
            raise InvalidArguments(f"{shown} in the {place} of the address {NUL}", {shown: NUL})


def _limited(receive: Receive) -> Receive:
    size = 0

    async def receive_within_limit() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > MAX_BYTES:
            raise too_large()
        return message

    return receive_within_limit


def too_large() -> TooLarge:
    return TooLarge("The body is over 16 MiB. Store the data elsewhere and pass a reference.")
