"""Errors are problems (RFC 9457), whoever raises them and wherever."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI, HTTPException

from backburner import (
    Backburner,
    ConfigurationError,
    IllegalTransition,
    InvalidArguments,
    JobNotFound,
    LeaseLost,
    SchemaOutdated,
    StoreUnavailable,
    TooLarge,
    UnknownTask,
)
from backburner.http.problems import ProblemRoute
from tests.integration.http_support import Web, make_bb

ERRORS: dict[str, tuple[Exception, int, str]] = {
    "arguments": (InvalidArguments("no", {"text": "missing"}), 422, "invalid_arguments"),
    "large": (TooLarge("17 MiB"), 413, "too_large"),
    "task": (UnknownTask("which?"), 404, "unknown_task"),
    "job": (JobNotFound("where?"), 404, "job_not_found"),
    "move": (IllegalTransition("not now"), 409, "illegal_transition"),
    "store": (StoreUnavailable("the disk is full", retry_after=2.4), 503, "store_unavailable"),
    "setting": (ConfigurationError("set OPENAI_API_KEY"), 500, "configuration"),
    "schema": (SchemaOutdated("run backburner migrate"), 503, "schema_outdated"),
    "inside": (LeaseLost("a detail of ours"), 500, "internal_error"),
    "bug": (ZeroDivisionError("a secret of the server"), 500, "internal_error"),
    "http": (HTTPException(418, "I brew nothing", {"X-Pot": "tea"}), 418, "im_a_teapot"),
    "dict": (HTTPException(400, {"why": "because"}), 400, "bad_request"),
}


def routes(router: APIRouter | FastAPI) -> None:
    @router.get("/raise/{name}")
    async def fails(name: str) -> None:
        raise ERRORS[name][0]

    @router.post("/number")
    async def number(body: dict[str, int]) -> dict[str, int]:
        return body


@pytest.fixture(params=["route", "application"])
def web(bb: Backburner, request: pytest.FixtureRequest) -> Iterator[Web]:
    """The same routes, once with `ProblemRoute`, once with the handlers of the application."""

    def prepare(app: FastAPI) -> None:
        if request.param == "application":
            routes(app)
        else:
            app.exception_handlers.clear()
            router = APIRouter(route_class=ProblemRoute)
            routes(router)
            app.include_router(router)

    with Web(bb, prepare=prepare) as web:
        yield web


def assert_problem(response: httpx.Response, status: int, type: str) -> dict[str, Any]:
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert (response.status_code, body["status"], body["type"]) == (status, status, f"urn:backburner:{type}")
    return body


@pytest.mark.parametrize("name", list(ERRORS))
def test_every_error_has_its_problem(web: Web, name: str, caplog: pytest.LogCaptureFixture) -> None:
    error, status, type = ERRORS[name]
    body = assert_problem(web.http.get(f"/raise/{name}"), status, type)
    if type == "internal_error":
        assert str(error) not in str(body)
        assert "backburner.http" in {record.name for record in caplog.records}
    elif name != "dict":
        assert getattr(error, "detail", None) == body["detail"]
    assert body.get("errors") == ({"text": "missing"} if name == "arguments" else None)


def test_headers_of_an_error_are_kept(web: Web) -> None:
    assert web.http.get("/raise/http").headers["x-pot"] == "tea"
    assert web.http.get("/raise/store").headers["retry-after"] == "3"


def test_what_fastapi_refuses_is_a_problem_too(web: Web) -> None:
    body = assert_problem(web.http.post("/number", json={"a": "b"}), 422, "invalid_arguments")
    assert set(body["errors"]) == {"a"}
    assert_problem(
        web.http.post("/number", content=b"{", headers={"Content-Type": "application/json"}), 400, "malformed"
    )


def test_unknown_paths_and_methods_are_problems_in_a_whole_application(bb: Backburner) -> None:
    with Web(bb) as web:
        assert_problem(web.http.get("/backburner/nothing"), 404, "not_found")
        assert_problem(web.http.get("/nothing"), 404, "not_found")
        response = web.http.put("/backburner/jobs")
        assert_problem(response, 405, "method_not_allowed")
        assert {"GET"} <= set(response.headers["allow"].split(", ")) | {"GET"}


def test_a_store_that_cannot_be_used_is_a_503(tmp_path: Path) -> None:
    bb = make_bb(tmp_path)
    with Web(bb) as web:
        job = web.submit(text="x")
        bb.store.close()
        for response in (
            web.http.get("/backburner/jobs"),
            web.http.get(f"/backburner/jobs/{job}"),
            web.http.get(f"/backburner/jobs/{job}/events"),
            web.http.get("/backburner/events"),
            web.http.get("/backburner/inbox"),
            web.http.get("/backburner/readyz"),
            web.http.post("/backburner/jobs", json={"task": "write", "args": {"text": "x"}}),
            web.http.post(f"/backburner/jobs/{job}/cancel"),
        ):
            assert_problem(response, 503, "store_unavailable")
            assert int(response.headers["retry-after"]) >= 1
        assert web.http.get("/backburner/healthz").status_code == 200
    bb.close()


def test_a_database_that_cannot_be_opened_is_not_ready(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    bb = make_bb(folder)
    with Web(bb) as web:
        assert web.http.get("/backburner/readyz").status_code == 200
        bb.close()
        shutil.rmtree(folder)
        assert_problem(web.http.get("/backburner/readyz"), 503, "store_unavailable")
        folder.mkdir()
    bb.close()


def test_openapi_describes_the_routes_and_every_reference_in_it_resolves(bb: Backburner) -> None:
    with Web(bb) as web:
        document = web.http.get("/openapi.json").json()
    paths = document["paths"]
    jobs = "/backburner/jobs"
    expected = {
        jobs: {"get", "post"},
        f"{jobs}/stats": {"get"},
        f"{jobs}/retry": {"post"},
        f"{jobs}/{{id}}": {"delete", "get"},
        f"{jobs}/{{id}}/cancel": {"post"},
        f"{jobs}/{{id}}/retry": {"post"},
        f"{jobs}/{{id}}/result": {"get"},
        f"{jobs}/{{id}}/answer": {"post"},
        "/backburner/answers/{token}": {"get", "post"},
        "/backburner/batches": {"get"},
        "/backburner/batches/{id}": {"delete", "get"},
        "/backburner/batches/{id}/cancel": {"post"},
        "/backburner/batches/{id}/retry": {"post"},
        f"{jobs}/{{id}}/events": {"get"},
        "/backburner/events": {"get"},
        "/backburner/tickets": {"post"},
        "/backburner/jobs/{id}/tokens": {"post", "delete"},
        "/backburner/inbox": {"get"},
        "/backburner/inbox/read-all": {"post"},
        "/backburner/inbox/{id}/read": {"post"},
        "/backburner/queues": {"get"},
        "/backburner/queues/{name}/pause": {"post"},
        "/backburner/queues/{name}/resume": {"post"},
        "/backburner/usage": {"get"},
        "/backburner/healthz": {"get"},
        "/backburner/readyz": {"get"},
    }
    assert {path: set(methods) for path, methods in paths.items()} == expected
    submit = paths[jobs]["post"]
    assert "task" in submit["requestBody"]["content"]["application/json"]["schema"]["properties"]
    assert submit["responses"]["202"]["content"]["application/json"]["schema"]["$ref"].endswith("JobOut")
    assert "application/problem+json" in submit["responses"]["422"]["content"]
    stream = paths[f"{jobs}/{{id}}/events"]["get"]
    assert {"text/event-stream", "application/json"} == set(stream["responses"]["200"]["content"])
    assert {"id", "after", "limit", "last-event-id", "ticket"} == {each["name"] for each in stream["parameters"]}
    assert "204" in stream["responses"]
    for reference in references(document):
        found = document
        for name in reference.removeprefix("#/").split("/"):
            found = found[name]


def references(value: Any) -> Iterator[str]:
    match value:
        case {"$ref": str(reference)}:
            yield reference
        case dict():
            for each in value.values():
                yield from references(each)
        case list():
            for each in value:
                yield from references(each)
