"""Questions of jobs, answered over HTTP by the owner and by whoever has the token."""

from __future__ import annotations

from typing import Any

import pytest

from backburner import Backburner
from backburner.domain.operations import Answer, Ask, Parked, Settle
from backburner.http.schemas import JobOut, QuestionShown
from tests.integration.http_support import Web
from tests.support.making import start, submit

JOBS = "/backburner/jobs"
TOKEN = "t0k3n"


@pytest.fixture
def asking(bb: Backburner) -> str:
    """A parked job that has asked something."""
    execution = start(bb.store, owner="local")
    schema = '{"type":"object","properties":{"ok":{"type":"boolean"}},"required":["ok"]}'
    bb.store.write_sync(Ask(execution, "ask", 0, "key", TOKEN, "Approve?", schema, 60.0))
    bb.store.write_sync(Settle(execution, Parked("answer", None, (), (TOKEN,))))
    return execution.job


def test_the_job_tells_its_owner_what_it_asks(web: Web, asking: str) -> None:
    job = web.http.get(f"{JOBS}/{asking}").json()
    JobOut.model_validate(job)
    assert (job["status"], job["waiting_for"]) == ("pending", "answer")
    assert (job["question"]["prompt"], job["question"]["token"]) == ("Approve?", TOKEN)
    assert job["question"]["schema"]["required"] == ["ok"]
    assert job["question"]["asked_at"] < job["question"]["expires_at"]


@pytest.mark.parametrize("token", [{}, {"token": TOKEN}], ids=["only", "by token"])
def test_the_owner_answers_once(web: Web, asking: str, token: dict[str, str]) -> None:
    url = f"{JOBS}/{asking}/answer"
    answered = web.http.post(url, json={"answer": {"ok": True}, **token})
    assert answered.status_code == 200
    assert (answered.json()["waiting_for"], answered.json()["question"]) == ("turn", None)
    assert web.http.post(url, json={"answer": {"ok": True}, **token}).status_code == 200
    other = web.http.post(url, json={"answer": {"ok": False}, **token})
    assert (other.status_code, other.json()["type"]) == (409, "urn:backburner:already_answered")


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"answer": {"ok": "yes"}}, 422, "ok"),
        ({"answer": {}}, 422, "ok"),
        ({"answer": None}, 422, "answer"),
        ({}, 422, "answer"),
        ({"answer": {"ok": True}, "more": 1}, 422, "more"),
        ({"answer": {"ok": True}, "token": 1}, 422, "token"),
        ([], 422, "body"),
    ],
)
def test_an_answer_that_does_not_fit_names_the_field_and_the_job_waits_on(
    web: Web, asking: str, body: Any, status: int, field: str
) -> None:
    refused = web.http.post(f"{JOBS}/{asking}/answer", json=body)
    assert (refused.status_code, list(refused.json()["errors"])) == (status, [field])
    assert web.http.get(f"{JOBS}/{asking}").json()["waiting_for"] == "answer"


def test_what_cannot_be_answered_says_why(web: Web, bb: Backburner, asking: str) -> None:
    silent, foreign = submit(bb.store, owner="local"), submit(bb.store, owner="ann")
    assert web.http.post(f"{JOBS}/{silent}/answer", json={"answer": 1}).status_code == 409
    assert web.http.post(f"{JOBS}/{foreign}/answer", json={"answer": 1}).status_code == 404
    wrong = web.http.post(f"{JOBS}/{asking}/answer", json={"answer": {"ok": True}, "token": "guess"})
    assert (wrong.status_code, wrong.json()["type"]) == (404, "urn:backburner:question_not_found")
    web.http.post(f"{JOBS}/{asking}/cancel")
    assert web.http.post(f"{JOBS}/{asking}/answer", json={"answer": {"ok": True}}).status_code == 409


def test_whoever_has_the_token_sees_the_question_alone_and_answers_it(web: Web, asking: str) -> None:
    url = f"/backburner/answers/{TOKEN}"
    shown = web.http.get(url).json()
    QuestionShown.model_validate(shown)
    assert set(shown) == {"prompt", "schema", "asked_at", "expires_at", "open"}
    assert (shown["prompt"], shown["open"]) == ("Approve?", True)
    assert web.http.post(url, json={"answer": {"ok": 1}}).json()["errors"] == {"ok": 'it is not of type "boolean"'}
    for _ in range(2):
        answered = web.http.post(url, json={"answer": {"ok": True}})
        assert (answered.status_code, answered.json()["open"]) == (200, False)
    refused = web.http.post(url, json={"answer": {"ok": False}})
    assert refused.status_code == 409
    assert asking not in refused.text
    assert web.http.get("/backburner/answers/guess").status_code == 404
    assert web.http.post("/backburner/answers/guess", json={"answer": 1}).status_code == 404


def test_a_token_of_a_job_that_has_ended_opens_nothing(web: Web, asking: str) -> None:
    web.http.post(f"{JOBS}/{asking}/cancel")
    assert web.http.get(f"/backburner/answers/{TOKEN}").json()["open"] is False
    refused = web.http.post(f"/backburner/answers/{TOKEN}", json={"answer": {"ok": True}})
    assert refused.status_code == 409
    assert asking not in refused.text


def test_a_watched_job_tells_of_the_question_and_the_answer(web: Web, bb: Backburner, asking: str) -> None:
    bb.store.write_sync(Answer(TOKEN, '{"ok":true}'))
    page = web.http.get(f"{JOBS}/{asking}/events", headers={"accept": "application/json"})
    told = {event["event"]: event["data"] for event in page.json()["events"]}
    assert (told["job.asked"]["prompt"], told["job.answered"]["prompt"]) == ("Approve?", "Approve?")
