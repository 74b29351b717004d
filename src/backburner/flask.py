"""backburner in a Flask application: the routes under ``/backburner``, and a worker beside it."""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any

try:
    import flask
except ModuleNotFoundError:
    raise ModuleNotFoundError("backburner.flask needs Flask: install backburner[flask]", name="flask") from None
from pydantic import AwareDatetime, TypeAdapter, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from werkzeug.exceptions import MethodNotAllowed

from .delivery.log import JobLog, Log, OwnerLog
from .domain.errors import IllegalTransition, InvalidArguments, JobNotFound
from .domain.job import JobRecord, Status
from .domain.json import MAX_BYTES, decode, refuse_nul
from .domain.operations import Cancel, Erase, GetJob, GetResult, ListJobs, Outlooks, Retry
from .domain.outlook import UNKNOWN, Outlook
from .http.body import parse_json
from .http.callers import of_everything, of_job
from .http.events import page_of, place_of
from .http.jobs import submission_of
from .http.limits import too_large, within_limits
from .http.problems import problem_of
from .http.schemas import PREFIX, job_json, job_summary

if TYPE_CHECKING:
    from .app import Backburner

EXTENSION = "backburner"
LARGEST_PAGE = 500

View = Callable[..., "flask.Response"]


class BackburnerFlask:
    """``BackburnerFlask(app, bb)``, or ``extension = BackburnerFlask(bb=bb)`` and later ``extension.init_app(app)``.

    Registers the routes under ``/backburner``; whoever may call FastAPI's may call these. With ``worker`` (the default
    is the setting `BACKBURNER_EMBEDDED_WORKER`) a worker runs in this process from its first request on: not before,
    because a server may load the application in one process and serve it in others. `start` starts it sooner. The
    worker is drained and the store closed when the interpreter ends, or by `close`.
    """

    def __init__(
        self, app: flask.Flask | None = None, bb: Backburner | None = None, *, worker: bool | None = None
    ) -> None:
        self._bb = bb
        self._wanted = worker
        self._lock = threading.Lock()
        self._stop_worker: Callable[[], None] | None = None
        self._process = 0
        if app is not None:
            self.init_app(app)

    def init_app(self, app: flask.Flask, bb: Backburner | None = None) -> None:
        """Raises `ValueError` where no Backburner was given."""
        self._bb = bb = bb or self._bb
        if bb is None:
            raise ValueError("BackburnerFlask needs a Backburner: BackburnerFlask(app, bb)")
        bb.has_lifespan = True
        app.extensions[EXTENSION] = self
        app.register_blueprint(make_blueprint(bb))
        app.before_request(self.start)
        app.before_request(refuse_unrouted)
        # A worker needs the pools of concurrent.futures to drain. What was registered last ends first, so that module
        # has to be there already.
        import_module("concurrent.futures.thread")
        getattr(threading, "_register_atexit", atexit.register)(self.close)

    def start(self) -> None:
        """Start the worker, unless one runs in this process or none is wanted."""
        if self._process == os.getpid():
            return
        bb = self._bb
        assert bb is not None, "init_app comes first"
        with self._lock:
            if self._process == os.getpid():
                return
            self._process = os.getpid()
            wanted = bb.settings.embedded_worker if self._wanted is None else self._wanted
            self._stop_worker = bb.start_worker() if wanted and bb.tasks else None

    def close(self) -> None:
        """Drain the worker and close the store; a later request opens it again."""
        with self._lock:
            ours = self._process == os.getpid()
            stop_worker, self._stop_worker, self._process = self._stop_worker, None, 0
        if stop_worker is not None and ours:
            stop_worker()
        if self._bb is not None:
            self._bb.close()


def make_blueprint(bb: Backburner) -> flask.Blueprint:
    """The routes for jobs and their events; events come as pages of JSON."""
    blueprint = flask.Blueprint(EXTENSION, __name__, url_prefix=PREFIX)

    def route(rule: str, method: str, status: int = 200, shown: bool = False) -> Callable[[Callable[..., Any]], None]:
        """``shown``: a read token of the job may ask for it."""

        def register(view: Callable[..., Any]) -> None:
            blueprint.add_url_rule(rule, view.__name__, answering(bb, view, status, shown), methods=[method])

        return register

    @route("/jobs", "POST", 202)
    def submit_job(owner: str) -> Any:
        submission, args = submission_of(bb, parse_json(read_body()), owner)
        record = submission.submit_sync(**args).record
        content = job_json(replace(record, args=args if record.args is None else record.args), base=base())
        return content, {"Location": content["urls"]["self"], "Retry-After": "1"}

    @route("/jobs", "GET")
    def list_jobs(owner: str) -> Any:
        asked = flask.request.args
        limit = number("limit", 50, 200)
        wanted = asked.get("status")
        if wanted is not None and wanted not in list(Status):
            known = ", ".join(Status)
            raise InvalidArguments(f"status is {wanted!r}: choose one of {known}", {"status": f"one of {known}"})
        status = Status(wanted) if wanted is not None else None
        names = (asked.get("task"), asked.get("queue"))
        query = ListJobs(owner, status, *names, moment("since"), asked.get("cursor"), limit + 1, asked.get("batch"))
        found = bb.store.read_sync(query)
        shown = found[:limit]
        following = shown[-1].id if len(found) > limit else None
        ahead = outlooks(shown)
        jobs = [job_summary(record, base(), ahead.get(record.id, UNKNOWN)) for record in shown]
        return {"jobs": jobs, "next": following}

    @route("/jobs/<id>", "GET", shown=True)
    def get_job(owner: str, id: str) -> Any:
        return full_job(find(id, owner))

    @route("/jobs/<id>", "DELETE", 204)
    def erase_job(owner: str, id: str) -> Any:
        bb.store.write_sync(Erase(id, owner))

    @route("/jobs/<id>/cancel", "POST")
    def cancel_job(owner: str, id: str) -> Any:
        return full_job(bb.store.write_sync(Cancel(id, owner)))

    @route("/jobs/<id>/retry", "POST")
    def retry_job(owner: str, id: str) -> Any:
        return full_job(bb.store.write_sync(Retry(id, owner)))

    @route("/jobs/<id>/result", "GET", shown=True)
    def get_result(owner: str, id: str) -> Any:
        record = find(id, owner)
        result = bb.store.read_sync(GetResult(id)) if record.status is Status.COMPLETED else None
        if result is None:
            raise IllegalTransition(f"job {id} is {record.status}: only a completed job has a result")
        return decode(result), {"Content-Disposition": f'attachment; filename="{id}.json"'}

    @route("/jobs/<id>/events", "GET", shown=True)
    def job_events(owner: str, id: str) -> Any:
        find(id, owner)
        return page(JobLog(id))

    @route("/events", "GET")
    def owner_events(owner: str) -> Any:
        return page(OwnerLog(owner))

    def find(id: str, owner: str) -> JobRecord:
        record = bb.store.read_sync(GetJob(id, owner))
        if record is None:
            raise JobNotFound(f"there is no job {id}")
        return record

    def full_job(record: JobRecord) -> dict[str, Any]:
        text = bb.store.read_sync(GetResult(record.id)) if record.status is Status.COMPLETED else None
        result = decode(text) if text is not None else None
        return job_json(record, result, base(), outlooks([record]).get(record.id, UNKNOWN))

    def outlooks(records: Sequence[JobRecord]) -> Mapping[str, Outlook]:
        live = tuple(record.id for record in records if not record.status.finished)
        return bb.store.read_sync(Outlooks(live)) if live else {}

    def page(log: Log) -> dict[str, Any]:
        after = place_of(log, flask.request.headers.get("Last-Event-ID") or flask.request.args.get("after"))
        return page_of(log, bb.store.read_sync(log.query(after, number("limit", 200, LARGEST_PAGE))), after)

    return blueprint


def refuse_unrouted() -> flask.Response | None:
    """What no route answers is a problem too; no blueprint is asked about it."""
    error, path = flask.request.routing_exception, flask.request.path
    if error is None or (error.code or 0) < 400 or not f"{path}/".startswith(f"{PREFIX}/"):
        return None
    told = HTTPException(error.code or 404)
    if isinstance(error, MethodNotAllowed):
        allowed = ", ".join(sorted(error.valid_methods or ()))
        told.detail = f"{flask.request.method} is not possible here: use {allowed}."
        told.headers = {"Allow": allowed}
    return as_flask(problem_of(told, as_starlette(flask.request, {})))


def answering(bb: Backburner, view: Callable[..., Any], status: int, shown: bool) -> View:
    """The view for whom the request comes from; its errors are problems (RFC 9457)."""

    def answer(**places: str) -> flask.Response:
        asked = as_starlette(flask.request, places)
        try:
            within_limits(asked)
            who = bb.callers.identity_sync(asked)
            found = view((of_job(who, places["id"]) if shown else of_everything(who)).owner, **places)
        except Exception as error:
            return as_flask(problem_of(error, asked))
        content, headers = found if isinstance(found, tuple) else (found, {})
        response = flask.Response(status=status) if status == 204 else flask.jsonify(content)
        response.status_code = status
        response.headers.update(headers)
        return response

    return answer


def as_flask(problem: Response) -> flask.Response:
    return flask.Response(bytes(problem.body), problem.status_code, dict(problem.headers))


def as_starlette(request: flask.Request, places: Mapping[str, str]) -> Request:
    """What the rules of the HTTP interface look at, so that there is one set of them."""
    peer = request.environ.get("REMOTE_ADDR")
    return Request(
        {
            "type": "http",
            "method": request.method,
            "scheme": request.scheme,
            "path": request.path,
            "query_string": request.query_string,
            "root_path": request.root_path,
            "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in request.headers],
            "client": (peer, 0) if peer else None,
            "server": None,
            "path_params": dict(places),
        }
    )


def read_body() -> bytes:
    """Raises `TooLarge` above 16 MiB, `InvalidArguments` for NUL in it."""
    body = flask.request.stream.read(MAX_BYTES + 1)
    if len(body) > MAX_BYTES:
        raise too_large()
    with contextlib.suppress(ValueError, RecursionError):  # no JSON: whoever parses it says so
        refuse_nul(body.decode())
    return body


def number(name: str, default: int, largest: int) -> int:
    """A parameter of the address. Raises `InvalidArguments`."""
    given = flask.request.args.get(name)
    if given is None:
        return default
    if not given.isascii() or not given.isdecimal() or len(given) > 6 or not 1 <= int(given) <= largest:
        raise InvalidArguments(f"{name} is {given[:50]!r}: choose 1 to {largest}", {name: f"1 to {largest}"})
    return int(given)


def moment(name: str) -> int | None:
    """A time with a zone in the address, in microseconds since the epoch. Raises `InvalidArguments`."""
    given = flask.request.args.get(name)
    if given is None:
        return None
    try:
        at: datetime = TypeAdapter(AwareDatetime).validate_strings(given)
        return int(at.timestamp() * 1e6)
    except ValidationError:
        choose = "write it as a time with a zone, as in 2030-01-01T03:00:00+01:00"
        raise InvalidArguments(f"{name} is {given[:50]!r}: {choose}", {name: choose}) from None


def base() -> str:
    """What stands before every address of the application: where it is mounted."""
    return flask.request.root_path.rstrip("/")
