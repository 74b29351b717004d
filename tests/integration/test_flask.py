"""The Flask extension under Flask's own threaded server, with a worker beside it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import flask
import httpx
import pytest
from werkzeug.serving import make_server

from backburner import Backburner
from backburner.flask import BackburnerFlask
from backburner.sync_run import SyncRun
from tests.support.backends import Backend, backburner_on

PATIENCE = 20.0


@pytest.fixture
def bb(backend: Backend, tmp_path: Path) -> Iterator[Backburner]:
    with backburner_on(backend, tmp_path) as bb:

        @bb.task(public=True, retries=0)
        def write(run: SyncRun, text: str) -> dict[str, Any]:
            run.text(text)
            return {"characters": len(text)}

        @bb.task(public=True, retries=0)
        def fail(run: SyncRun) -> None:
            raise ValueError("no")

        @bb.task(public=True)
        def wait(run: SyncRun) -> None:
            while not run.cancelled:
                run.progress(1)

        @bb.task
        def secret(run: SyncRun) -> None: ...

        yield bb


@pytest.fixture
def http(bb: Backburner) -> Iterator[httpx.Client]:
    app = flask.Flask(__name__)
    extension = BackburnerFlask(app, bb, worker=True)

    @app.post("/summaries")
    def summarise() -> Any:
        """A route of the application itself, as a Flask user writes it."""
        job = bb.tasks["write"].submit_sync(text="summary")
        return {"id": job.id, "result": job.result_sync(PATIENCE)}

    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", trust_env=False, timeout=PATIENCE) as client:
        yield client
    server.shutdown()
    thread.join(PATIENCE)
    server.server_close()
    extension.close()


def submit(http: httpx.Client, task: str, **args: Any) -> str:
    response = http.post("/backburner/jobs", json={"task": task, "args": args})
    assert 202 == response.status_code, response.text
    assert response.headers["Location"] == f"/backburner/jobs/{response.json()['id']}"
    job: str = response.json()["id"]
    return job


def problem(response: httpx.Response) -> tuple[int, str]:
    assert "application/problem+json" == response.headers["Content-Type"]
    return response.status_code, response.json()["type"].removeprefix("urn:backburner:")


def test_a_job_is_submitted_followed_and_answered(bb: Backburner, http: httpx.Client) -> None:
    job = submit(http, "write", text="hello")
    bb.handle(job).wait_sync(PATIENCE)
    found = http.get(f"/backburner/jobs/{job}").json()
    assert ("completed", {"characters": 5}, "local") == (found["status"], found["result"], found["owner"])
    result = http.get(f"/backburner/jobs/{job}/result")
    assert {"characters": 5} == result.json()
    first = http.get(f"/backburner/jobs/{job}/events", params={"limit": 2}).json()
    rest = http.get(f"/backburner/jobs/{job}/events", params={"after": first["next"]}).json()
    kinds = [event["event"] for event in first["events"] + rest["events"]]
    assert ["job.submitted", "job.started", "text.delta", "job.completed"] == [k for k in kinds if k != "notification"]
    assert [job] == [each["id"] for each in http.get("/backburner/jobs", params={"status": "completed"}).json()["jobs"]]
    assert http.get("/backburner/events").json()["events"]
    assert 204 == http.delete(f"/backburner/jobs/{job}").status_code
    assert (404, "job_not_found") == problem(http.get(f"/backburner/jobs/{job}"))


def test_a_job_is_cancelled_and_run_again(bb: Backburner, http: httpx.Client) -> None:
    job = submit(http, "wait")
    assert 200 == http.post(f"/backburner/jobs/{job}/cancel").status_code
    assert "cancelled" == bb.handle(job).wait_sync(PATIENCE).status
    assert (409, "illegal_transition") == problem(http.get(f"/backburner/jobs/{job}/result"))
    assert "pending" == http.post(f"/backburner/jobs/{job}/retry").json()["status"]
    http.post(f"/backburner/jobs/{job}/cancel")
    bb.handle(job).wait_sync(PATIENCE)


def test_what_is_wrong_is_a_problem(http: httpx.Client) -> None:
    post = "/backburner/jobs"
    assert (400, "malformed") == problem(http.post(post, content=b"{"))
    assert (422, "invalid_arguments") == problem(http.post(post, json={"task": "write", "args": {}}))
    assert (404, "unknown_task") == problem(http.post(post, json={"task": "secret"}))
    assert (422, "invalid_arguments") == problem(http.post(post, json={"task": "write", "args": {"text": "a\0"}}))
    assert (413, "too_large") == problem(http.post(post, content=b" " * (16 * 2**20 + 1)))
    assert (422, "invalid_arguments") == problem(http.get(post, params={"limit": "many"}))
    assert (422, "invalid_arguments") == problem(http.get(post, params={"status": "odd"}))
    assert (422, "invalid_arguments") == problem(http.get("/backburner/events", params={"after": "j-1"}))
    assert (422, "invalid_arguments") == problem(http.get("/backburner/jobs/a%00b"))


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("PUT", "/jobs", "GET, HEAD, OPTIONS, POST"), ("BREW", "/jobs/1/cancel", "OPTIONS, POST")],
)
def test_a_method_that_is_not_possible_is_a_problem_that_names_those_that_are(
    http: httpx.Client, method: str, path: str, allowed: str
) -> None:
    response = http.request(method, f"/backburner{path}")
    assert (405, "method_not_allowed") == problem(response)
    assert allowed == response.headers["Allow"]
    assert f"{method} is not possible here: use {allowed}." == response.json()["detail"]


def test_the_list_is_narrowed_as_it_is_by_fastapi(bb: Backburner, http: httpx.Client) -> None:
    job = submit(http, "write", text="hello")
    for parameters, found in (
        ({"since": "2999-01-01T00:00:00Z"}, []),
        ({"since": "2020-01-01T00:00:00+01:00"}, [job]),
        ({"batch": "none"}, []),
    ):
        assert found == [each["id"] for each in http.get("/backburner/jobs", params=parameters).json()["jobs"]]
    for since in ("x", "2020-01-01T00:00:00"):
        assert (422, "invalid_arguments") == problem(http.get("/backburner/jobs", params={"since": since}))


def test_an_address_that_does_not_exist_is_a_problem_under_the_prefix_alone(http: httpx.Client) -> None:
    assert (404, "not_found") == problem(http.get("/backburner/nowhere"))
    for path in ("/nowhere", "/backburners"):
        assert "text/html" in http.get(path).headers["Content-Type"], "the application's own answers stay its own"
    assert "text/html" in http.put("/summaries").headers["Content-Type"]


def test_strangers_are_refused_as_they_are_by_fastapi(http: httpx.Client) -> None:
    for headers in ({"Host": "evil.example"}, {"X-Forwarded-For": "10.0.0.1"}):
        assert (403, "forbidden") == problem(http.get("/backburner/jobs", headers=headers))
    foreign = {"Origin": "http://evil.example"}
    assert (403, "forbidden") == problem(http.post("/backburner/jobs", json={"task": "write"}, headers=foreign))


def test_many_threads_submit_and_wait_at_once(http: httpx.Client) -> None:
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: http.post("/summaries").json(), range(36)))
    assert [{"characters": 7}] * 36 == [answer["result"] for answer in answers]
    assert 36 == len({answer["id"] for answer in answers})


END = """
import sys, flask
from backburner import Backburner
from backburner.flask import BackburnerFlask

bb = Backburner(sys.argv[1])

@bb.task
def job(run) -> str:
    return "done"

app = flask.Flask("app")
extension = BackburnerFlask(app, bb, worker=True)

@app.get("/")
def home():
    return {"id": job.submit_sync().id, "result": job.submit_sync().result_sync(20)}

print(app.test_client().get("/").get_data(as_text=True), flush=True)
"""


def test_the_end_of_the_process_drains_the_worker_without_a_word(backend: Backend, tmp_path: Path) -> None:
    with backend.fresh(tmp_path) as url:
        done = subprocess.run([sys.executable, "-c", END, url], capture_output=True, text=True, timeout=60)
        assert (0, "") == (done.returncode, done.stderr)
        assert "done" == json.loads(done.stdout)["result"]
        bb = Backburner(url)
        assert () == bb.store.dead_workers()
        bb.close()
