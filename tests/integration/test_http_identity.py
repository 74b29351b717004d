"""Who may see and do what, with tokens of every kind."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from fastapi import APIRouter, FastAPI, Request

from backburner import Backburner, ConfigurationError, Identity, ProblemRoute, Settings
from backburner.domain.notifications import Notice
from backburner.domain.operations import Completed, Settle
from backburner.http.secrets import HideSecrets
from tests.integration.http_support import Hand, Web, make_bb

from .identity_support import SECRET, Issuer, bearer, signed

OPEN = {"/backburner/healthz", "/backburner/readyz", "/backburner/answers/{token}"}
"""For anybody: machines that ask after our health, and whoever knows the token of a question."""
SHOWN = {
    ("GET", "/backburner/jobs/{id}"),
    ("GET", "/backburner/jobs/{id}/events"),
    ("GET", "/backburner/jobs/{id}/result"),
    ("POST", "/backburner/tickets"),
}
"""What the holder of a read token may ask for."""
OPERATORS = {
    ("GET", "/backburner/queues"),
    ("POST", "/backburner/queues/{name}/pause"),
    ("POST", "/backburner/queues/{name}/resume"),
}


@pytest.fixture
def bb(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Backburner]:
    """The parameter is the leeway."""
    leeway = getattr(request, "param", 30.0)
    bb = make_bb(tmp_path, auth="jwt", jwt_secret=SECRET, operators="root", jwt_leeway=leeway)
    yield bb
    bb.close()


def submit(web: Web, token: str, text: str = "x") -> str:
    body = {"task": "write", "args": {"text": text}}
    response = web.http.post("/backburner/jobs", json=body, headers=bearer(token))
    assert response.status_code == 202, response.text
    job: str = response.json()["id"]
    return job


def read_token(web: Web, job: str, **body: Any) -> str:
    response = web.http.post(f"/backburner/jobs/{job}/tokens", json=body, headers=bearer(signed("ann")))
    assert response.status_code == 201, response.text
    token: str = response.json()["token"]
    return token


def ticket(web: Web, token: str, **body: Any) -> str:
    response = web.http.post("/backburner/tickets", json=body, headers=bearer(token))
    assert response.status_code == 201, response.text
    found: str = response.json()["ticket"]
    return found


@dataclass(frozen=True)
class Place:
    method: str
    path: str

    def at(self, job: str, batch: str) -> str:
        filled = self.path.replace("/batches/{id}", f"/batches/{batch}").replace("/inbox/{id}", "/inbox/1")
        filled = filled.replace("{id}", job)
        return filled.replace("{name}", "default").replace("{token}", "none")

    @property
    def body(self) -> Any:
        bodies = {
            "/backburner/jobs": {"task": "write", "args": {"text": "x"}},
            "/backburner/jobs/{id}/answer": {"answer": 1},
        }
        return bodies.get(self.path) if self.method == "POST" else None


def places(web: Web) -> list[Place]:
    """Every route of the interface with every method that it has."""
    found = [
        Place(method.upper(), path)
        for path, methods in web.app.openapi()["paths"].items()
        for method in sorted(methods)
        if path not in OPEN
    ]
    assert len(found) > 25
    return found


def ask(web: Web, place: Place, headers: dict[str, str], job: str, batch: str = "none") -> httpx.Response:
    """The status of a stream is known before it begins: its rest is not waited for."""
    where = place.at(job, batch)
    with web.http.stream(place.method, where, json=place.body, headers=headers) as response:
        if "event-stream" not in response.headers.get("content-type", ""):
            response.read()
        return response


def rsa_confusion() -> str:
    """Signed with a public key as though it were a secret."""
    public = Issuer().keys["rsa"].public_key()
    pem = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return signed(key=pem.hex())


USELESS = {
    "no token": "",
    "a token of somebody else's secret": signed(key="another secret of thirty-two bytes or more"),
    "an expired token": signed(lasts=-3600),
    "a token that is not valid yet": signed(nbf=int(time.time() + 3600)),
    "an unsigned token": jwt.encode({"sub": "ann", "exp": int(time.time()) + 60}, None, "none"),
    "a token signed otherwise": signed(alg="HS512", key=SECRET * 2),
    "a public key as secret": rsa_confusion(),
    "a token without an owner": signed(None),
    "a token of an empty owner": signed(""),
    "a token of a number": jwt.encode({"sub": "1", "exp": int(time.time()) + 60, "aud": 3}, SECRET),
    "a token of an owner that is too long": signed("a" * 256),
    "a token of an owner with NUL": signed("a\0b"),
    "a token that never expires": signed(exp=None),
    "a token for another audience": signed(aud="others"),
    "no JSON Web Token": "ann",
    "a read token that nobody gave out": "bbr_" + "x" * 43,
    "a ticket where a token is wanted": "bbt_" + "x" * 43,
    "what is not even text": "\u00e9\u00ff",
}


@pytest.mark.parametrize("useless", USELESS)
def test_no_route_serves_whoever_shows(web: Web, bb: Backburner, useless: str) -> None:
    job, secret = submit(web, signed("ann")), USELESS[useless]
    headers = {"Authorization": f"Bearer {secret}".encode("latin-1")} if secret else {}
    for place in places(web):
        response = web.http.request(place.method, place.at(job, "none"), json=place.body, headers=headers)  # type: ignore[arg-type]  # httpx takes bytes
        assert response.status_code == 401, (place, response.text)
        assert response.headers["www-authenticate"].startswith("Bearer")
        assert response.headers["content-type"] == "application/problem+json"
        if len(secret) > 5:
            assert secret not in response.text


def test_no_route_shows_or_changes_what_is_somebody_elses(web: Web, bb: Backburner) -> None:
    job, batch = submit(web, signed("ann"), "nobody else's"), make_batch(bb, "ann")
    mine = {"ann", job, batch, "nobody else's"}
    finish(bb, job)

    def of_ann() -> list[Any]:
        paths = (f"/jobs/{job}", f"/batches/{batch}", "/inbox", "/queues")
        return [web.http.get(f"/backburner{path}", headers=bearer(signed("ann"))).json() for path in paths]

    before = of_ann()
    assert before[2]["unread"] == 1
    for place in places(web):
        response = ask(web, place, bearer(signed("bob")), job, batch)
        if (place.method, place.path) in OPERATORS:
            assert response.status_code == 403, place
        elif "{id}" in place.path and "/inbox/" not in place.path:
            assert response.status_code == 404, (place, response.text)
        else:
            assert response.status_code < 300, (place, response.text)
            if "event-stream" not in response.headers.get("content-type", ""):
                assert not [word for word in mine - {"ann"} if word in response.text], place
    assert of_ann() == before


def test_a_read_token_shows_its_job_and_nothing_else(web: Web, bb: Backburner) -> None:
    job, other, batch = submit(web, signed("ann")), submit(web, signed("ann")), make_batch(bb, "ann")
    finish(bb, job)
    headers = bearer(read_token(web, job))
    for place in places(web):
        response = ask(web, place, headers, job, batch)
        expected = (200, 201, 422) if (place.method, place.path) in SHOWN else (403,)
        assert response.status_code in expected, (place, response.text)
    for place in places(web):
        if (place.method, place.path) in SHOWN and "{id}" in place.path:
            assert ask(web, place, headers, other).status_code == 404, place


def test_operators_see_and_pause_queues(web: Web, bb: Backburner) -> None:
    submit(web, signed("ann"))
    for place in places(web):
        if (place.method, place.path) in OPERATORS:
            assert ask(web, place, bearer(signed("root")), "none").status_code == 200, place


def make_batch(bb: Backburner, owner: str) -> str:
    with bb.batch("Many", owner=owner) as batch:
        batch.add(bb.tasks["write"], text="x")
    return batch.id


def finish(bb: Backburner, job: str) -> None:
    hand = Hand(bb)
    assert hand.take() == job
    bb.store.write_sync(Settle(hand.execution, Completed('{"characters":1}', Notice("Done"))))


def test_a_read_token_ends_when_it_is_revoked(web: Web) -> None:
    job = submit(web, signed("ann"))
    headers = bearer(read_token(web, job))
    assert web.http.get(f"/backburner/jobs/{job}", headers=headers).status_code == 200
    revoked = web.http.delete(f"/backburner/jobs/{job}/tokens", headers=bearer(signed("ann")))
    assert revoked.json() == {"revoked": 1}
    assert web.http.get(f"/backburner/jobs/{job}", headers=headers).status_code == 401


def test_a_ticket_opens_one_stream(web: Web) -> None:
    job = submit(web, signed("ann"))
    for path, wanted in (("/events", {}), (f"/jobs/{job}/events", {"job": job})):
        secret = ticket(web, signed("ann"), **wanted)
        with web.http.stream("GET", f"/backburner{path}", params={"ticket": secret}) as response:
            assert response.status_code == 200
        again = web.http.get(f"/backburner{path}", params={"ticket": secret})
        assert again.status_code == 401
        assert secret not in again.text


def test_a_ticket_of_one_job_opens_no_other_stream(web: Web) -> None:
    job, other = submit(web, signed("ann")), submit(web, signed("ann"))
    for path, status in (("/events", 403), (f"/jobs/{other}/events", 404)):
        secret = ticket(web, signed("ann"), job=job)
        assert web.http.get(f"/backburner{path}", params={"ticket": secret}).status_code == status


def test_the_holder_of_a_read_token_gets_tickets_for_its_job_only(web: Web) -> None:
    job, other = submit(web, signed("ann")), submit(web, signed("ann"))
    shown = read_token(web, job)
    refused = web.http.post("/backburner/tickets", json={"job": other}, headers=bearer(shown))
    assert refused.status_code == 404
    secret = ticket(web, shown)
    assert web.http.get("/backburner/events", params={"ticket": secret}).status_code == 403
    with web.http.stream("GET", f"/backburner/jobs/{job}/events", params={"ticket": ticket(web, shown)}) as response:
        assert response.status_code == 200


def test_nobody_gets_a_ticket_for_somebody_elses_job(web: Web) -> None:
    job = submit(web, signed("ann"))
    refused = web.http.post("/backburner/tickets", json={"job": job}, headers=bearer(signed("bob")))
    assert refused.status_code == 404


@pytest.mark.parametrize("bb", [0.0], indirect=True)
def test_a_stream_says_that_its_token_expires_and_ends_with_it(web: Web) -> None:
    job = submit(web, signed("ann"))
    expires = time.time() + 2
    token = signed("ann", exp=int(expires) + 1)
    with web.http.stream("GET", "/backburner/events", headers={**bearer(token), "Accept": "text/event-stream"}) as got:
        text = "".join(got.iter_text())
    assert time.time() >= expires
    assert [line for line in text.splitlines() if line.startswith("event:")] == [
        "event: snapshot",
        "event: token.expiring",
    ]
    cursor = next(line.removeprefix("id: ") for line in text.splitlines() if line.startswith("id: "))
    later = submit(web, signed("ann"))
    headers = {**bearer(signed("ann")), "Last-Event-ID": cursor, "Accept": "application/json"}
    events = web.http.get("/backburner/events", headers=headers).json()["events"]
    assert [event["data"]["job"] for event in events] == [later]
    assert job != later


@pytest.mark.parametrize("bb", [0.0], indirect=True)
def test_a_stream_that_a_ticket_opened_ends_with_the_token_that_asked_for_it(web: Web) -> None:
    expires = int(time.time()) + 3
    secret = ticket(web, signed("ann", exp=expires))
    with web.http.stream("GET", "/backburner/events", params={"ticket": secret}) as response:
        response.read()
    assert time.time() >= expires


@pytest.mark.parametrize("name", ["rsa", "ec"])
def test_published_keys_are_fetched_and_renewed(tmp_path: Path, name: str) -> None:
    issuer = Issuer()
    with issuer.serving() as keys:
        bb = make_bb(tmp_path, auth="jwt", jwt_jwks_url=keys, jwt_issuer="us", jwt_audience="backburner")
        with Web(bb) as web:
            good = {"iss": "us", "aud": ["backburner", "others"]}
            assert web.http.get("/backburner/jobs", headers=bearer(issuer.sign(name, **good))).status_code == 200
            assert web.http.get("/backburner/jobs", headers=bearer(issuer.sign(name, **good))).status_code == 200
            assert issuer.fetched == 1
            for bad in ({"iss": "them"}, {"aud": "others"}, {"iss": None}, {"aud": None}):
                refused = web.http.get("/backburner/jobs", headers=bearer(issuer.sign(name, **{**good, **bad})))
                assert refused.status_code == 401, bad
            secret = signed(**good)
            assert web.http.get("/backburner/jobs", headers=bearer(secret)).status_code == 401
            stranger = Issuer()
            forged = web.http.get("/backburner/jobs", headers=bearer(stranger.sign(name, **good)))
            assert forged.status_code == 401
            stranger.add(f"{name}2", stranger.keys[name])
            for _ in range(20):  # names of keys that nobody knows make nobody busy
                unknown = web.http.get("/backburner/jobs", headers=bearer(stranger.sign(f"{name}2", **good)))
                assert unknown.status_code == 401
            assert issuer.fetched <= 2
        bb.close()


def test_while_the_keys_cannot_be_fetched_nobody_is_turned_away_for_good(tmp_path: Path) -> None:
    issuer = Issuer()
    issuer.broken = True
    with issuer.serving() as keys:
        bb = make_bb(tmp_path, auth="jwt", jwt_jwks_url=keys)
        with Web(bb) as web:
            response = web.http.get("/backburner/jobs", headers=bearer(issuer.sign("rsa")))
            assert response.status_code == 503
            assert int(response.headers["retry-after"]) >= 1
            issuer.broken = False
            assert web.http.get("/backburner/jobs", headers=bearer(issuer.sign("rsa"))).status_code == 200
        bb.close()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "BACKBURNER_JWT_SECRET"),
        ({"jwt_secret": "short"}, "32"),
        ({"jwt_jwks_url": "ftp://x"}, "https"),
    ],
)
def test_settings_by_which_no_token_could_be_checked_are_refused_in_words(
    tmp_path: Path, settings: dict[str, Any], words: str
) -> None:
    bb = make_bb(tmp_path, auth="jwt", **settings)
    with pytest.raises(ConfigurationError, match=words):
        bb.callers  # noqa: B018


async def by_header(request: Request) -> str | None:
    return request.headers.get("x-user")


def by_header_sync(request: Request) -> Identity | None:
    name = request.headers.get("x-user")
    return Identity(name, operator=name == "root") if name else None


@pytest.mark.parametrize("identify", [by_header, by_header_sync])
def test_an_application_says_itself_who_is_asking(tmp_path: Path, identify: Any) -> None:
    bb = Backburner(
        settings=Settings(database_url=f"sqlite:///{tmp_path}/jobs.db", embedded_worker=False, auth="off"),
        identify=identify,
    )

    def add_own_routes(app: FastAPI) -> None:
        router = APIRouter(route_class=ProblemRoute)

        @router.get("/me")
        async def me(request: Request) -> str:
            return (await bb.identify(request)).owner

        @router.get("/me-too")
        def me_too(request: Request) -> str:
            return bb.owner_of(request)

        app.include_router(router)

    with Web(bb, prepare=add_own_routes) as web:
        for path in ("/backburner/jobs", "/me", "/me-too"):
            assert web.http.get(path, headers={"X-User": "ann"}).status_code == 200
            assert web.http.get(path).status_code == 401
        assert [web.http.get(path, headers={"X-User": "ann"}).json() for path in ("/me", "/me-too")] == ["ann", "ann"]
        allowed = web.http.get("/backburner/queues", headers={"X-User": "root"}).status_code
        assert allowed == (200 if identify is by_header_sync else 403)
    bb.close()


def test_pages_of_other_sites_change_nothing_by_an_applications_cookies(tmp_path: Path) -> None:
    bb = Backburner(
        settings=Settings(
            database_url=f"sqlite:///{tmp_path}/jobs.db",
            embedded_worker=False,
            allowed_origins="https://friend.example",
        ),
        identify=lambda request: request.cookies.get("user"),
    )
    with Web(bb) as web:
        for origin, status in (("https://evil.example", 403), ("https://friend.example", 200), (web.url, 200)):
            headers = {"Cookie": "user=ann", "Origin": origin}
            assert web.http.post("/backburner/inbox/read-all", headers=headers).status_code == status
    bb.close()


def test_secrets_in_addresses_stay_out_of_access_logs() -> None:
    hide = HideSecrets()
    line = logging.LogRecord(
        "uvicorn.access",
        logging.INFO,
        __file__,
        1,
        '%s - "%s %s HTTP/%s" %d',
        ("127.0.0.1:1", "GET", "/backburner/events?after=o-1&ticket=bbt_secret", "1.1", 200),
        None,
    )
    hide.filter(line)
    assert line.getMessage() == '127.0.0.1:1 - "GET /backburner/events?after=o-1&ticket=*** HTTP/1.1" 200'
    atoms = logging.LogRecord(
        "gunicorn.access", 20, __file__, 1, "%(r)s", ({"r": "GET /backburner/answers/abc"},), None
    )
    hide.filter(atoms)
    assert atoms.getMessage() == "GET /backburner/answers/***"


def test_what_serves_hides_them(web: Web) -> None:
    for name in ("uvicorn.access", "gunicorn.access"):
        assert any(isinstance(each, HideSecrets) for each in logging.getLogger(name).filters)
