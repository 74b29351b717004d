"""The browser side: the ES modules and elements of `backburner.web`, and the job pages made of them."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from fastapi import APIRouter, Request
from fastapi.staticfiles import StaticFiles
from starlette.responses import Response
from starlette.types import Scope

from .problems import ProblemRoute

WEB = Path(__file__).parent.parent / "web"

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)

HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    # Asked for again each time, and answered 304: an upgrade never meets half of its old modules.
    "Cache-Control": "no-cache",
}

# Not the system's table of types: where it calls .js plain text, nosniff would keep the modules from running.
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class Pages(StaticFiles):
    """A folder of pages that run no script and take no style but their own server's, for ``app.mount``.

    ``index.html`` stands for its folder.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        super().__init__(directory=directory, html=True)

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(HEADERS)
        if media_type := MEDIA_TYPES.get(PurePosixPath(path).suffix):
            response.headers["Content-Type"] = media_type
        return response


def make_ui_router() -> APIRouter:
    """``/ui/jobs``, ``/ui/jobs/{id}`` and the files they are made of, to be included under backburner's prefix."""
    router = APIRouter(include_in_schema=False, route_class=ProblemRoute)
    files = Pages(WEB)

    @router.get("/ui/jobs")
    async def jobs_page(request: Request) -> Response:
        return await files.get_response("pages/jobs.html", request.scope)

    @router.get("/ui/jobs/{job}")
    async def job_page(request: Request, job: str) -> Response:
        """The same page for every job: its script reads the id from the address."""
        return await files.get_response("pages/job.html", request.scope)

    @router.get("/ui/{path:path}")
    async def file(request: Request, path: str) -> Response:
        return await files.get_response(path, request.scope)

    return router
