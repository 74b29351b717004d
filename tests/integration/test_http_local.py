"""Without authentication only this machine is served, and no page of another site."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from backburner import Backburner
from backburner.http.local import is_local_name, is_loopback
from tests.integration.http_support import PATIENCE, Web


def submit(web: Web, headers: Mapping[str, str]) -> httpx.Response:
    return web.http.post("/backburner/jobs", json={"task": "write", "args": {"text": "x"}}, headers=headers)


def assert_forbidden(response: httpx.Response, word: str) -> None:
    assert response.status_code == 403
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["type"] == "urn:backburner:forbidden"
    assert word in response.json()["detail"]


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "192.168.1.2", "localhost.evil.example", "127.0.0.1.evil.example", ""]
)
def test_a_foreign_host_is_refused(web: Web, host: str) -> None:
    assert_forbidden(submit(web, {"Host": host}), "127.0.0.1")
    assert_forbidden(web.http.get("/backburner/events", headers={"Host": host}), "127.0.0.1")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:3000", "127.0.0.1:8000", "[::1]:8000", "app.localhost:80"])
def test_this_machines_own_names_are_served(web: Web, host: str) -> None:
    assert submit(web, {"Host": host}).status_code == 202


def test_a_request_without_a_host_is_refused(web: Web) -> None:
    with socket.create_connection(("127.0.0.1", web.port), PATIENCE) as line:
        line.sendall(b"GET /backburner/jobs HTTP/1.0\r\n\r\n")
        assert b" 403 " in line.recv(65536).splitlines()[0]


@pytest.mark.parametrize("name", ["Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP"])
def test_what_comes_through_a_proxy_is_refused(web: Web, name: str) -> None:
    assert_forbidden(submit(web, {name: "127.0.0.1"}), name.lower())


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:1", "https://127.0.0.1.evil"])
def test_a_page_of_another_site_may_not_change_anything(web: Web, origin: str) -> None:
    job = web.submit(text="x")
    assert_forbidden(submit(web, {"Origin": origin}), origin)
    for method, path in [("DELETE", ""), ("POST", "/cancel"), ("POST", "/retry")]:
        response = web.http.request(method, f"/backburner/jobs/{job}{path}", headers={"Origin": origin})
        assert_forbidden(response, origin)


def test_a_page_of_this_site_may(web: Web) -> None:
    assert submit(web, {"Origin": web.url}).status_code == 202


def test_the_probes_of_operations_need_no_identity(web: Web) -> None:
    for path in ("/backburner/healthz", "/backburner/readyz"):
        response = web.http.get(path, headers={"Host": "pod.example"})
        assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_every_other_route_asks_who_is_there(web: Web) -> None:
    described: dict[str, Any] = web.http.get("/openapi.json").json()["paths"]
    asked = 0
    for path, methods in described.items():
        if path.endswith("z"):
            continue
        for method in methods:
            response = web.http.request(method, path.replace("{id}", "1"), headers={"Host": "evil.example"})
            assert_forbidden(response, "127.0.0.1")
            asked += 1
    assert asked >= 12


def ask_from(app: FastAPI, client: tuple[str, int] | None) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app, client=client)  # type: ignore[arg-type]  # None is what ASGI allows
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            return await http.get("/backburner/jobs")

    return asyncio.run(ask())


@pytest.mark.parametrize("client", [("192.168.1.2", 5), ("::ffff:10.0.0.1", 5), ("testclient", 5), None])
def test_another_machine_is_refused(bb: Backburner, client: tuple[str, int] | None) -> None:
    app = FastAPI()
    app.include_router(bb.router)
    assert_forbidden(ask_from(app, client), "127.0.0.1")


@pytest.mark.parametrize("client", [("127.0.0.1", 5), ("127.8.8.8", 5), ("::1", 5), ("::ffff:127.0.0.1", 5)])
def test_this_machine_is_served(bb: Backburner, client: tuple[str, int]) -> None:
    app = FastAPI()
    app.include_router(bb.router)
    assert ask_from(app, client).status_code == 200


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", True),
        ("a.b.localhost:1", True),
        ("[::1]", True),
        ("[::1]:80", True),
        ("127.0.0.1", True),
        ("testserver", False),
        ("[::2]", False),
        ("[::1", False),
        ("[::1].evil.example", False),
        ("localhost:80:80", False),
        ("localhost:", True),
        ("localhost@evil.example", False),
    ],
)
def test_local_names(host: str, local: bool) -> None:
    assert is_local_name(host) is local


def test_loopback_addresses() -> None:
    assert is_loopback("127.0.0.1")
    assert not is_loopback("0.0.0.0")
    assert not is_loopback("localhost")
