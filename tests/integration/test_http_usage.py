"""What model calls took, over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime

from backburner import Backburner
from backburner.domain.job import KeptStep
from backburner.domain.operations import KeepStep, Usage
from backburner.http.schemas import JobOut, UsagePage
from tests.integration.http_support import Hand, Web

USAGE = "/backburner/usage"


def call(bb: Backburner, usage: Usage, owner: str = "local") -> str:
    job = bb.tasks["write"].using(owner=owner).submit_sync(text="x")
    hand = Hand(bb)
    hand.take()
    bb.store.write_sync(KeepStep(hand.execution, KeptStep("call", 0, "k", "1"), usage=usage))
    hand.complete()
    return job.id


def test_the_callers_usage_by_day_and_model(web: Web, bb: Backburner) -> None:
    call(bb, Usage("m", 10, 5, 2_500_000_000))
    call(bb, Usage("m", 1, 1, 500_000_000))
    call(bb, Usage("n", 7, 7))
    call(bb, Usage("m", 100, 100), owner="bob")
    page = web.http.get(USAGE).json()
    UsagePage.model_validate(page)
    today = datetime.now(UTC).date().isoformat()
    day = {"day": today, "owner": "local"}
    assert [
        {**day, "model": "m", "calls": 2, "input_tokens": 11, "output_tokens": 6, "cost": 3.0},
        {**day, "model": "n", "calls": 1, "input_tokens": 7, "output_tokens": 7, "cost": None},
    ] == page["usage"]
    assert {"calls": 3, "input_tokens": 18, "output_tokens": 13, "cost": 3.0} == page["total"]
    assert ["n"] == [each["model"] for each in web.http.get(USAGE, params={"model": "n", "days": 1}).json()["usage"]]


def test_nothing_used_is_no_error_and_bad_days_are(web: Web) -> None:
    empty = {"calls": 0, "input_tokens": 0, "output_tokens": 0, "cost": None}
    assert {"usage": [], "total": empty} == web.http.get(USAGE).json()
    for days in ("0", "-1", "1000000000000", "many"):
        assert web.http.get(USAGE, params={"days": days}).status_code == 422


def test_a_job_tells_its_cost_only_where_the_model_has_a_price(web: Web, bb: Backburner) -> None:
    priced = web.http.get(f"/backburner/jobs/{call(bb, Usage('m', 10, 5, 2_500_000_000))}").json()
    free = web.http.get(f"/backburner/jobs/{call(bb, Usage('m', 10, 5))}").json()
    for job in (priced, free):
        JobOut.model_validate(job)
    assert {"input_tokens": 10, "output_tokens": 5, "cost": 2.5} == priced["usage"]
    assert {"input_tokens": 10, "output_tokens": 5} == free["usage"]
