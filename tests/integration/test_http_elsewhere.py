"""Unknown addresses and wrong methods, in an application that knows nothing of problem documents."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from backburner import Backburner

from .strangers_support import refused


def client_of(app: Any) -> TestClient:
    return TestClient(app, "http://127.0.0.1", client=("127.0.0.1", 5000))


@pytest.fixture
def app(bb: Backburner) -> FastAPI:
    """Without `install_problem_handlers`, and with routes of its own around ours."""
    app = FastAPI()

    @app.get("/before")
    def before() -> str:
        return "mine"

    app.include_router(bb.router)

    @app.get("/backburner/mine")
    @app.get("/backburner/jobs/mine/of/another/shape")
    def mine() -> str:
        return "mine"

    return app


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/nothing",
        "/nothing/",
        "/jobs/a/b/c",
        "/jobs/a/b/c/",
        "/ui/nothing.js",
        "/ui",
        "//",
        "/é",
        "/a%2fb",
        "/ni%0ax",
        "/jobs/a%0ab/x",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PATCH"])
def test_unknown_paths_under_the_prefix_are_problems(app: FastAPI, method: str, path: str) -> None:
    response = client_of(app).request(method, f"/backburner{path}")
    assert refused(response)["status"] == (405 if path.startswith("/ui") and method != "GET" else 404)


def test_other_paths_are_the_applications_own(app: FastAPI) -> None:
    client = client_of(app)
    assert client.get("/nothing").json() == {"detail": "Not Found"}
    assert client.get("/before").json() == "mine"
    assert client.get("/backburnerish").json() == {"detail": "Not Found"}


def test_routes_that_the_application_adds_under_the_prefix_go_first(app: FastAPI) -> None:
    client = client_of(app)
    assert client.get("/backburner/mine").json() == "mine"
    assert client.get("/backburner/jobs/mine/of/another/shape").json() == "mine"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/jobs", "GET, POST"),
        ("PATCH", "/jobs/x", "DELETE, GET"),
        ("HEAD", "/jobs", "GET, POST"),
        ("GET", "/jobs/x/cancel", "POST"),
        ("POST", "/healthz", "GET"),
        ("POST", "/ui/jobs", "GET"),
        ("OPTIONS", "/inbox", "GET"),
    ],
)
def test_wrong_methods_are_told_the_right_ones(app: FastAPI, method: str, path: str, allowed: str) -> None:
    response = client_of(app).request(method, f"/backburner{path}")
    assert response.status_code == 405
    assert response.headers["allow"] == allowed
    if method != "HEAD":
        assert allowed in refused(response)["detail"]


def test_a_slash_too_many_is_redirected_as_elsewhere_in_the_application(app: FastAPI, bb: Backburner) -> None:
    response = client_of(app).get("/backburner/jobs/?limit=1", follow_redirects=False)
    assert (response.status_code, response.headers["location"]) == (307, "http://127.0.0.1/backburner/jobs?limit=1")
    strict = FastAPI(redirect_slashes=False)
    strict.include_router(bb.router)
    assert refused(client_of(strict).get("/backburner/jobs/"))["status"] == 404


def test_the_same_where_the_application_is_mounted_or_the_router_has_another_prefix(bb: Backburner) -> None:
    inner, outer = FastAPI(), FastAPI()
    inner.include_router(bb.router, prefix="/deeper")
    outer.mount("/inner", inner)
    client = client_of(outer)
    assert refused(client.get("/inner/deeper/backburner/nothing"))["status"] == 404
    assert client.put("/inner/deeper/backburner/jobs").headers["allow"] == "GET, POST"
    assert client.get("/inner/deeper/backburner/healthz").json() == {"status": "ok"}
    assert client.get("/inner/nothing").json() == {"detail": "Not Found"}


def test_an_application_that_catches_everything_itself_still_does(bb: Backburner) -> None:
    app = FastAPI()
    app.include_router(bb.router)

    @app.get("/{path:path}")
    def everything(path: str) -> str:
        return path

    client = client_of(app)
    assert client.get("/elsewhere").json() == "elsewhere"
    assert client.get("/backburner/healthz").json() == {"status": "ok"}
