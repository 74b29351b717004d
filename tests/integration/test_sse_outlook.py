"""Whoever watches a job that waits is told how its place in the line changes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from backburner import Backburner
from backburner.delivery import outlooks
from tests.integration.http_support import Hand, Web


@pytest.fixture
def web(bb: Backburner, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    monkeypatch.setattr("backburner.http.streaming.EVERY", 0.05)
    monkeypatch.setattr(outlooks, "FRESH", 0.0)
    with Web(bb) as web:
        yield web


def test_a_stream_tells_the_place_in_the_line_as_it_changes(bb: Backburner, web: Web) -> None:
    first, watched = web.submit(), web.submit()
    with web.follow(f"/jobs/{watched}/events") as following:
        opening = following.one()
        assert (opening.event, opening.data["job"]["position"]) == ("snapshot", 2)
        cursor = following.cursor
        told = following.one()
        assert (told.event, told.data["job"], told.data["position"]) == ("job.outlook", watched, 2)
        hand = Hand(bb)
        assert hand.take() == first
        moved = following.one()
        assert (moved.event, moved.data["position"]) == ("job.outlook", 1)
        assert following.cursor == cursor, "it is not in the log"
        hand.complete()
        assert hand.take() == watched
        hand.complete()
        assert [each.event for each in following.rest() if each.event != "job.outlook"] == [
            "job.started",
            "job.completed",
        ]


def test_many_who_watch_one_job_cost_one_look(bb: Backburner, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[str] = []
    look = outlooks.Lookout._look

    async def counted(self: outlooks.Lookout, job: str) -> object:
        looks.append(job)
        return await look(self, job)

    monkeypatch.setattr(outlooks, "FRESH", 3600.0)
    monkeypatch.setattr(outlooks.Lookout, "_look", counted)
    job = web.submit()
    for _ in range(3):
        with web.follow(f"/jobs/{job}/events") as following:
            assert [each.event for each in following.next(2)] == ["snapshot", "job.outlook"]
    assert looks == [job]
