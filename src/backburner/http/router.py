"""Everything under ``/backburner``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Depends, Request, Security
from fastapi.security import HTTPBearer

from .answers import answer_routes
from .batches import batch_routes
from .callers import PLACE
from .elsewhere import Elsewhere, nothing_here
from .events import event_routes
from .health import health_routes
from .inbox import inbox_routes
from .jobs import job_routes
from .problems import ProblemRoute
from .queues import queue_routes
from .schemas import PREFIX
from .secrets import keep_secrets_out_of_logs
from .sockets import socket_endpoint
from .streaming import HEARTBEAT_INTERVAL
from .tokens import token_routes
from .ui import make_ui_router
from .usage import usage_routes

if TYPE_CHECKING:
    from ..app import Backburner


def make_router(bb: Backburner, *, heartbeat: float = HEARTBEAT_INTERVAL) -> APIRouter:
    """For ``app.include_router``. ``heartbeat``: seconds between two signs of life on a stream."""
    keep_secrets_out_of_logs()
    first: list[Any] = [Depends(_placing(bb))]
    if bb.authenticates:
        first.append(Security(HTTPBearer(auto_error=False, description="A JSON Web Token, or a read token of a job")))
    router = APIRouter(prefix=PREFIX, route_class=ProblemRoute, dependencies=first)
    router.include_router(job_routes(bb))
    router.include_router(answer_routes(bb))
    router.include_router(batch_routes(bb))
    router.include_router(event_routes(bb, heartbeat))
    router.include_router(inbox_routes(bb))
    router.include_router(token_routes(bb))
    router.include_router(queue_routes(bb))
    router.include_router(usage_routes(bb))
    router.include_router(health_routes(bb))
    router.include_router(make_ui_router())
    router.add_websocket_route(f"{PREFIX}/ws", socket_endpoint(bb, heartbeat))
    for path in ("", "/{path:path}"):
        router.add_api_route(path, nothing_here, route_class_override=Elsewhere)
    return router


def _placing(bb: Backburner) -> Callable[[Request], Awaitable[None]]:
    async def place(request: Request) -> None:
        request.scope[PLACE] = bb.callers

    return place
