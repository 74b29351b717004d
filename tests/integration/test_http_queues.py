"""Queues, and running many failed jobs again, over HTTP."""

from __future__ import annotations

from backburner import Backburner, Status
from tests.integration.http_support import Hand, Web
from tests.support.making import look, submit

BASE = "/backburner"


def fail_one(bb: Backburner, owner: str = "local") -> str:
    job = bb.tasks["write"].using(owner=owner).submit_sync(text="x")
    hand = Hand(bb)
    hand.take()
    hand.fail()
    return job.id


def test_a_queue_is_listed_paused_and_resumed(bb: Backburner, web: Web) -> None:
    submit(bb.store, "write", queue="slow")
    assert web.http.get(f"{BASE}/queues").json() == {
        "queues": [{"name": "slow", "paused": False, "pending": 1, "running": 0}]
    }
    paused = web.http.post(f"{BASE}/queues/slow/pause")
    assert (paused.status_code, paused.json()["paused"]) == (200, True)
    assert web.http.post(f"{BASE}/queues/slow/pause").json()["paused"] is True
    assert web.http.post(f"{BASE}/queues/slow/resume").json()["paused"] is False


def test_a_name_that_is_none_is_refused(web: Web) -> None:
    assert web.http.post(f"{BASE}/queues/a%20b/pause").status_code == 422


def test_failed_jobs_are_run_again_at_once_and_nobody_elses(bb: Backburner, web: Web) -> None:
    mine = [fail_one(bb) for _ in range(3)]
    theirs = fail_one(bb, owner="ann")
    assert web.http.post(f"{BASE}/jobs/retry", params={"limit": 2}).json() == {"retried": 2}
    assert web.http.post(f"{BASE}/jobs/retry", params={"task": "other"}).json() == {"retried": 0}
    assert web.http.post(f"{BASE}/jobs/retry").json() == {"retried": 1}
    assert {look(bb.store, job).status for job in mine} == {Status.PENDING}
    assert look(bb.store, theirs).status is Status.FAILED
