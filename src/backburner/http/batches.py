"""Batches of jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse, Response

from ..bulk import retry_all
from ..domain.batches import BatchRecord
from ..domain.errors import BatchNotFound
from ..domain.job import Status
from ..domain.operations import CancelMembers, EraseMembers, GetBatch, ListBatches, ListJobs
from .callers import owner
from .problems import ProblemRoute, described
from .schemas import BatchOut, BatchPage, batch_json

if TYPE_CHECKING:
    from ..app import Backburner

Owner = Annotated[str, Depends(owner)]
EVERYTHING = 2**31 - 1


def batch_routes(bb: Backburner) -> APIRouter:
    router = APIRouter(prefix="/batches", route_class=ProblemRoute, tags=["batches"])

    @router.get("", response_model=BatchPage, responses=described(403, 422, 503))
    async def list_batches(
        owner: Owner, limit: Annotated[int, Query(ge=1, le=200)] = 50, cursor: str | None = None
    ) -> Response:
        """The caller's batches, newest first."""
        found = await bb.store.read(ListBatches(owner, cursor, limit + 1))
        shown = found[:limit]
        following = shown[-1].id if len(found) > limit else None
        return JSONResponse({"batches": [batch_json(record) for record in shown], "next": following})

    @router.get("/{id}", response_model=BatchOut, responses=described(403, 404, 503))
    async def get_batch(owner: Owner, id: str) -> Response:
        """The batch as it stands."""
        return JSONResponse(batch_json(await _find(id, owner)))

    @router.post("/{id}/cancel", response_model=BatchOut, responses=described(403, 404, 503))
    async def cancel_batch(owner: Owner, id: str) -> Response:
        """Cancel all of its jobs that wait, ask those that run to stop."""
        while await bb.store.write(CancelMembers(id, owner)):
            pass
        return JSONResponse(batch_json(await _find(id, owner)))

    @router.post("/{id}/retry", response_model=BatchOut, responses=described(403, 404, 503))
    async def retry_batch(owner: Owner, id: str) -> Response:
        """Run its failed jobs again, each from its first unfinished step."""
        await _find(id, owner)
        await retry_all(bb.store, ListJobs(status=Status.FAILED, batch=id), EVERYTHING)
        return JSONResponse(batch_json(await _find(id, owner)))

    @router.delete("/{id}", status_code=204, responses=described(403, 404, 409, 503))
    async def erase_batch(owner: Owner, id: str) -> Response:
        """Erase a batch that has ended, with all of its jobs."""
        while await bb.store.write(EraseMembers(id, owner)):
            pass
        return Response(status_code=204)

    async def _find(id: str, owner: str) -> BatchRecord:
        record = await bb.store.read(GetBatch(id, owner))
        if record is None:
            raise BatchNotFound(f"there is no batch {id}")
        return record

    return router
