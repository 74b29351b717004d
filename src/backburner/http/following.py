"""The streams that somebody may open: of one job, or of everything that an owner has. However they are carried."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from starlette.requests import HTTPConnection

from ..delivery.log import JobLog, Log, OwnerLog
from ..delivery.outlooks import Watch
from ..delivery.sse import encode
from ..domain.identity import Identity
from ..domain.operations import CanResume, JobSnapshot, OwnerSnapshot
from ..domain.outlook import UNKNOWN
from .callers import find_job, no_job
from .jobs import base_of, full_job, outlooks_of
from .schemas import job_summary
from .streaming import EventStream

if TYPE_CHECKING:
    from ..app import Backburner


class Following:
    """``heartbeat``: seconds between two signs of life."""

    def __init__(self, bb: Backburner, heartbeat: float) -> None:
        self._bb = bb
        self._heartbeat = heartbeat

    async def job(self, request: HTTPConnection, who: Identity, id: str, cursor: str | None) -> EventStream | None:
        """Behind the cursor, else with a snapshot first. None where the client knows all of a job that has ended.

        Raises `JobNotFound`.
        """
        record, log = await find_job(self._bb, id, who.owner), JobLog(id)
        known = log.place(cursor) if cursor else None
        if known is not None and known <= record.seq:
            if known == record.seq and record.status.finished:
                return None
            return self._stream(log, b"", known, who)
        snapshot = await self._bb.store.read(JobSnapshot(id, who.owner))
        if snapshot is None:
            raise no_job(id)
        record = snapshot.job
        content = {"job": await full_job(self._bb, record, base_of(request)), "text": dict(snapshot.texts)}
        opening = _snapshot(log, record.seq, content, reset=bool(cursor))
        return self._stream(log, opening, None if record.status.finished else record.seq, who)

    async def owner(self, request: HTTPConnection, who: Identity, cursor: str | None) -> EventStream:
        bb, log = self._bb, OwnerLog(who.owner)
        known = log.place(cursor) if cursor else None
        if known is not None and await bb.store.read(CanResume(who.owner, known)):
            return self._stream(log, b"", known, who)
        view = await bb.store.read(OwnerSnapshot(who.owner))
        base = base_of(request)
        ahead = await outlooks_of(bb, [each.job for each in view.jobs])
        jobs = [
            {**job_summary(each.job, base, ahead.get(each.job.id, UNKNOWN)), "text": dict(each.texts)}
            for each in view.jobs
        ]
        opening = _snapshot(log, view.position, {"jobs": jobs, "unread": view.unread}, reset=bool(cursor))
        return self._stream(log, opening, view.position, who)

    def _stream(self, log: Log, opening: bytes, after: int | None, who: Identity) -> EventStream:
        hub = self._bb.hubs.here()
        watch = Watch(hub.lookout, log.job) if isinstance(log, JobLog) else None
        return EventStream(hub, log, opening, after, self._heartbeat, who.expires_at, watch)


def _snapshot(log: Log, number: int, content: Mapping[str, Any], reset: bool) -> bytes:
    cursor = log.cursor(number)
    data = {**content, "cursor": cursor}
    if reset:
        data["reset"] = True
    return encode("snapshot", data, cursor)
