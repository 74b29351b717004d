"""Submits of the same work over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from backburner import Run
from backburner.domain.operations import Ask, Execution, Parked, Settle
from backburner.http.schemas import JobOut
from tests.integration.http_support import Hand, Web, make_bb, rebuild
from tests.support.making import claim, register

JOBS = "/backburner/jobs"
TOKEN = "t0k3n"


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    bb = make_bb(tmp_path)

    @bb.task(public=True, on_duplicate="reject")
    async def once(run: Run, text: str) -> None: ...

    @bb.task(public=True, cache=timedelta(hours=1), cache_scope="everyone", cache_args=("text",))
    async def analyse(run: Run, text: str, article: int = 0) -> None: ...

    @bb.task(public=True, cache=timedelta(hours=1))
    async def summarise(run: Run, text: str) -> None: ...

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


def analyse(web: Web, **args: Any) -> httpx.Response:
    return web.http.post(JOBS, json={"task": "analyse", "args": {"text": "red", **args}})


def test_a_submit_that_the_cache_answers_is_a_200_with_the_completed_job(web: Web) -> None:
    first, second = analyse(web, article=1), analyse(web, article=2)
    assert (first.status_code, second.status_code) == (202, 202)
    hand = Hand(web.bb)
    hand.take()
    running = analyse(web, article=3)
    assert (running.status_code, running.json()["status"]) == (202, "running")
    hand.complete('{"kind": "red"}')
    answered = analyse(web, article=4)
    job = answered.json()
    assert (answered.status_code, job["status"], job["result"]) == (200, "completed", {"kind": "red"})
    assert (job["args"], job["owner"], job["duration_seconds"]) == ({"text": "red", "article": 4}, "local", 0.0)
    JobOut.model_validate(job)
    assert web.http.get(job["urls"]["self"]).json() == job
    assert web.http.get(job["urls"]["result"]).json() == {"kind": "red"}
    assert [event["event"] for event in web.log_of(job["id"])] == ["job.submitted", "notification", "job.completed"]
    assert analyse(web, text="blue").status_code == 202


def test_every_job_that_shares_an_execution_streams_its_text(web: Web) -> None:
    first = analyse(web).json()["id"]
    hand = Hand(web.bb)
    hand.take()
    hand.say("one ")
    late = analyse(web).json()["id"]
    with web.follow(f"/jobs/{first}/events") as one, web.follow(f"/jobs/{late}/events") as other:
        begun = [*one.next(), *other.next()]
        hand.say("two")
        hand.complete()
        for start, following in zip(begun, (one, other), strict=True):
            assert rebuild({}, [start, *following.rest()]) == {"main": "one two"}


def test_the_execution_itself_is_nobodys_over_http(web: Web) -> None:
    job = analyse(web).json()["id"]
    execution = Hand(web.bb).take()
    assert execution != job
    for path in ("", "/events", "/result"):
        assert web.http.get(f"{JOBS}/{execution}{path}").status_code == 404
    for path in ("/cancel", "/retry"):
        assert web.http.post(f"{JOBS}/{execution}{path}").status_code == 404
    assert [each["id"] for each in web.http.get(JOBS).json()["jobs"]] == [job]


def ask(web: Web, job: str) -> None:
    """What the job shares asks something, and is parked."""
    (claimed,) = claim(web.bb.store, register(web.bb.store, "analyse", "summarise"), analyse=None, summarise=None)
    execution = Execution(claimed.id, claimed.attempt)
    web.bb.store.write_sync(Ask(execution, "ask", 0, "key", TOKEN, "Approve?", '{"type":"boolean"}', None))
    web.bb.store.write_sync(Settle(execution, Parked("answer", None, (), (TOKEN,))))
    assert web.http.get(f"{JOBS}/{job}").json()["waiting_for"] == "answer"


def test_the_owner_answers_by_any_of_the_jobs_that_share_the_work(web: Web) -> None:
    first, second = (
        web.http.post(JOBS, json={"task": "summarise", "args": {"text": "red"}}).json()["id"] for _ in range(2)
    )
    ask(web, first)
    for job in (first, second):
        shown = web.http.get(f"{JOBS}/{job}").json()
        JobOut.model_validate(shown)
        assert (shown["question"]["prompt"], shown["question"]["token"]) == ("Approve?", TOKEN)
    answered = web.http.post(f"{JOBS}/{second}/answer", json={"answer": True})
    assert (answered.status_code, answered.json()["id"], answered.json()["waiting_for"]) == (200, second, "turn")
    assert web.http.post(f"{JOBS}/{first}/answer", json={"answer": False}).status_code == 409


def test_an_owner_decides_for_everyone_only_with_the_token(web: Web) -> None:
    job = analyse(web).json()["id"]
    ask(web, job)
    assert web.http.get(f"{JOBS}/{job}").json()["question"] is None
    assert TOKEN not in str(web.log_of(job))
    refused = web.http.post(f"{JOBS}/{job}/answer", json={"answer": True})
    assert (refused.status_code, list(refused.json()["errors"])) == (422, ["token"])
    guessed = web.http.post(f"{JOBS}/{job}/answer", json={"answer": True, "token": "guess"})
    assert guessed.status_code == 404
    given = web.bb.handle(job).questions_sync()[0].token
    shown = web.http.get(f"/backburner/answers/{given}").json()
    assert (shown["prompt"], shown["open"]) == ("Approve?", True)
    answered = web.http.post(f"{JOBS}/{job}/answer", json={"answer": True, "token": given})
    assert (answered.status_code, answered.json()["waiting_for"]) == (200, "turn")


def test_every_job_that_shares_an_execution_tells_its_place_in_the_line(web: Web) -> None:
    analyse(web, text="blue")
    jobs = [analyse(web).json()["id"] for _ in range(2)]
    assert [web.http.get(f"{JOBS}/{job}").json()["position"] for job in jobs] == [2, 2]
