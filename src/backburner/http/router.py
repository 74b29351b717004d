"""Everything under ``/backburner``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter

from .answers import answer_routes
from .batches import batch_routes
from .elsewhere import Elsewhere, nothing_here
from .events import event_routes
from .health import health_routes
from .inbox import inbox_routes
from .jobs import job_routes
from .problems import ProblemRoute
from .queues import queue_routes
from .schemas import PREFIX
from .streaming import HEARTBEAT_INTERVAL
from .ui import make_ui_router
from .usage import usage_routes

if TYPE_CHECKING:
    from ..app import Backburner


def make_router(bb: Backburner, *, heartbeat: float = HEARTBEAT_INTERVAL) -> APIRouter:
    """For ``app.include_router``. ``heartbeat``: seconds between two signs of life on a stream."""
    router = APIRouter(prefix=PREFIX, route_class=ProblemRoute)
    router.include_router(job_routes(bb))
    router.include_router(answer_routes(bb))
    router.include_router(batch_routes(bb))
    router.include_router(event_routes(bb, heartbeat))
    router.include_router(inbox_routes(bb))
    router.include_router(queue_routes(bb))
    router.include_router(usage_routes(bb))
    router.include_router(health_routes(bb))
    router.include_router(make_ui_router())
    for path in ("", "/{path:path}"):
        router.add_api_route(path, nothing_here, route_class_override=Elsewhere)
    return router
