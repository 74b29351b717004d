"""Every error as ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from http import HTTPStatus
from itertools import islice
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from ..domain.errors import (
    BackburnerError,
    BatchNotFound,
    ConfigurationError,
    DuplicateJob,
    IllegalTransition,
    InvalidArguments,
    JobNotFound,
    QuestionNotFound,
    SchemaOutdated,
    StoreUnavailable,
    TooLarge,
    UnknownTask,
)
from ..domain.json import well_formed
from .limits import refuse_nul_in, within_limits
from .schemas import ProblemOut

log = logging.getLogger("backburner.http")

MEDIA_TYPE = "application/problem+json"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
LONGEST_DETAIL = 2000
LONGEST_NAME = 200
MOST_ERRORS = 50
STATUS: Mapping[type[BackburnerError], int] = {
    UnknownTask: 404,
    JobNotFound: 404,
    QuestionNotFound: 404,
    BatchNotFound: 404,
    IllegalTransition: 409,
    DuplicateJob: 409,
    SchemaOutdated: 503,
    ConfigurationError: 500,
}


class Refused(BackburnerError):
    """The request cannot be answered as it stands. ``status`` is its HTTP status."""

    def __init__(
        self, status: int, type: str, title: str, detail: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = headers
        self.type = type
        self.title = title


class ProblemRoute(APIRoute):
    """A route whose errors are problems, whatever application it is part of, and described as such.

    A body is at most 16 MiB, and JSON holds no NUL: not every database could store it.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        usual = {401, 403, 422, 503}
        if self.param_convertors:
            usual.add(404)
        if self.body_field is not None:
            usual |= {400, 413}
        self.responses = {**described(*sorted(usual)), **self.responses}

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                request = within_limits(request)
                if self.body_field is not None:
                    await refuse_nul_in(request)
                return await handle(request)
            except Exception as error:
                return problem_of(error, request)

        return answer

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.methods and scope["method"] not in self.methods:
            await _not_allowed(scope, self.methods)(scope, receive, send)
        else:
            await super().handle(scope, receive, send)


def install_problem_handlers(app: FastAPI) -> None:
    """Answer with problems everywhere in an application, also where no route matches."""

    async def answer(request: Request, error: Exception) -> Response:
        return problem_of(error, request)

    for kind in (BackburnerError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, answer)


def problem_of(error: Exception, request: HTTPConnection) -> Response:
    """What a client is told of an error. One that nobody expected is logged and not explained."""
    match error:
        case Refused():
            return problem(error.status, error.type, error.title, error.detail, headers=error.headers)
        case InvalidArguments():
            status = 413 if isinstance(error, TooLarge) else 422
            return problem(status, error.type, error.title, error.detail, errors=error.fields or None)
        case StoreUnavailable():
            wait = {"Retry-After": str(max(1, math.ceil(error.retry_after)))}
            return problem(503, error.type, error.title, error.detail, headers=wait)
        case DuplicateJob():
            return problem(STATUS[DuplicateJob], error.type, error.title, error.detail, job=error.job)
        case BackburnerError() if (kind := _known(error)) is not None:
            return problem(STATUS[kind], error.type, error.title, error.detail)
        case RequestValidationError():
            return _invalid(error.errors())
        case ClientDisconnect():
            return problem(400, "cut_off", "The request was cut off", "The body ended before it was complete.")
        case HTTPException(__cause__=BackburnerError() as cause):
            return problem_of(cause, request)
        case HTTPException():
            return _from_status(error)
    log.error("%s %s failed", request.scope.get("method", "WebSocket"), request.url.path, exc_info=error)
    return problem(
        500, "internal_error", "Something went wrong on the server", "The server's log has the details of this request."
    )


def problem(
    status: int,
    type: str,
    title: str,
    detail: str,
    *,
    errors: Mapping[str, str] | None = None,
    job: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    content: dict[str, Any] = {
        "type": f"urn:backburner:{type}",
        "title": title,
        "status": status,
        "detail": _shown(detail, LONGEST_DETAIL),
    }
    if errors is not None:
        some = islice(errors.items(), MOST_ERRORS)
        content["errors"] = {_shown(name, LONGEST_NAME): _shown(reason, LONGEST_DETAIL) for name, reason in some}
    if job is not None:
        content["job"] = job
    return JSONResponse(content, status, headers, MEDIA_TYPE)


def described(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """These problems, as OpenAPI says it."""
    schema = ProblemOut.model_json_schema()
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in statuses
    }


def field_errors(errors: Sequence[Any]) -> dict[str, str]:
    """pydantic's findings: the name of a field → what is wrong with it."""
    found: dict[str, str] = {}
    for error in errors:
        place = [str(part) for part in error["loc"] if part not in ("body", "query", "path", "header", "cookie")]
        found[".".join(place) or "body"] = error["msg"]
    return found


def _not_allowed(scope: Scope, methods: Iterable[str]) -> Response:
    """405 with the methods of all the routes at this address, not only of the first."""
    app = scope.get("app")
    routes = app.routes if app is not None else []
    others = {
        method
        for method in METHODS
        if any(route.matches({**scope, "method": method})[0] is Match.FULL for route in routes)
    }
    allowed = ", ".join(sorted(others | set(methods)))
    detail = f"{scope['method']} is not possible here: use {allowed}."
    status = HTTPStatus.METHOD_NOT_ALLOWED
    return problem(status, status.name.lower(), status.phrase, detail, headers={"Allow": allowed})


def _shown(text: str, longest: int) -> str:
    """What came from outside may be of any length, and no text at all."""
    return well_formed(text if len(text) <= longest else f"{text[:longest]}…")


def _known(error: BackburnerError) -> type[BackburnerError] | None:
    return next((kind for kind in type(error).__mro__ if kind in STATUS), None)


def _invalid(errors: Sequence[Any]) -> Response:
    if any(error["type"] == "json_invalid" for error in errors):
        return problem(400, "malformed", "The body is not JSON", "The body of the request is not JSON.")
    fields = field_errors(errors)
    detail = "; ".join(f"{name}: {message}" for name, message in fields.items())
    return problem(422, InvalidArguments.type, "The request does not fit the route", detail, errors=fields)


def _from_status(error: HTTPException) -> Response:
    status = HTTPStatus(error.status_code)
    if status < 400 or status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
        return Response(status_code=status, headers=error.headers)
    detail = error.detail if isinstance(error.detail, str) else str(error.detail)
    explanation = status.description or status.phrase
    return problem(
        status,
        status.name.lower(),
        status.phrase,
        explanation if detail == status.phrase else detail,
        headers=error.headers,
    )
