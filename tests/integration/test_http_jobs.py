"""Submitting, reading, cancelling, retrying and erasing jobs over HTTP."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from backburner import Backburner
from backburner.domain.json import MAX_BYTES
from backburner.domain.operations import GetJob, Submit
from backburner.domain.outlook import Outlook
from backburner.http.schemas import JobOut, JobPage, JobStats, job_json
from tests.integration.http_support import PATIENCE, Hand, Web
from tests.support.clock import pass_time
from tests.support.making import new_job

JOBS = "/backburner/jobs"


def assert_problem(response: httpx.Response, status: int, type: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["type"] == f"urn:backburner:{type}"
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    return body


def test_a_submitted_job_is_on_disk_and_says_where_it_is(web: Web) -> None:
    response = web.http.post(JOBS, json={"task": "write", "args": {"text": "红"}})
    assert response.status_code == 202
    job = response.json()
    assert response.headers["location"] == job["urls"]["self"] == f"{JOBS}/{job['id']}"
    assert response.headers["retry-after"] == "1"
    stored = web.bb.store.read_sync(GetJob(job["id"]))
    assert stored is not None
    assert stored.owner == "local"
    again = web.http.get(response.headers["location"])
    assert again.json() == {**job, "position": 1}
    JobOut.model_validate(job)


def test_the_json_of_a_job_says_everything(web: Web) -> None:
    job = web.http.post(JOBS, json={"task": "write", "args": {"text": "x"}}).json()
    moment = job.pop("created_at")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", moment)
    here = f"{JOBS}/{job['id']}"
    expected = {
        "id": job["id"],
        "task": "write",
        "queue": "default",
        "status": "pending",
        "waiting_for": "turn",
        "priority": 5,
        "owner": "local",
        "args": {"text": "x"},
        "progress": {"percent": 0.0, "message": ""},
        "position": None,
        "eta_seconds": None,
        "attempt": 0,
        "tries": 0,
        "max_tries": 2,
        "can_retry": False,
        "cancel_requested": False,
        "updated_at": moment,
        "started_at": None,
        "finished_at": None,
        "duration_seconds": None,
        "usage": {"input_tokens": 0, "output_tokens": 0},
        "result": None,
        "error": None,
        "batch": None,
        "parent": None,
        "question": None,
        "urls": {
            "self": here,
            "events": f"{here}/events",
            "cancel": f"{here}/cancel",
            "retry": f"{here}/retry",
            "result": f"{here}/result",
        },
    }
    assert job == expected


def test_a_finished_job_carries_its_result_and_a_failed_one_its_error(bb: Backburner) -> None:
    bb.settings = bb.settings.model_copy(update={"embedded_worker": True})
    with Web(bb) as web:
        done, failed = web.submit(text="ab"), web.submit("fail", reason="no luck")
        for job in (done, failed):
            with web.follow(f"/jobs/{job}/events") as following:
                following.rest()
        first = web.http.get(f"{JOBS}/{done}").json()
        assert first["status"] == "completed"
        assert first["result"] == {"characters": 2}
        assert first["progress"] == {"percent": 100.0, "message": "half"}
        assert first["attempt"] == 1
        assert first["duration_seconds"] >= 0
        assert first["started_at"] <= first["finished_at"]
        second = web.http.get(f"{JOBS}/{failed}").json()
        assert second["status"] == "failed"
        assert second["can_retry"]
        assert second["result"] is None
        assert "no luck" in second["error"]["detail"]
        assert not second["error"]["retrying"]
        JobOut.model_validate(first)
        JobOut.model_validate(second)


def test_job_json_is_what_the_routes_say(web: Web) -> None:
    job = web.submit(text="x")
    record = web.bb.store.read_sync(GetJob(job))
    assert record is not None
    assert job_json(record, outlook=Outlook(position=1)) == web.http.get(f"{JOBS}/{job}").json()
    assert job_json(record, base="/here")["urls"]["self"] == f"/here{JOBS}/{job}"


@pytest.mark.parametrize("task", ["nobody", "secret"])
def test_only_public_tasks_exist(web: Web, task: str) -> None:
    response = web.http.post(JOBS, json={"task": task, "args": {}})
    assert_problem(response, 404, "unknown_task")


@pytest.mark.parametrize(
    ("args", "fields"),
    [
        ({}, {"text"}),
        ({"text": 5}, {"text"}),
        ({"text": "x", "times": "often"}, {"times"}),
        ({"text": "x", "more": 1}, {"more"}),
        ({"times": None}, {"text", "times"}),
        ({"text": "x", "self": 1}, {"self"}),
        ([], {"args"}),
        ("text", {"args"}),
        ({"text": "\ud800"}, set()),
    ],
)
def test_bad_arguments_are_named(web: Web, args: Any, fields: set[str]) -> None:
    body = json.dumps({"task": "write", "args": args})
    response = web.http.post(JOBS, content=body)
    found = assert_problem(response, 422, "invalid_arguments")
    if fields:
        assert set(found["errors"]) == fields
    assert web.http.get(JOBS).json()["jobs"] == []


SOON = (datetime.now(UTC) + timedelta(hours=1)).isoformat()


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ({"delay": 1, "run_at": SOON}, {"delay", "run_at"}),
        ({"delay": -1}, {"delay"}),
        ({"delay": 1e300}, {"delay"}),
        ({"delay": "soon"}, {"delay"}),
        ({"run_at": "2030-01-01T00:00:00"}, {"run_at"}),
        ({"run_at": "tomorrow"}, {"run_at"}),
        ({"run_at": 5}, {"run_at"}),
        ({"priority": "high"}, {"priority"}),
        ({"colour": "red"}, {"colour"}),
        ({"task": None}, {"task"}),
    ],
)
def test_bad_options_are_named(web: Web, options: dict[str, Any], fields: set[str]) -> None:
    response = web.http.post(JOBS, json={"task": "write", "args": {"text": "x"}, **options})
    assert set(assert_problem(response, 422, "invalid_arguments")["errors"]) == fields


@pytest.mark.parametrize(("asked", "given"), [(-5, 1), (0, 1), (1, 1), (7, 7), (10, 10), (99, 10), (None, 5)])
def test_priority_is_brought_into_its_range(web: Web, asked: int | None, given: int) -> None:
    response = web.http.post(JOBS, json={"task": "write", "args": {"text": "x"}, "priority": asked})
    assert response.json()["priority"] == given


@pytest.mark.parametrize("options", [{"delay": 3600}, {"run_at": SOON}])
def test_a_job_can_wait_for_its_time(web: Web, options: dict[str, Any]) -> None:
    job = web.http.post(JOBS, json={"task": "write", "args": {"text": "x"}, **options}).json()
    assert (job["status"], job["waiting_for"]) == ("pending", "time")
    assert web.http.get(job["urls"]["self"]).json() == job


@pytest.mark.parametrize("body", [b"", b"{", b"nothing", b"\xff\xfe", b'{"task": NaN}', b"[" * 100_000])
def test_a_body_that_is_not_json_is_refused(web: Web, body: bytes) -> None:
    assert_problem(web.http.post(JOBS, content=body), 400, "malformed")


@pytest.mark.parametrize("body", [b"[]", b"1", b'"write"', b"null"])
def test_a_body_that_is_no_object_is_refused(web: Web, body: bytes) -> None:
    assert_problem(web.http.post(JOBS, content=body), 422, "invalid_arguments")


def test_a_body_over_16_mib_is_refused_by_its_length_or_while_it_arrives(web: Web) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(17):
            yield b"x" * 2**20

    with socket.create_connection(("127.0.0.1", web.port), PATIENCE) as line:
        line.sendall(
            b"POST /backburner/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n" % (MAX_BYTES + 1)
        )
        assert line.recv(65536).startswith(b"HTTP/1.1 413 ")
    assert_problem(web.http.post(JOBS, content=pieces()), 413, "too_large")


def test_large_arguments_below_the_limit_come_back_whole(web: Web) -> None:
    text = "长" * 2_000_000
    job = web.submit(text=text)
    assert web.http.get(f"{JOBS}/{job}").json()["args"] == {"text": text}


def test_lists_are_the_callers_newest_first_without_arguments_and_results(web: Web, bb: Backburner) -> None:
    bb.tasks["write"].using(owner="bob").submit_sync(text="not mine")
    bb.tasks["write"].submit_sync(text="nobody's")
    jobs = [web.submit(text="x") for _ in range(3)]
    page = web.http.get(JOBS).json()
    JobPage.model_validate(page)
    assert [job["id"] for job in page["jobs"]] == jobs[::-1]
    assert page["next"] is None
    assert not {"args", "result"} & set(page["jobs"][0])


def test_pages_follow_each_other_without_a_gap(web: Web) -> None:
    jobs = [web.submit(text="x") for _ in range(7)]
    found: list[str] = []
    cursor: str | None = None
    sizes = []
    while True:
        page = web.http.get(JOBS, params={"limit": 3, **({"cursor": cursor} if cursor else {})}).json()
        found += [job["id"] for job in page["jobs"]]
        sizes.append(len(page["jobs"]))
        web.submit(text="newer than the first page")
        cursor = page["next"]
        if cursor is None:
            break
    assert found == jobs[::-1]
    assert sizes == [3, 3, 1]


def test_lists_can_be_filtered(web: Web) -> None:
    first = web.submit(text="x")
    second = web.submit("fail", reason="x")
    web.http.post(f"{JOBS}/{first}/cancel")

    def ids(**params: Any) -> list[str]:
        return [job["id"] for job in web.http.get(JOBS, params=params).raise_for_status().json()["jobs"]]

    assert ids(status="cancelled") == [first]
    assert ids(status="pending") == [second]
    assert ids(task="fail") == [second]
    assert ids(queue="default") == [second, first]
    assert ids(queue="other") == []
    assert ids(task="write", status="pending") == []
    created = web.http.get(f"{JOBS}/{second}").json()["created_at"]
    assert second in ids(since=created)
    assert ids(since="2200-01-01T00:00:00+01:00") == []


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"status": "lost"}, "status"),
        ({"limit": 0}, "limit"),
        ({"limit": 201}, "limit"),
        ({"since": "2026-01-01T00:00:00"}, "since"),
        ({"since": "yesterday"}, "since"),
    ],
)
def test_bad_filters_are_named(web: Web, params: dict[str, Any], field: str) -> None:
    assert set(assert_problem(web.http.get(JOBS, params=params), 422, "invalid_arguments")["errors"]) == {field}


def test_somebody_elses_job_is_not_there(web: Web, bb: Backburner) -> None:
    others = [
        bb.tasks["write"].using(owner="bob").submit_sync(text="x").id,
        bb.tasks["write"].submit_sync(text="x").id,
        "01a204dd-1774-7502-aaea-2a3b01da3300",
        "nonsense",
    ]
    for job in others:
        for method, path in [
            ("GET", ""),
            ("DELETE", ""),
            ("POST", "/cancel"),
            ("POST", "/retry"),
            ("GET", "/result"),
            ("GET", "/events"),
        ]:
            response = web.http.request(method, f"{JOBS}/{job}{path}")
            assert_problem(response, 404, "job_not_found")


def test_cancelling_is_idempotent(web: Web) -> None:
    job = web.submit(text="x")
    answers = [web.http.post(f"{JOBS}/{job}/cancel") for _ in range(3)]
    assert [answer.json()["status"] for answer in answers] == ["cancelled"] * 3
    assert [event["event"] for event in web.log_of(job)] == ["job.submitted", "job.cancelled"]


def test_cancelling_a_running_job_asks_it_to_stop(web: Web, bb: Backburner) -> None:
    job, hand = web.submit(text="x"), Hand(bb)
    hand.take()
    asked = web.http.post(f"{JOBS}/{job}/cancel").json()
    assert (asked["status"], asked["cancel_requested"]) == ("running", True)
    hand.obey_cancel()
    assert web.http.get(f"{JOBS}/{job}").json()["status"] == "cancelled"


def test_cancelling_a_finished_job_changes_nothing(web: Web, bb: Backburner) -> None:
    job, hand = web.submit(text="x"), Hand(bb)
    hand.take()
    hand.complete('{"a": 1}')
    answer = web.http.post(f"{JOBS}/{job}/cancel")
    assert answer.json() == web.http.get(f"{JOBS}/{job}").json()
    assert answer.json()["result"] == {"a": 1}


def test_a_failed_job_can_be_retried_and_that_is_idempotent(web: Web, bb: Backburner) -> None:
    job, hand = web.submit(text="x"), Hand(bb)
    hand.take()
    hand.fail()
    assert web.http.get(f"{JOBS}/{job}").json()["can_retry"]
    for _ in range(2):
        again = web.http.post(f"{JOBS}/{job}/retry").json()
        assert (again["status"], again["tries"], again["error"]) == ("pending", 0, None)


def test_a_completed_job_cannot_be_retried(web: Web, bb: Backburner) -> None:
    job, hand = web.submit(text="x"), Hand(bb)
    hand.take()
    hand.complete()
    assert_problem(web.http.post(f"{JOBS}/{job}/retry"), 409, "illegal_transition")


def test_only_a_finished_job_can_be_erased(web: Web) -> None:
    job = web.submit(text="x")
    assert_problem(web.http.delete(f"{JOBS}/{job}"), 409, "illegal_transition")
    web.http.post(f"{JOBS}/{job}/cancel")
    gone = web.http.delete(f"{JOBS}/{job}")
    assert (gone.status_code, gone.content) == (204, b"")
    for response in (web.http.get(f"{JOBS}/{job}"), web.http.delete(f"{JOBS}/{job}")):
        assert_problem(response, 404, "job_not_found")


def test_the_result_alone_can_be_downloaded(web: Web, bb: Backburner) -> None:
    job, hand = web.submit(text="x"), Hand(bb)
    assert_problem(web.http.get(f"{JOBS}/{job}/result"), 409, "illegal_transition")
    hand.take()
    hand.complete('{"text":"红楼"}')
    response = web.http.get(f"{JOBS}/{job}/result")
    assert response.json() == {"text": "红楼"}
    assert response.headers["content-type"] == "application/json"
    assert response.headers["content-disposition"] == f'attachment; filename="{job}.json"'


def test_addresses_honour_the_root_path(bb: Backburner) -> None:
    with Web(bb, root_path="/behind/a/proxy") as web:
        response = web.http.post(JOBS, json={"task": "write", "args": {"text": "x"}})
        assert response.headers["location"].startswith("/behind/a/proxy/backburner/jobs/")
        listed = web.http.get(JOBS).json()["jobs"][0]
        assert listed["urls"] == response.json()["urls"]


def test_a_job_that_waits_says_which_place_it_has_and_when_it_will_have_ended(bb: Backburner, web: Web) -> None:
    hand = Hand(bb)
    first, second, third = (web.submit(text="x") for _ in range(3))
    hand.take()
    pass_time(bb.store, 10.0)
    hand.complete()
    assert hand.take() == second
    waiting = web.http.get(f"{JOBS}/{third}").json()
    listed = {job["id"]: job for job in web.http.get(JOBS).json()["jobs"]}
    with web.follow(f"/jobs/{third}/events") as job_stream, web.follow("/events") as owner_stream:
        told = job_stream.one().data["job"]
        told_all = {job["id"]: job for job in owner_stream.one().data["jobs"]}
    for job in (waiting, listed[third], told, told_all[third]):
        assert (job["position"], job["eta_seconds"]) == (1, pytest.approx(20.0, abs=5.0))
    assert (listed[second]["position"], listed[second]["eta_seconds"]) == (None, pytest.approx(10.0, abs=5.0))
    assert (listed[first]["position"], listed[first]["eta_seconds"]) == (None, None)


def test_the_statistics_are_the_callers_own(bb: Backburner, web: Web) -> None:
    hand = Hand(bb)
    for _ in range(4):
        web.submit(text="x")
    hand.take()
    pass_time(bb.store, 10.0)
    hand.complete()
    hand.take()
    hand.fail()
    hand.take()
    bb.store.write_sync(Submit((new_job("write", owner="somebody else"),)))
    stats = web.http.get(f"{JOBS}/stats").json()
    JobStats.model_validate(stats)
    counts = {"pending": 1, "running": 1, "completed": 1, "failed": 1, "cancelled": 0}
    assert stats["counts"] == counts
    assert list(stats["tasks"]) == ["write"]
    task = stats["tasks"]["write"]
    assert (task["counts"], task["success_rate"]) == (counts, 0.5)
    assert task["mean_duration_seconds"] == pytest.approx(10.0, abs=5.0)
    assert 0 <= task["mean_wait_seconds"] < 10.0


def test_without_jobs_there_are_no_means(web: Web) -> None:
    none = dict.fromkeys(("pending", "running", "completed", "failed", "cancelled"), 0)
    assert web.http.get(f"{JOBS}/stats").json() == {"counts": none, "tasks": {}}
