"""The same events over WebSocket, with the same cursors."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from backburner import Backburner
from tests.integration.http_support import PATIENCE, Hand, Web, make_bb
from tests.integration.identity_support import SECRET, bearer, signed


@pytest.fixture
def bb(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Backburner]:
    bb = make_bb(tmp_path, **getattr(request, "param", {}))
    yield bb
    bb.close()


@pytest.fixture
def web(bb: Backburner) -> Iterator[Web]:
    with Web(bb, heartbeat=0.2) as web:
        yield web


WITH_TOKENS = pytest.mark.parametrize(
    "bb", [{"auth": "jwt", "jwt_secret": SECRET, "jwt_leeway": 0.0}], indirect=True, ids=["jwt"]
)


@contextlib.contextmanager
def follow(web: Web, query: str = "", headers: dict[str, str] | None = None) -> Iterator[ClientConnection]:
    url = f"ws{web.url.removeprefix('http')}/backburner/ws{query}"
    with connect(url, additional_headers=headers, open_timeout=PATIENCE, proxy=None) as line:
        yield line


def hear(line: ClientConnection, *, beats: bool = False) -> dict[str, Any]:
    """The next message, without heartbeats and outlooks."""
    while True:
        message: dict[str, Any] = json.loads(line.recv(PATIENCE))
        if beats or message["event"] not in ("heartbeat", "job.outlook"):
            return message


def rest(line: ClientConnection) -> list[dict[str, Any]]:
    found = []
    with contextlib.suppress(ConnectionClosed):
        while True:
            found.append(hear(line))
    return found


def test_a_job_is_followed_to_its_end_and_resumed_exactly(bb: Backburner, web: Web) -> None:
    job = web.submit()
    with follow(web, f"?job={job}") as line:
        opening = hear(line)
        assert (opening["event"], opening["data"]["job"]["id"]) == ("snapshot", job)
        hand = Hand(bb)
        hand.take()
        hand.say("Once ")
        started, first = hear(line), hear(line)
        assert [each["event"] for each in (started, first)] == ["job.started", "text.delta"]
    hand.say("upon a time 雪")
    hand.complete('{"characters":1}')
    with follow(web, f"?job={job}&after={first['id']}") as line:
        found = rest(line)
        assert line.close_code == 1000
    assert [each["event"] for each in found] == ["text.delta", "job.completed"]
    assert found[0]["data"]["delta"] == "upon a time 雪"
    assert (
        found
        == [
            {key: each[key] for key in ("id", "event", "data")}
            for each in web.log_of(job)
            if each["event"] != "notification"
        ][-2:]
    )
    with follow(web, f"?job={job}&after={found[-1]['id']}") as line:
        assert rest(line) == []


def test_an_owner_follows_everything_on_one_line(bb: Backburner, web: Web) -> None:
    with follow(web) as line:
        assert hear(line)["event"] == "snapshot"
        jobs = [web.submit(), web.submit()]
        assert [hear(line)["data"]["job"] for _ in jobs] == jobs
        while hear(line, beats=True)["event"] != "heartbeat":
            pass


@pytest.mark.parametrize(("query", "status"), [("?job=nothing", 404), ("?ticket=bbt_x", 401)])
def test_what_is_refused_is_refused_before_the_line_is_up(web: Web, query: str, status: int) -> None:
    with pytest.raises(InvalidStatus) as caught, follow(web, query):
        pass
    response = caught.value.response
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert json.loads(response.body or b"")["status"] == status


def test_a_page_of_another_site_opens_no_line(web: Web) -> None:
    with pytest.raises(InvalidStatus) as caught, follow(web, headers={"Origin": "https://evil.example"}):
        pass
    assert caught.value.response.status_code == 403


@WITH_TOKENS
def test_a_line_is_opened_by_a_token_or_once_by_a_ticket(web: Web) -> None:
    with follow(web, headers=bearer(signed("ann"))) as line:
        assert hear(line)["event"] == "snapshot"
    ticket = web.http.post("/backburner/tickets", headers=bearer(signed("ann"))).json()["ticket"]
    with follow(web, f"?ticket={ticket}") as line:
        assert hear(line)["event"] == "snapshot"
    for query in ("", f"?ticket={ticket}"):
        with pytest.raises(InvalidStatus) as caught, follow(web, query):
            pass
        assert caught.value.response.status_code == 401


@WITH_TOKENS
def test_nobody_follows_somebody_elses_job(web: Web) -> None:
    body = {"task": "write", "args": {"text": "x"}}
    job = web.http.post("/backburner/jobs", json=body, headers=bearer(signed("ann"))).json()["id"]
    with pytest.raises(InvalidStatus) as caught, follow(web, f"?job={job}", bearer(signed("bob"))):
        pass
    assert caught.value.response.status_code == 404


@WITH_TOKENS
def test_a_line_ends_with_its_token_unless_that_is_renewed(web: Web) -> None:
    expires = int(time.time()) + 2
    with follow(web, headers=bearer(signed("ann", exp=expires))) as line:
        assert [hear(line)["event"] for _ in range(2)] == ["snapshot", "token.expiring"]
        line.send(json.dumps({"token": signed("ann", exp=expires + 2)}))
        assert hear(line)["event"] == "token.expiring"
        rest(line)
        assert line.close_code == 1000
    assert time.time() >= expires + 2


@WITH_TOKENS
@pytest.mark.parametrize("sent", ["", "no JSON", "[]", '{"token": 5}', '{"token": "x"}', "bob", "expired"])
def test_a_token_that_is_no_good_ends_the_line(web: Web, sent: str) -> None:
    tokens = {"bob": signed("bob"), "expired": signed("ann", lasts=-10)}
    with follow(web, headers=bearer(signed("ann"))) as line:
        hear(line)
        line.send(json.dumps({"token": tokens[sent]}) if sent in tokens else sent)
        rest(line)
        assert line.close_code == 4401


def test_a_server_that_ends_says_that_it_is_worth_coming_back(bb: Backburner, web: Web) -> None:
    job = web.submit()
    with follow(web, f"?job={job}") as line:
        hear(line)
        bb.hubs.close()
        rest(line)
        assert line.close_code == 1013
