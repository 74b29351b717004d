"""Whatever a stranger sends is answered with a sentence and a 4xx, and the demo goes on.

The first test is generated from the OpenAPI description of the demo's whole application. A new route needs no line
here: it is in the description, hence it is called, with what fits it and with what does not, and fails if it answers
with a 5xx, a status or a shape that it does not describe, or a 4xx that is no problem document (`ProblemRoute` sees to
the usual ones; others are named by `responses=`). A route whose answer has no end must be able to say its log as JSON,
is what is asked for here; a stream without that must be listed in `ENDLESS`.

One route alone: ``-k "keeps_to and inbox"``. The ids that pytest shows are all the same, so spread them with
``--dist worksteal`` or ``load``: ``loadfile`` takes them for one test.
"""

from __future__ import annotations

import contextlib
import json
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    content_type_conformance,
    missing_required_header,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from .strangers_support import JOBS, Demo, NoAnswer, make_demo, open_demo, refused

ENDLESS: tuple[str, ...] = ()
EXAMPLES = 40
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
    allow_header_conformance,
    missing_required_header,
]

schema = schemathesis.openapi.from_dict(make_demo()[1].openapi())
if ENDLESS:
    schema = schema.exclude(path=list(ENDLESS))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with open_demo(tmp_path_factory.mktemp("demo")) as demo:
        yield demo


@pytest.fixture(scope="module")
def line(demo: Demo) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


@pytest.fixture(scope="module")
def jobs(demo: Demo) -> list[str]:
    """Completed, failed, cancelled and waiting ones."""
    wanted: list[dict[str, Any]] = [
        {"task": "echo", "args": {"text": "x"}},
        {"task": "fail", "args": {"reason": "x"}},
        {"task": "echo", "delay": 3600},
        {"task": "echo", "delay": 3600},
    ]
    found: list[str] = [demo.http.post(JOBS, json=each).json()["id"] for each in wanted]
    demo.http.post(f"{JOBS}/{found[2]}/cancel")
    return found


@pytest.fixture(scope="module")
def done(demo: Demo) -> str:
    """A job that has ended and that no generated call may erase."""
    job: str = demo.http.post(JOBS, json={"task": "echo", "args": {"text": "x"}}).json()["id"]
    assert demo.wait(job)["status"] == "completed"
    return job


def meet_living_jobs(case: schemathesis.Case, jobs: list[str]) -> None:
    """Nobody guesses a job's id or a task's name: every other call that would be in vain gets one that exists."""
    if case.path.startswith(f"{JOBS}/{{id}}"):
        wanted = zlib.crc32(repr(case.path_parameters["id"]).encode())
        if wanted % 2:
            case.path_parameters["id"] = jobs[wanted // 2 % len(jobs)]
    elif case.path == JOBS and isinstance(case.body, dict) and isinstance(case.body.get("task"), str):
        wanted = zlib.crc32(repr(case.body).encode())
        if wanted % 2:
            case.body["task"] = "echo"
        if wanted // 2 % 2:
            case.body["args"] = {"value": case.body.get("args")}


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
def test_every_route_keeps_to_its_description(
    case: schemathesis.Case, demo: Demo, line: requests.Session, jobs: list[str]
) -> None:
    meet_living_jobs(case, jobs)
    headers = {"Accept": "application/json"} if case.path.endswith("/events") else None
    response = case.call(base_url=demo.url, session=line, headers=headers, timeout=20)
    case.validate_response(response, checks=CHECKS)
    if 400 <= response.status_code < 500 and "application/problem+json" not in response.headers.get("content-type", ""):
        assert response.text == "Invalid HTTP request received.", response.text
    elif 400 <= response.status_code < 500 and case.method != "HEAD":
        assert response.json()["detail"].strip()


STRINGS = {
    "half a surrogate pair": "\\ud800",
    "the other half": "a\\udfff",
    "NUL": "a\\u0000b",
    "long": "x" * 100_000,
    "long and wide": "雪" * 100_000,
    "path": "../../etc/passwd",
    "percent": "%00%2f%",
    "newlines": "a\\r\\nSet-Cookie: a=b",
    "noncharacters": "\\ufffe\\uffff\\u202e\\u2028",
    "emoji": "\\ud83d\\ude00",
}
"""As they stand in JSON."""


@pytest.mark.parametrize("name", STRINGS)
def test_odd_strings_in_bodies_run_or_are_refused(demo: Demo, name: str) -> None:
    text = STRINGS[name]
    bodies = [
        '{"task": "%s"}',
        '{"task": "echo", "args": {"%s": 1}}',
        '{"task": "echo", "%s": 1}',
        '{"task": "echo", "run_at": "%s"}',
        '{"task": "echo", "priority": "%s"}',
    ]
    for body in bodies:
        refused(demo.post((body % text).encode()))
    for body in ('{"task": "echo", "args": {"text": "%s"}}', '{"task": "echo", "args": {"value": {"%s": ["%s"]}}}'):
        status, headers, answer = demo.post((body.replace("%s", text)).encode())
        if "surrogate" in name or "other half" in name or name == "NUL":
            problem = refused((status, headers, answer))
            assert problem["status"] == 422
            assert name != "NUL" or set(problem["errors"]) <= {"text", "value"}
            continue
        job = json.loads(answer)
        assert status == 202
        assert demo.wait(job["id"])["status"] == "completed"
    novel = '{"title": "%s", "language": "en", "author": "%s", "premise": "%s"}'
    status, headers, answer = demo.post(novel.replace("%s", text).encode(), "/api/novels")
    if name in ("NUL", "half a surrogate pair", "the other half", "long", "long and wide"):
        assert refused((status, headers, answer))["status"] == 422
    else:
        assert status == 201, answer
    for novel in ('{"title": "a", "language": "%s"}', '{"title": "a", "language": "en", "%s": 1}'):
        refused(demo.post((novel % text).encode(), "/api/novels"))
    for wanted in ('{"instructions": "%s"}', '{"title": "%s"}'):
        status, headers, answer = demo.post((wanted % text).encode(), "/api/novels/1/chapters")
        assert status == 202 or refused((status, headers, answer))["status"] == 422


BODIES = {
    "nothing": b"",
    "cut off": b'{"task": "echo"',
    "two values": b'{"task": "echo"} {"task": "echo"}',
    "NaN": b'{"task": "echo", "args": {"value": NaN}}',
    "Infinity": b'{"task": "echo", "delay": Infinity}',
    "-Infinity": b'{"task": "echo", "args": {"value": -Infinity}}',
    "too large a number": b'{"task": "echo", "args": {"value": 1e999}}',
    "a number of 10,000 digits": b'{"task": "echo", "args": {"value": %s}}' % (b"9" * 10_000),
    "brackets": b"[" * 100_000,
    "closed brackets": b"[" * 100_000 + b"]" * 100_000,
    "objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "nested arguments": b'{"task": "echo", "args": {"value": %s}}' % (b"[" * 100_000 + b"]" * 100_000),
    "arguments nested a little too deep": b'{"task": "echo", "args": {"value": %s}}' % (b"[" * 150 + b"]" * 150),
    "as deep as the parser goes": b'{"task": "echo", "args": {"value": %s}}' % (b"[" * 900 + b"]" * 900),
    "invalid UTF-8": b'{"task": "\xff\xfe"}',
    "overlong UTF-8": b'{"task": "\xc0\xaf"}',
    "surrogates as UTF-8": b'{"task": "\xed\xa0\x80"}',
    "UTF-16": '{"task": "nothing"}'.encode("utf-16"),
    "UTF-7": b"+AHsAfQ-",
    "a byte order mark": b'\xef\xbb\xbf{"task": "nothing"}',
    "a control character": b'{"task": "a\x00b"}',
    "a list": b'[{"task": "echo"}]',
    "a string": b'"echo"',
    "null": b"null",
    "a form": b"task=echo&args=1",
    "a huge priority of another type": b'{"task": "echo", "priority": 1e308}',
    "a huge delay": b'{"task": "echo", "delay": 1e308}',
    "an integer as delay": b'{"task": "echo", "delay": %d}' % 2**70,
    "a negative delay": b'{"task": "echo", "delay": -1}',
    "a year too many": b'{"task": "echo", "run_at": "10000-01-01T00:00:00Z"}',
    "the year 0": b'{"task": "echo", "run_at": "0000-01-01T00:00:00Z"}',
    "no time zone": b'{"task": "echo", "run_at": "2030-01-01T00:00:00"}',
    "an offset of days": b'{"task": "echo", "run_at": "2030-01-01T00:00:00+99:00"}',
    "a huge time": b'{"task": "echo", "run_at": %d}' % 2**70,
    "delay and run_at": b'{"task": "echo", "delay": 1, "run_at": "2030-01-01T00:00:00Z"}',
    "many wrong names": json.dumps({"task": "echo"} | {f"x{number}" * 50: 1 for number in range(5000)}).encode(),
    "many wrong arguments": json.dumps({"task": "echo", "args": {str(number): 1 for number in range(50_000)}}).encode(),
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("path", [JOBS, "/api/novels"])
def test_bodies_that_are_nonsense_are_refused(demo: Demo, path: str, name: str) -> None:
    assert refused(demo.post(BODIES[name], path))["status"] in (400, 404, 422)


@pytest.mark.parametrize(
    "body",
    [
        b'{"task": "echo", "task": "echo", "args": {"text": "a", "text": "b"}}',
        b'{"task": "echo", "priority": %d}' % 2**70,
        b'{"task": "echo", "priority": -%d}' % 2**70,
        b'{"task": "echo", "args": {"value": %d}}' % 2**200,
        b'{"task": "echo", "args": {"value": 1e-400}}',
        b'{"task": "echo", "args": {"value": %s}}' % (b"[" * 90 + b"]" * 90),
        b'{"task": "echo", "run_at": "0001-01-01T00:00:00+14:00"}',
        b'{"task": "echo", "run_at": "0001-01-01T00:00:00Z", "delay": null}',
        b'{"task": "echo", "args": {"text": "\\\\u0000"}}',
    ],
)
def test_what_is_odd_but_right_runs(demo: Demo, body: bytes) -> None:
    status, _, answer = demo.post(body)
    assert status == 202, answer
    assert demo.wait(json.loads(answer)["id"])["status"] == "completed"


@pytest.mark.parametrize(
    "at", ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59.999999-14:00", "9999-12-31T23:59:59+14:00"]
)
def test_a_job_for_the_end_of_time_keeps_no_worker_busy(demo: Demo, at: str) -> None:
    status, _, answer = demo.post(b'{"task": "echo", "run_at": "%s"}' % at.encode())
    assert status == 202, answer
    demo.works()
    job = json.loads(answer)["id"]
    assert demo.http.get(f"{JOBS}/{job}").json()["waiting_for"] == "time"
    assert demo.http.post(f"{JOBS}/{job}/cancel").json()["status"] == "cancelled"


IDS = [
    b"%00",
    b"a%00b",
    b"x" * 50_000,
    b"%2e%2e%2f%2e%2e",
    b"..%2f..%2fetc%2fpasswd",
    b"%ff%fe",
    b"%ed%a0%80",
    b"%zz",
    b"%",
    b"%0d%0aSet-Cookie:%20a=b",
    b"'%20OR%201=1--",
    b"-1",
    b"%d" % 2**70,
    b"0",
    b"1e3",
    b"nan",
    "雪".encode(),
    b"%E9%9B%AA",
    b"*",
    b"a;b=c",
    b"{id}",
]
LOOKED_UP = [
    b"/backburner/jobs/%s",
    b"/backburner/jobs/%s/events",
    b"/backburner/jobs/%s/result",
    b"/api/novels/%s",
    b"/api/novels/1/chapters/%s",
    b"/api/novels/%s/state",
    b"/backburner/ui/%s",
    b"/backburner/%s",
]


@pytest.mark.parametrize("id", IDS, ids=lambda id: ascii(id[:20]))
def test_ids_that_are_nonsense_are_not_found(demo: Demo, id: bytes) -> None:
    for path in LOOKED_UP:
        answer = demo.get(path % id, b"Accept: application/json")
        if not id.isascii():
            assert answer[0] == 400  # the server does not even call the application
            continue
        assert refused(answer)["status"] in (404, 422)
    status, _, body = demo.get(b"/studio/" + id)
    assert 400 <= status < 500, body


@pytest.mark.parametrize(
    "path",
    [b"/backburner/jobs/" + b"x" * 100_000, b"/backburner/jobs?cursor=" + b"x" * 100_000],
    ids=["path", "query"],
)
def test_an_address_of_100_kb_is_refused_by_the_server_or_by_us(demo: Demo, path: bytes) -> None:
    status, _, body = demo.get(path)
    assert status == 200 or 400 <= status < 500, body


QUERIES = [
    b"limit=%d" % 2**70,
    b"limit=-%d" % 2**70,
    b"limit=0",
    b"limit=-1",
    b"limit=",
    b"limit=nan",
    b"limit=1e2",
    b"limit=%",
    b"limit=%00",
    b"limit=1&limit=x",
    b"limit=" + b"9" * 5000,
]
LISTS = [b"/backburner/jobs", b"/backburner/events", b"/backburner/inbox"]


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: ascii(query[:20]))
@pytest.mark.parametrize("path", LISTS)
def test_queries_that_are_nonsense_are_refused(demo: Demo, path: bytes, query: bytes) -> None:
    problem = refused(demo.get(path + b"?" + query, b"Accept: application/json"))
    assert problem["status"] == 422
    assert "limit" in problem["detail"]


@pytest.mark.parametrize(
    "query",
    [
        b"status=nothing",
        b"status=%00",
        b"task=a%00b",
        b"queue=%00",
        b"cursor=%00",
        b"%00=1",
        b"since=x",
        b"since=2030-01-01T00:00:00",
        b"since=0000-01-01T00:00:00Z",
        b"since=10000-01-01T00:00:00Z",
        b"since=2030-01-01T00:00:00%2b99:00",
        b"since=%d" % 2**70,
        b"since=-1e308",
        b"since=nan",
    ],
    ids=ascii,
)
def test_filters_that_are_nonsense_are_refused(demo: Demo, query: bytes) -> None:
    assert refused(demo.get(b"/backburner/jobs?" + query))["status"] == 422


@pytest.mark.parametrize(
    "query",
    [
        b"task=%ff",
        b"task=%ed%a0%80",
        b"task=%zz%",
        b"task=",
        b"&&&=&==",
        b"cursor=nothing",
        b"cursor=%d" % 2**70,
        b"cursor=-1",
        b"since=0001-01-01T00:00:00%2b14:00",
        b"since=9999-12-31T23:59:59-14:00",
        b"since=0",
        b"a=1" + b"&a=1" * 5000,
    ],
    ids=lambda query: ascii(query[:40]),
)
def test_filters_that_are_odd_find_what_they_find(demo: Demo, query: bytes) -> None:
    status, _, body = demo.get(b"/backburner/jobs?" + query)
    assert status == 200, body
    assert set(json.loads(body)) == {"jobs", "next"}


CURSORS = [
    b"x", b"\xff\xfe", b"j-", b"j--1", b"j-%d" % 2**70, b"o-" + b"9" * 18, b"j-" + b"9" * 18, b"j-1\t", b"\xd9\xa1",
    b"%00", b"a" * 50_000, b"j-0x1", b"j-1,j-2",
]  # fmt: skip


@pytest.mark.parametrize("cursor", CURSORS, ids=lambda cursor: ascii(cursor[:20]))
def test_cursors_that_are_nonsense_start_a_stream_anew_and_are_refused_as_json(
    demo: Demo, cursor: bytes, done: str
) -> None:
    job = done.encode()
    for path in (b"/backburner/jobs/%s/events" % job, b"/backburner/events"):
        status, headers, body = demo.get(path, b"Last-Event-ID: " + cursor, b"Accept: application/json")
        if cursor.startswith(b"o-") and path == b"/backburner/events":
            assert status == 200, body
        else:
            assert refused((status, headers, body))["status"] == 422
    status, headers, body = demo.get(b"/backburner/jobs/%s/events" % job, b"Last-Event-ID: " + cursor)
    assert (status, headers["content-type"]) == (200, "text/event-stream")
    assert b"event: snapshot" in body
    assert b'"reset":true' in body
    for name in (b"after=%00", b"after=x%ff", b"limit=501"):
        refused(demo.get(b"/backburner/events?" + name, b"Accept: application/json"))


@pytest.mark.parametrize("path", [b"/backburner/jobs", b"/api/novels"])
@pytest.mark.parametrize(
    "header",
    [
        b"Content-Length: x",
        b"Content-Length: -1",
        b"Content-Length: 1e3",
        b"Content-Length: 5\r\nContent-Length: 6",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5",
        b"Transfer-Encoding: nonsense",
        b"A\x00: b",
        b"A: b\x00",
        b"no colon",
        b": nothing",
    ],
    ids=ascii,
)
def test_heads_that_are_no_http_are_refused_by_the_server(demo: Demo, path: bytes, header: bytes) -> None:
    head = [b"POST %s HTTP/1.1" % path, b"Host: 127.0.0.1", b"Connection: close", b"Content-Type: application/json"]
    status, _, body = demo.says(b"\r\n".join([*head, header]) + b"\r\n\r\n{}")
    assert 400 <= status < 500
    assert body.strip()


@pytest.mark.parametrize("path", [b"/backburner/jobs", b"/api/novels"])
@pytest.mark.parametrize(
    ("header", "body"),
    [
        (b"Transfer-Encoding: chunked", b"zz\r\n{}\r\n0\r\n\r\n"),
        (b"Transfer-Encoding: chunked", b"2\r\n{}"),
        (b"Transfer-Encoding: chunked", b"ffffffffffffffffff\r\n{}\r\n"),
        (b"Content-Length: 1000", b"{}"),
        (b"Content-Length: %d" % 2**60, b"{}"),
    ],
    ids=ascii,
)
def test_bodies_that_break_off_end_quietly(
    demo: Demo, path: bytes, header: bytes, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    head = [b"POST %s HTTP/1.1" % path, b"Host: 127.0.0.1", b"Connection: close", b"Content-Type: application/json"]
    request = b"\r\n".join([*head, header]) + b"\r\n\r\n" + body
    with contextlib.suppress(ConnectionError, NoAnswer):
        status, _, _ = demo.says(request, broken_off=True)
        assert 400 <= status < 500
    assert demo.http.get("/backburner/healthz").status_code == 200
    assert [] == [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.parametrize("path", ["/backburner/jobs", "/api/novels"])
@pytest.mark.parametrize("chunked", [True, False])
def test_a_body_over_16_mib_is_refused_wherever_it_goes(demo: Demo, path: str, chunked: bool) -> None:
    whole = b'{"title": "' + b"x" * (17 * 2**20) + b'"}'
    content: Any = iter([whole[: 2**23], whole[2**23 :]]) if chunked else whole
    response = demo.http.post(path, content=content, headers={"Content-Type": "application/json"})
    assert refused(response)["status"] == 413


TYPES = [
    "",
    "text/plain",
    "application/xml",
    "multipart/form-data",
    "application/json; charset=utf-16",
    "a" * 5000,
    "/",
    ";",
]


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind[:30])
def test_other_content_types_are_read_as_json_or_refused(demo: Demo, kind: str) -> None:
    novel = '{"title": "a", "language": "en"}'
    response = demo.http.post("/api/novels", content=novel, headers={"Content-Type": kind})
    assert response.status_code == 201 or refused(response)
    response = demo.http.post(JOBS, content='{"task": "echo"}', headers={"Content-Type": kind})
    assert response.status_code == 202 or refused(response)


@pytest.mark.parametrize(
    "value", [b"\xff\xfe", b"x" * 50_000, b"wait=%d" % 2**70, b"wait=-1", b"wait=nan", b"wait=1e308", b",;=,", b'"']
)
@pytest.mark.parametrize(
    "name", [b"Prefer", b"Idempotency-Key", b"If-None-Match", b"Accept", b"Authorization", b"Cookie", b"Range"]
)
def test_headers_that_are_nonsense_do_no_harm(demo: Demo, name: bytes, value: bytes) -> None:
    for status, headers, body in (
        demo.post(b'{"task": "echo"}', JOBS, name + b": " + value),
        demo.get(b"/backburner/jobs", name + b": " + value),
        demo.get(b"/studio/", name + b": " + value),
    ):
        assert status < 500
        if status >= 400 and "json" in headers["content-type"]:
            refused((status, headers, body))


@pytest.mark.parametrize("host", [b"\xff", b"localhost:x", b"[", b"a" * 5000, b"127.0.0.1, evil.example", b""])
def test_hosts_and_origins_that_are_nonsense_are_refused(demo: Demo, host: bytes) -> None:
    for header in (b"Host: " + host, b"Host: 127.0.0.1\r\nOrigin: http://" + host):
        head = [b"POST /backburner/jobs HTTP/1.1", header, b"Connection: close", b"Content-Length: 16"]
        status, headers, body = demo.says(b"\r\n".join(head) + b'\r\n\r\n{"task": "echo"}')
        assert refused((status, headers, body))["status"] == 403


@pytest.mark.parametrize("method", [b"TRACE", b"CONNECT", b"PROPFIND", b"NONSENSE", b"get", b"\xff", b""])
def test_methods_that_are_nonsense_are_refused(demo: Demo, method: bytes) -> None:
    for path in (b"/backburner/jobs", b"/backburner/nothing", b"/api/novels", b"/", b"/studio/"):
        status, _, body = demo.says(b"%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n" % (method, path))
        assert 400 <= status < 500
        assert body.strip()


@pytest.fixture(autouse=True, scope="module")
def _goes_on(demo: Demo) -> Iterator[None]:
    """However the tests of this file are dealt out: at the end of each share the demo runs a fresh job."""
    demo.works()
    yield
    demo.works()
