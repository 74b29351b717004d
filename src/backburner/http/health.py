"""Whether the process is alive, and whether it can serve. Asked by machines, so that no identity is needed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from ..domain.errors import BackburnerError, StoreUnavailable
from ..domain.operations import GetJob
from .problems import ProblemRoute, described
from .schemas import Health

if TYPE_CHECKING:
    from ..app import Backburner


def health_routes(bb: Backburner) -> APIRouter:
    router = APIRouter(route_class=ProblemRoute, tags=["operations"])

    @router.get("/healthz", response_model=Health)
    async def is_alive() -> Response:
        """The process answers."""
        return JSONResponse({"status": "ok"})

    @router.get("/readyz", response_model=Health, responses=described(503))
    async def is_ready() -> Response:
        """The store can be read."""
        try:
            store = await asyncio.to_thread(lambda: bb.store)
            await store.read(GetJob("readyz"))
        except StoreUnavailable:
            raise
        except BackburnerError as error:
            raise StoreUnavailable(str(error)) from error
        return JSONResponse({"status": "ok"})

    return router
