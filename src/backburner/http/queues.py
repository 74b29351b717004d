"""The named lines of jobs: what waits in them, and stopping them for a while."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Path
from fastapi.responses import JSONResponse, Response

from ..domain.operations import ListQueues, PauseQueue
from .callers import operator
from .problems import ProblemRoute
from .schemas import Exact

if TYPE_CHECKING:
    from ..app import Backburner

Operator = Annotated[str, Depends(operator)]
Name = Annotated[str, Path(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,254}$")]


class QueueOut(Exact):
    name: str
    paused: bool
    pending: int
    running: int


class QueueList(Exact):
    queues: list[QueueOut]


def queue_routes(bb: Backburner) -> APIRouter:
    router = APIRouter(route_class=ProblemRoute, tags=["queues"])

    @router.get("/queues", response_model=QueueList)
    async def list_queues(operator: Operator) -> Response:
        """Every queue that has jobs or is paused, with the jobs of all owners in it."""
        return JSONResponse({"queues": await _queues()})

    @router.post("/queues/{name}/pause", response_model=QueueOut)
    async def pause_queue(operator: Operator, name: Name) -> Response:
        """Take no more jobs from the queue, on any worker; what runs goes on."""
        return await _set(name, paused=True)

    @router.post("/queues/{name}/resume", response_model=QueueOut)
    async def resume_queue(operator: Operator, name: Name) -> Response:
        """Take jobs from the queue again."""
        return await _set(name, paused=False)

    async def _set(name: str, paused: bool) -> Response:
        await bb.store.write(PauseQueue(name, paused))
        found = next((queue for queue in await _queues() if queue["name"] == name), None)
        return JSONResponse(found or {"name": name, "paused": paused, "pending": 0, "running": 0})

    async def _queues() -> list[dict[str, object]]:
        return [
            {"name": queue.name, "paused": queue.paused, "pending": queue.pending, "running": queue.running}
            for queue in await bb.store.read(ListQueues())
        ]

    return router
