"""The studio's own pages and the modules they are made of."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from fastapi import Response
from fastapi.staticfiles import StaticFiles

WEB = Path(__file__).parent / "web"

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    # Asked for again each time, and answered 304: an upgrade never meets half of its old modules.
    "Cache-Control": "no-cache",
}
# Not the system's table of types: where it calls .js plain text, nosniff would keep the modules from running.
MEDIA_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}


class Pages(StaticFiles):
    def __init__(self) -> None:
        super().__init__(directory=WEB, html=True)

    async def get_response(self, path: str, scope: Any) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(HEADERS)
        if media_type := MEDIA_TYPES.get(PurePosixPath(path).suffix):
            response.headers["Content-Type"] = media_type
        return response
