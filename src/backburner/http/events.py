"""Following a job, or everything an owner has: as server-sent events, or the same log as pages of JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import JSONResponse, Response

from ..delivery.log import JobLog, Log, OwnerLog
from ..delivery.outlooks import Watch
from ..delivery.sse import MEDIA_TYPE, encode, event_data
from ..domain.errors import InvalidArguments
from ..domain.events import Event
from ..domain.identity import Identity
from ..domain.operations import CanResume, JobSnapshot, OwnerSnapshot
from ..domain.outlook import UNKNOWN
from .callers import find_job, follower, listener, no_job
from .jobs import base_of, full_job, outlooks_of
from .problems import ProblemRoute, described
from .schemas import EventPage, job_summary
from .streaming import HEARTBEAT_INTERVAL, EventStream

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
        record = await find_job(bb, id, follower.owner)
        log, cursor = JobLog(id), last_event_id or after
        if wants_json(request):
            return await _page(bb, log, cursor, limit)
        known = log.place(cursor) if cursor else None
        if known is not None and known <= record.seq:
            if known == record.seq and record.status.finished:
                return Response(status_code=204)
            return _stream(log, b"", known, follower)
        return await _open_job(request, log, follower, reset=bool(cursor))

    async def _open_job(request: Request, log: JobLog, follower: Identity, reset: bool) -> Response:
        snapshot = await bb.store.read(JobSnapshot(log.job, follower.owner))
        if snapshot is None:
            raise no_job(log.job)
        record = snapshot.job
        job = await full_job(bb, record, base_of(request))
        opening = _snapshot(log, record.seq, {"job": job, "text": dict(snapshot.texts)}, reset)
        after = None if record.status.finished else record.seq
        return _stream(log, opening, after, follower)

    def _stream(log: JobLog, opening: bytes, after: int | None, follower: Identity) -> Response:
        hub = bb.hubs.here()
        watch = Watch(hub.lookout, log.job)
        return EventStream(hub, log, opening, after, heartbeat, follower.expires_at, watch)

    @router.get("/events", response_class=Response, responses=ANSWERS)
    async def follow_owner(
        request: Request,
        listener: Listener,
        after: After = None,
        limit: Limit = 200,
        last_event_id: LastEventId = None,
    ) -> Response:
        """Follow all of the caller's jobs, and the inbox."""
        owner = listener.owner
        log, cursor = OwnerLog(owner), last_event_id or after
        if wants_json(request):
            return await _page(bb, log, cursor, limit)
        known = log.place(cursor) if cursor else None
        if known is not None and await bb.store.read(CanResume(owner, known)):
            return EventStream(bb.hubs.here(), log, b"", known, heartbeat, listener.expires_at)
        view = await bb.store.read(OwnerSnapshot(owner))
        base = base_of(request)
        ahead = await outlooks_of(bb, [each.job for each in view.jobs])
        jobs = [
            {**job_summary(each.job, base, ahead.get(each.job.id, UNKNOWN)), "text": dict(each.texts)}
            for each in view.jobs
        ]
        opening = _snapshot(log, view.position, {"jobs": jobs, "unread": view.unread}, reset=bool(cursor))
        return EventStream(bb.hubs.here(), log, opening, view.position, heartbeat, listener.expires_at)

    return router


def wants_json(request: Request) -> bool:
    accept = request.headers.get("accept", "")
    return "application/json" in accept and MEDIA_TYPE not in accept


def _snapshot(log: Log, number: int, content: Mapping[str, Any], reset: bool) -> bytes:
    cursor = log.cursor(number)
    data = {**content, "cursor": cursor}
    if reset:
        data["reset"] = True
    return encode("snapshot", data, cursor)


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
