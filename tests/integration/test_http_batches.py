"""Batches over HTTP."""

from __future__ import annotations

import pytest

from backburner import Backburner
from backburner.domain.operations import Execution
from backburner.http.schemas import BatchOut, BatchPage
from tests.integration.http_support import Web
from tests.support.making import claim, complete, fail, register

BATCHES = "/backburner/batches"


def make(bb: Backburner, count: int = 2, owner: str = "local") -> str:
    with bb.batch("Parts", owner=owner, notify=True) as batch:
        for _ in range(count):
            batch.add(bb.tasks["fail"], reason="x")
    return batch.id


def test_a_batch_tells_how_far_it_is(web: Web, bb: Backburner) -> None:
    id = make(bb)
    first, second = claim(bb.store, register(bb.store, "fail"), fail=None)
    complete(bb.store, Execution(first.id, first.attempt))
    batch = web.http.get(f"{BATCHES}/{id}").json()
    BatchOut.model_validate(batch)
    assert (batch["title"], batch["status"], batch["percent"], batch["total"]) == ("Parts", "running", 50.0, 2)
    assert batch["counts"] == {"pending": 0, "running": 1, "completed": 1, "failed": 0, "cancelled": 0}
    fail(bb.store, Execution(second.id, second.attempt))
    batch = web.http.get(f"{BATCHES}/{id}").json()
    assert (batch["status"], batch["percent"], batch["finished_at"] is None) == ("failed", 100.0, False)
    (notification,) = web.http.get("/backburner/inbox").json()["notifications"]
    assert (notification["job"], notification["data"]["batch"]) == (None, id)


def test_batches_and_their_jobs_are_listed_in_pages(web: Web, bb: Backburner) -> None:
    ids = [make(bb, 1) for _ in range(3)]
    make(bb, owner="ann")
    page = web.http.get(BATCHES, params={"limit": 2}).json()
    BatchPage.model_validate(page)
    rest = web.http.get(BATCHES, params={"limit": 2, "cursor": page["next"]}).json()
    assert [batch["id"] for batch in page["batches"] + rest["batches"]] == ids[::-1]
    assert rest["next"] is None
    jobs = web.http.get("/backburner/jobs", params={"batch": ids[1]}).json()["jobs"]
    assert [job["batch"] for job in jobs] == [ids[1]]


def test_a_batch_is_cancelled_retried_and_erased(web: Web, bb: Backburner) -> None:
    id = make(bb)
    (taken,) = claim(bb.store, register(bb.store, "fail"), 1, fail=None)
    fail(bb.store, Execution(taken.id, taken.attempt))
    assert web.http.delete(f"{BATCHES}/{id}").status_code == 409
    assert web.http.post(f"{BATCHES}/{id}/cancel").json()["counts"]["cancelled"] == 1
    assert web.http.post(f"{BATCHES}/{id}/retry").json()["counts"] == {
        "pending": 1, "running": 0, "completed": 0, "failed": 0, "cancelled": 1,
    }  # fmt: skip
    web.http.post(f"{BATCHES}/{id}/cancel")
    assert web.http.delete(f"{BATCHES}/{id}").status_code == 204
    assert web.http.get(f"{BATCHES}/{id}").status_code == 404


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("POST", "/cancel"), ("POST", "/retry"), ("DELETE", "")])
def test_somebody_elses_batch_is_not_there(web: Web, bb: Backburner, method: str, path: str) -> None:
    for id in (make(bb, owner="ann"), "nothing"):
        found = web.http.request(method, f"{BATCHES}/{id}{path}")
        assert (found.status_code, found.json()["type"]) == (404, "urn:backburner:batch_not_found")
