"""Submitting, reading, cancelling, retrying and erasing jobs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import AwareDatetime
from starlette.requests import HTTPConnection

from ..bulk import retry_all
from ..domain.errors import IllegalTransition, InvalidArguments, UnknownTask
from ..domain.identity import Identity
from ..domain.job import JobRecord, Status
from ..domain.json import decode
from ..domain.operations import Cancel, CountJobs, Erase, GetResult, ListJobs, Outlooks, Retry
from ..domain.outlook import UNKNOWN, Outlook
from .body import body_of, parse, read_json
from .callers import find_job, owner, reader
from .elsewhere import allow_only
from .problems import ProblemRoute, described
from .schemas import JobOut, JobPage, JobStats, Retried, Submission, job_json, job_summary
from .statistics import statistics
from .waiting import LONGEST, knows, preferred_wait, tag_of, tagged, until

if TYPE_CHECKING:
    from ..app import Backburner
    from ..task import Submission as TaskSubmission

Owner = Annotated[str, Depends(owner)]
Reader = Annotated[Identity, Depends(reader)]


def job_routes(bb: Backburner) -> APIRouter:
    router = APIRouter(route_class=ProblemRoute, tags=["jobs"])

    @router.post(
        "/jobs",
        status_code=202,
        response_model=JobOut,
        responses={
            200: {"model": JobOut, "description": "The same work was done already, or the job ended in time"},
            **described(400, 403, 404, 409, 413, 422, 503),
        },
        openapi_extra=body_of(Submission),
    )
    async def submit_job(request: Request, owner: Owner) -> Response:
        """Put a job on disk. Only tasks that are marked public can be submitted here. ``Prefer: wait=N`` waits up to N
        seconds, 30 at most, for its end."""
        submission, args = submission_of(bb, await read_json(request), owner)
        record = (await submission.submit(**args)).record
        wait = preferred_wait(request)
        applied = {} if wait is None else {"Preference-Applied": f"wait={wait}"}
        if wait and not record.status.finished:
            record = await until(bb, record, wait, lambda record: record.status.finished)
        if record.status.finished:
            return JSONResponse(await full_job(bb, record, base_of(request)), headers=applied)
        content = job_json(replace(record, args=args if record.args is None else record.args), base=base_of(request))
        return JSONResponse(content, 202, {"Location": content["urls"]["self"], "Retry-After": "1", **applied})

    @router.get("/jobs", response_model=JobPage, responses=described(403, 422, 503))
    async def list_jobs(
        request: Request,
        owner: Owner,
        status: Status | None = None,
        task: str | None = None,
        queue: str | None = None,
        batch: str | None = None,
        since: Annotated[AwareDatetime | None, Query(description="created at this time or later")] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        cursor: str | None = None,
    ) -> Response:
        """The caller's jobs, newest first."""
        created = int(since.timestamp() * 1e6) if since is not None else None
        found = await bb.store.read(ListJobs(owner, status, task, queue, created, cursor, limit + 1, batch))
        base, shown = base_of(request), found[:limit]
        following = shown[-1].id if len(found) > limit else None
        ahead = await outlooks_of(bb, shown)
        jobs = [job_summary(record, base, ahead.get(record.id, UNKNOWN)) for record in shown]
        return JSONResponse({"jobs": jobs, "next": following})

    @router.get("/jobs/stats", response_model=JobStats, responses=described(403, 503))
    async def count_jobs(owner: Owner) -> Response:
        """How many jobs the caller has in each state, how long they took and waited, and what part was completed."""
        return JSONResponse(statistics(await bb.store.read(CountJobs(owner))))

    @router.post("/jobs/retry", response_model=Retried)
    async def retry_jobs(
        owner: Owner,
        status: Literal["failed", "cancelled"] = "failed",
        task: str | None = None,
        queue: str | None = None,
        since: Annotated[AwareDatetime | None, Query(description="created at this time or later")] = None,
        limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
    ) -> Response:
        """Run the caller's failed (or cancelled) jobs again, the newest first; says how many."""
        created = int(since.timestamp() * 1e6) if since is not None else None
        query = ListJobs(owner, Status(status), task, queue, created)
        return JSONResponse({"retried": await retry_all(bb.store, query, limit)})

    allow_only(router, "/jobs/stats", "GET")
    allow_only(router, "/jobs/retry", "POST")

    @router.get(
        "/jobs/{id}",
        response_model=JobOut,
        responses={304: {"description": "The client has it: If-None-Match"}, **described(403, 404, 503)},
    )
    async def get_job(
        request: Request,
        reader: Reader,
        id: str,
        wait: Annotated[int, Query(ge=0, le=LONGEST, description="seconds to wait for its end, or for news")] = 0,
        if_none_match: Annotated[str | None, Header(description="the ETag of what is known already")] = None,
    ) -> Response:
        """The job as it stands. With ``wait`` the answer comes when it has ended; with ``If-None-Match`` as well, as
        soon as it is another than the one that is known. Its place in the line and the time left are no news."""
        record, base = await find_job(bb, id, reader.owner), base_of(request)
        if wait and not record.status.finished:
            content = await full_job(bb, record, base)
            if if_none_match is None:
                record = await until(bb, record, wait, lambda record: record.status.finished)
            elif knows(request, tag_of(content)):
                seq = record.seq
                record = await until(bb, record, wait, lambda record: record.seq != seq)
        return tagged(request, await full_job(bb, record, base))

    @router.delete("/jobs/{id}", status_code=204, responses=described(403, 404, 409, 503))
    async def erase_job(owner: Owner, id: str) -> Response:
        """Erase a finished job and all that belongs to it."""
        await bb.store.write(Erase(id, owner))
        return Response(status_code=204)

    @router.post("/jobs/{id}/cancel", response_model=JobOut, responses=described(403, 404, 503))
    async def cancel_job(request: Request, owner: Owner, id: str) -> Response:
        """Cancel a pending job, ask a running one to stop; a finished one stays as it is."""
        return JSONResponse(await full_job(bb, await bb.store.write(Cancel(id, owner)), base_of(request)))

    @router.post("/jobs/{id}/retry", response_model=JobOut, responses=described(403, 404, 409, 503))
    async def retry_job(request: Request, owner: Owner, id: str) -> Response:
        """Run a failed or cancelled job again, from its first unfinished step."""
        return JSONResponse(await full_job(bb, await bb.store.write(Retry(id, owner)), base_of(request)))

    @router.get(
        "/jobs/{id}/result",
        response_class=Response,
        responses={
            200: {"description": "What the task returned", "content": {"application/json": {"schema": {}}}},
            **described(403, 404, 409, 503),
        },
    )
    async def get_result(reader: Reader, id: str) -> Response:
        """The result alone."""
        record = await find_job(bb, id, reader.owner)
        result = await bb.store.read(GetResult(id)) if record.status is Status.COMPLETED else None
        if result is None:
            raise IllegalTransition(f"job {id} is {record.status}: only a completed job has a result")
        name = {"Content-Disposition": f'attachment; filename="{id}.json"'}
        return Response(result, headers=name, media_type="application/json")

    return router


async def full_job(bb: Backburner, record: JobRecord, base: str) -> dict[str, Any]:
    """A job with its result, as `job_json` writes it."""
    text = await bb.store.read(GetResult(record.id)) if record.status is Status.COMPLETED else None
    ahead = await outlooks_of(bb, [record])
    return job_json(record, decode(text) if text is not None else None, base, ahead.get(record.id, UNKNOWN))


async def outlooks_of(bb: Backburner, records: Iterable[JobRecord]) -> Mapping[str, Outlook]:
    """What those that have not ended may expect."""
    live = [record.id for record in records if not record.status.finished]
    return await bb.store.read(Outlooks(live)) if live else {}


def submission_of(bb: Backburner, body: Any, owner: str) -> tuple[TaskSubmission[Any, Any], dict[str, Any]]:
    """What the body of a submit asks for, and the arguments. Raises `InvalidArguments`, `UnknownTask`."""
    wanted = _parse(body)
    task = bb.tasks.get(wanted.task)
    if task is None or not task.options.public:
        raise UnknownTask(f"There is no task {wanted.task!r} that is open to this interface: public=True opens one.")
    args = task.parameters.check(wanted.args)
    priority = None if wanted.priority is None else min(max(wanted.priority, 1), 10)
    submission = task.using(
        owner=owner, priority=priority, delay=wanted.delay or 0, run_at=wanted.run_at, key=wanted.key
    )
    return submission, args


def base_of(request: HTTPConnection) -> str:
    """What stands before every address of the application: behind a proxy, or where it is mounted."""
    root: str = request.scope.get("root_path", "")
    return root.rstrip("/")


def _parse(body: Any) -> Submission:
    wanted = parse(Submission, body, "the submission")
    if wanted.delay is not None and wanted.run_at is not None:
        one = "give either delay or run_at"
        raise InvalidArguments(f"the submission has a delay and a run_at: {one}", {"delay": one, "run_at": one})
    return wanted
