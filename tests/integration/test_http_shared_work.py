"""Submits of the same work over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from backburner import Run
from tests.integration.http_support import Hand, Web, make_bb

JOBS = "/backburner/jobs"


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    bb = make_bb(tmp_path)

    @bb.task(public=True, on_duplicate="reject")
    async def once(run: Run, text: str) -> None: ...

    with Web(bb) as web:
        yield web
    bb.close()


def test_a_key_answers_with_the_job_that_has_it_until_that_has_ended(web: Web) -> None:
    first = web.http.post(JOBS, json={"task": "write", "args": {"text": "a"}, "key": "k"})
    again = web.http.post(JOBS, json={"task": "write", "args": {"text": "b"}, "key": "k"})
    assert (again.status_code, again.json()) == (202, first.json())
    assert again.json()["args"] == {"text": "a"}
    assert again.headers["location"] == first.headers["location"]
    hand = Hand(web.bb)
    hand.take()
    running = web.http.post(JOBS, json={"task": "write", "args": {"text": "b"}, "key": "k"})
    assert (running.status_code, running.json()["status"]) == (202, "running")
    hand.complete()
    fresh = web.http.post(JOBS, json={"task": "write", "args": {"text": "b"}, "key": "k"})
    assert (fresh.status_code, fresh.json()["args"]) == (202, {"text": "b"})
    assert fresh.json()["id"] != first.json()["id"]


def test_a_second_job_with_a_key_is_a_conflict_where_the_task_wants_none(web: Web) -> None:
    first = web.http.post(JOBS, json={"task": "once", "args": {"text": "a"}, "key": "k"})
    assert first.status_code == 202
    refused = web.http.post(JOBS, json={"task": "once", "args": {"text": "a"}, "key": "k"})
    assert (refused.status_code, refused.headers["content-type"]) == (409, "application/problem+json")
    problem = refused.json()
    assert (problem["type"], problem["job"]) == ("urn:backburner:duplicate_job", first.json()["id"])
    assert web.http.post(JOBS, json={"task": "once", "args": {"text": "a"}, "key": "l"}).status_code == 202


def test_a_key_is_one_to_255_characters(web: Web) -> None:
    for key in ("", "k" * 256, "\ud800", 7):
        body = json.dumps({"task": "write", "args": {"text": "a"}, "key": key})
        refused = web.http.post(JOBS, content=body, headers={"Content-Type": "application/json"})
        assert (refused.status_code, list(refused.json()["errors"])) == (422, ["key"]), key
    ok = web.http.post(JOBS, json={"task": "write", "args": {"text": "a"}, "key": "字" * 255})
    assert ok.status_code == 202
