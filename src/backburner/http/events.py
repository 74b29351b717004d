"""Following a job, or everything an owner has: as server-sent events, or the same log as pages of JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import JSONResponse, Response

from ..delivery.log import JobLog, Log, OwnerLog
from ..delivery.sse import MEDIA_TYPE, event_data
from ..domain.errors import InvalidArguments
from ..domain.events import Event
from ..domain.identity import Identity
from .callers import find_job, follower, listener
from .following import Following
from .problems import ProblemRoute, described
from .schemas import EventPage
from .streaming import HEARTBEAT_INTERVAL

if TYPE_CHECKING:
    from ..app import Backburner

Follower = Annotated[Identity, Depends(follower)]
Listener = Annotated[Identity, Depends(listener)]
After = Annotated[str | None, Query(description="a cursor: resume behind it; the header Last-Event-ID wins")]
Limit = Annotated[int, Query(ge=1, le=500, description="of a page of JSON")]
LastEventId = Annotated[str | None, Header(description="as EventSource sends it when it comes back")]

DESCRIPTION = (
    "First `snapshot`, then every event of the log, each with a cursor as its id; `heartbeat` every 15 s without an "
    "id. With `Accept: application/json` the log itself, in pages."
)
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": DESCRIPTION,
        "model": EventPage,
        "content": {MEDIA_TYPE: {"schema": {"type": "string"}}},
    },
    **described(403, 404, 422, 503),
}
ENDED: dict[int | str, dict[str, Any]] = {204: {"description": "The job has ended and the client knows all of it"}}


def event_routes(bb: Backburner, heartbeat: float = HEARTBEAT_INTERVAL) -> APIRouter:
    router = APIRouter(route_class=ProblemRoute, tags=["events"])
    following = Following(bb, heartbeat)

    @router.get("/jobs/{id}/events", response_class=Response, responses={**ANSWERS, **ENDED})
    async def follow_job(
        request: Request,
        follower: Follower,
        id: str,
        after: After = None,
        limit: Limit = 200,
        last_event_id: LastEventId = None,
    ) -> Response:
        """Follow one job until it has ended."""
        cursor = last_event_id or after
        if wants_json(request):
            await find_job(bb, id, follower.owner)
            return await _page(bb, JobLog(id), cursor, limit)
        return await following.job(request, follower, id, cursor) or Response(status_code=204)

    @router.get("/events", response_class=Response, responses=ANSWERS)
    async def follow_owner(
        request: Request,
        listener: Listener,
        after: After = None,
        limit: Limit = 200,
        last_event_id: LastEventId = None,
    ) -> Response:
        """Follow all of the caller's jobs, and the inbox."""
        cursor = last_event_id or after
        if wants_json(request):
            return await _page(bb, OwnerLog(listener.owner), cursor, limit)
        return await following.owner(request, listener, cursor)

    return router


def wants_json(request: Request) -> bool:
    accept = request.headers.get("accept", "")
    return "application/json" in accept and MEDIA_TYPE not in accept


async def _page(bb: Backburner, log: Log, cursor: str | None, limit: int) -> Response:
    after = place_of(log, cursor)
    return JSONResponse(page_of(log, await log.read(bb.store, after, limit), after))


def place_of(log: Log, cursor: str | None) -> int:
    """Raises `InvalidArguments`."""
    after = log.place(cursor) if cursor else 0
    if after is None:
        raise InvalidArguments(f"{cursor!r} is no cursor of this log", {"after": "no cursor of this log"})
    return after


def page_of(log: Log, events: Sequence[Event], after: int) -> dict[str, Any]:
    return {
        "events": [
            {"id": log.cursor(log.number(event)), "event": event.kind, "data": event_data(event)} for event in events
        ],
        "next": log.cursor(log.number(events[-1]) if events else after),
    }
