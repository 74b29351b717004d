"""Answers that wait for a job."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from backburner import Backburner
from tests.integration.http_support import Hand, Web


@pytest.fixture
def waiting(bb: Backburner, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set when somebody has begun to wait."""
    begun = threading.Event()
    wait = bb.watcher.wait

    async def noticed(*arguments: object) -> object:
        begun.set()
        return await wait(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(bb.watcher, "wait", noticed)
    return begun


def submit(web: Web, **headers: str) -> httpx.Response:
    return web.http.post("/backburner/jobs", json={"task": "write", "args": {"text": "x"}}, headers=headers)


def test_a_submit_that_prefers_to_wait_is_answered_with_the_end(
    bb: Backburner, web: Web, waiting: threading.Event
) -> None:
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(submit, web, Prefer="respond-async, wait=20")
        assert waiting.wait(20)
        hand = Hand(bb)
        hand.take()
        hand.complete('{"characters":1}')
        response = answer.result()
    assert (response.status_code, response.headers["preference-applied"]) == (200, "wait=20")
    assert (response.json()["status"], response.json()["result"]) == ("completed", {"characters": 1})


@pytest.mark.parametrize(
    ("prefer", "applied"), [("wait=0", "wait=0"), ("wait=-1", None), ("wait=soon", None), ("return=minimal", None)]
)
def test_who_prefers_nothing_that_makes_sense_is_answered_at_once(web: Web, prefer: str, applied: str | None) -> None:
    response = submit(web, Prefer=prefer)
    assert (response.status_code, response.headers.get("preference-applied")) == (202, applied)


def test_a_submit_that_waited_in_vain_is_an_accepted_job(web: Web) -> None:
    response = submit(web, Prefer="wait=1")
    assert (response.status_code, response.json()["status"]) == (202, "pending")
    assert response.headers["location"] == response.json()["urls"]["self"]


def test_a_look_at_a_job_waits_for_its_end(bb: Backburner, web: Web, waiting: threading.Event) -> None:
    job = web.submit()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(web.http.get, f"/backburner/jobs/{job}", params={"wait": 20})
        assert waiting.wait(20)
        hand = Hand(bb)
        hand.take()
        hand.progress(50, "half")
        hand.complete('{"characters":1}')
        assert answer.result().json()["result"] == {"characters": 1}


def test_who_knows_a_job_is_told_of_its_next_change(bb: Backburner, web: Web, waiting: threading.Event) -> None:
    job = web.submit()
    known = web.http.get(f"/backburner/jobs/{job}").headers["etag"]
    assert web.http.get(f"/backburner/jobs/{job}", headers={"If-None-Match": known}).status_code == 304
    with ThreadPoolExecutor(1) as pool:
        headers = {"If-None-Match": f'"other", {known}'}
        answer = pool.submit(web.http.get, f"/backburner/jobs/{job}", params={"wait": 20}, headers=headers)
        assert waiting.wait(20)
        Hand(bb).take()
        response = answer.result()
    assert (response.status_code, response.json()["status"]) == (200, "running")
    assert response.headers["etag"] != known
    again = web.http.get(f"/backburner/jobs/{job}", params={"wait": 20}, headers={"If-None-Match": known})
    assert again.json()["status"] == "running", "what is known is old: there is nothing to wait for"


def test_nothing_new_within_the_wait_is_not_modified(web: Web) -> None:
    job = web.submit()
    known = web.http.get(f"/backburner/jobs/{job}").headers["etag"]
    response = web.http.get(f"/backburner/jobs/{job}", params={"wait": 1}, headers={"If-None-Match": known})
    assert (response.status_code, response.content) == (304, b"")


def test_a_place_in_the_line_is_no_news(bb: Backburner, web: Web) -> None:
    first, job = web.submit(), web.submit()
    before = web.http.get(f"/backburner/jobs/{job}")
    web.http.post(f"/backburner/jobs/{first}/cancel")
    after = web.http.get(f"/backburner/jobs/{job}")
    assert (before.json()["position"], after.json()["position"]) == (2, 1)
    assert before.headers["etag"] == after.headers["etag"]


@pytest.mark.parametrize("wait", ["-1", "31", "soon"])
def test_a_wait_that_is_none_is_refused(web: Web, wait: str) -> None:
    response = web.http.get(f"/backburner/jobs/{web.submit()}", params={"wait": wait})
    assert response.status_code == 422
    assert "wait" in response.json()["errors"]


def test_a_server_that_ends_waits_for_nobody_who_waits(bb: Backburner, waiting: threading.Event) -> None:
    with ThreadPoolExecutor(1) as pool:
        with Web(bb) as web:
            job = web.submit()
            url = f"{web.url}/backburner/jobs/{job}"
            answer = pool.submit(httpx.get, url, params={"wait": 30}, timeout=20, trust_env=False)
            assert waiting.wait(20)
        assert answer.result().json()["status"] == "pending"
