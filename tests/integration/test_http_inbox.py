"""Notifications over HTTP."""

from __future__ import annotations

import pytest

from backburner import Backburner, Notice
from backburner.domain.operations import CountUnread, Notify
from backburner.http.schemas import InboxPage
from tests.integration.http_support import Hand, Web

INBOX = "/backburner/inbox"


def notify(bb: Backburner, count: int, owner: str = "local") -> str:
    job = bb.tasks["write"].using(owner=owner).submit_sync(text="x")
    hand = Hand(bb)
    hand.take()
    for number in range(count):
        notice = Notice(f"chapter {number}", "is done", {"number": number})
        bb.store.write_sync(Notify(hand.execution, "progress", notice))
    hand.complete()
    return job.id


def test_the_inbox_shows_what_happened_newest_first(web: Web, bb: Backburner) -> None:
    job = notify(bb, 2)
    notify(bb, 3, owner="bob")
    page = web.http.get(INBOX).json()
    InboxPage.model_validate(page)
    assert [each["title"] for each in page["notifications"]] == ["chapter 1", "chapter 0"]
    first = page["notifications"][0]
    assert first["job"] == job
    assert first["data"] == {"number": 1}
    assert (first["kind"], first["message"], first["read"]) == ("progress", "is done", False)
    assert (page["unread"], page["next"]) == (2, None)


def test_one_notification_or_all_can_be_marked_read_and_that_is_idempotent(web: Web, bb: Backburner) -> None:
    notify(bb, 3)
    first = web.http.get(INBOX).json()["notifications"][0]["id"]
    for _ in range(2):
        assert web.http.post(f"{INBOX}/{first}/read").json() == {"unread": 2}
    assert [each["read"] for each in web.http.get(INBOX).json()["notifications"]] == [True, False, False]
    assert len(web.http.get(INBOX, params={"unread_only": True}).json()["notifications"]) == 2
    for _ in range(2):
        assert web.http.post(f"{INBOX}/read-all").json() == {"unread": 0}


def test_somebody_elses_notification_stays_unread(web: Web, bb: Backburner) -> None:
    notify(bb, 1, owner="bob")
    notify(bb, 1)
    for number in range(1, 3):
        web.http.post(f"{INBOX}/{number}/read")
    assert bb.store.read_sync(CountUnread("bob")) == 1


def test_pages_follow_each_other_without_a_gap(web: Web, bb: Backburner) -> None:
    notify(bb, 5)
    found = []
    params = {"limit": "2"}
    while True:
        page = web.http.get(INBOX, params=params).json()
        found += [each["data"]["number"] for each in page["notifications"]]
        if page["next"] is None:
            break
        params["cursor"] = page["next"]
    assert found == [4, 3, 2, 1, 0]


@pytest.mark.parametrize("path", ["/x/read", f"/{2**64}/read", "/-1/read"])
def test_an_id_that_is_none_is_refused(web: Web, path: str) -> None:
    assert web.http.post(INBOX + path).status_code == 422
