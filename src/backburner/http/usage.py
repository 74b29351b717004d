"""What model calls took."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse, Response

from ..domain.budgets import first_day
from ..domain.operations import UsageByDay
from .callers import owner
from .problems import ProblemRoute, described
from .schemas import UsagePage, usage_json

if TYPE_CHECKING:
    from ..app import Backburner

Owner = Annotated[str, Depends(owner)]
MOST_DAYS = 400


def usage_routes(bb: Backburner) -> APIRouter:
    router = APIRouter(prefix="/usage", route_class=ProblemRoute, tags=["usage"])

    @router.get("", response_model=UsagePage, responses=described(403, 422, 503))
    async def read_usage(
        owner: Owner,
        days: Annotated[int, Query(ge=1, le=MOST_DAYS, description="today and the days before it, in UTC")] = 30,
        model: Annotated[str | None, Query(max_length=255)] = None,
    ) -> Response:
        """What the model calls of the caller's jobs took, by day and model."""
        return JSONResponse(usage_json(await bb.store.read(UsageByDay(first_day(days), owner, model))))

    return router
