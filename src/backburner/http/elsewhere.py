"""Where no route matches: answered with problems by the routes themselves, so that an application need not care."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import Scope

from .problems import METHODS, ProblemRoute

PROBING = "backburner.probing"


class Elsewhere(ProblemRoute):
    """The last route of a router: takes every path under its prefix that no other route of the application takes.

    It only ever matches in part, so that routes which the application adds behind the router go first.
    """

    def __init__(self, path: str, endpoint: Any, **options: Any) -> None:
        super().__init__(path, endpoint, **{**options, "methods": METHODS, "include_in_schema": False})

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        # No pattern of a path takes a line break.
        match, child_scope = super().matches({**scope, "path": scope["path"].replace("\n", " ")})
        if match is Match.NONE or PROBING in scope or _is_redirected(scope):
            return Match.NONE, {}
        return Match.PARTIAL, child_scope


async def nothing_here(request: Request) -> None:
    raise HTTPException(404, f"There is nothing at {request.url.path}: /openapi.json lists the routes there are.")


def _is_redirected(scope: Scope) -> bool:
    """Whether the application would send the client to the same address with, or without, a slash at its end."""
    app = scope.get("app")
    if app is None or not app.router.redirect_slashes:
        return False
    path = scope["path"]
    other = path.rstrip("/") if path.endswith("/") else f"{path}/"
    probe = {**scope, "path": other, PROBING: True}
    return any(route.matches(probe)[0] is not Match.NONE for route in app.routes)


def allow_only(router: APIRouter, path: str, *methods: str) -> None:
    """Refuse all other methods at an address that a later route would take for somebody's id."""
    allowed = ", ".join(sorted(methods))
    others = [method for method in METHODS if method not in methods]

    @router.api_route(path, methods=others, include_in_schema=False)
    async def refuse(request: Request) -> None:
        raise HTTPException(405, f"{request.method} is not possible here: use {allowed}.", {"Allow": allowed})
