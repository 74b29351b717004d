"""The browser side: the ES modules and elements of `backburner.web`, and the job pages made of them."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

WEB = Path(__file__).parent.parent / "web"

SECURITY = {
    "Content-Security-Policy": "; ".join(
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
    ),
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


def make_ui_router() -> APIRouter:
    """``/ui/jobs``, ``/ui/jobs/{id}`` and the files they are made of, to be included under backburner's prefix."""
    router = APIRouter(include_in_schema=False)
    files = StaticFiles(directory=WEB)

    @router.get("/ui/jobs")
    async def jobs_page() -> FileResponse:
        return FileResponse(WEB / "pages" / "jobs.html", headers=SECURITY)

    @router.get("/ui/jobs/{job}")
    async def job_page(job: str) -> FileResponse:
        """The same page for every job: its script reads the id from the address."""
        return FileResponse(WEB / "pages" / "job.html", headers=SECURITY)

    @router.get("/ui/{path:path}")
    async def file(path: str, request: Request) -> Response:
        response = await files.get_response(path, request.scope)
        response.headers.update(SECURITY)
        if media_type := MEDIA_TYPES.get(PurePosixPath(path).suffix):
            response.headers["Content-Type"] = media_type
        return response

    return router
