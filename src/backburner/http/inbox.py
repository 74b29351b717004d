"""Notifications."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Path, Query
from fastapi.responses import JSONResponse, Response

from ..domain.operations import CountUnread, ListNotifications, MarkRead
from .callers import owner
from .problems import ProblemRoute, described
from .schemas import InboxPage, Unread, notification_json

if TYPE_CHECKING:
    from ..app import Backburner

Owner = Annotated[str, Depends(owner)]
LARGEST = 2**63 - 1


def inbox_routes(bb: Backburner) -> APIRouter:
    router = APIRouter(prefix="/inbox", route_class=ProblemRoute, tags=["inbox"])

    @router.get("", response_model=InboxPage, responses=described(403, 422, 503))
    async def read_inbox(
        owner: Owner,
        unread_only: bool = False,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        cursor: Annotated[int | None, Query(ge=0, le=LARGEST)] = None,
    ) -> Response:
        """The caller's notifications, newest first."""
        found = await bb.store.read(ListNotifications(owner, unread_only, cursor, limit + 1))
        shown = found[:limit]
        content = {
            "notifications": [notification_json(notification) for notification in shown],
            "unread": await bb.store.read(CountUnread(owner)),
            "next": str(shown[-1].id) if len(found) > limit else None,
        }
        return JSONResponse(content)

    @router.post("/read-all", response_model=Unread, responses=described(403, 503))
    async def mark_all_read(owner: Owner) -> Response:
        await bb.store.write(MarkRead(owner, None))
        return JSONResponse({"unread": await bb.store.read(CountUnread(owner))})

    @router.post("/{id}/read", response_model=Unread, responses=described(403, 422, 503))
    async def mark_read(owner: Owner, id: Annotated[int, Path(ge=0, le=LARGEST)]) -> Response:
        """Idempotent: one that was read already, or is not there, changes nothing."""
        await bb.store.write(MarkRead(owner, id))
        return JSONResponse({"unread": await bb.store.read(CountUnread(owner))})

    return router
