"""Backburner's own pages where users are told apart by tokens."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from backburner import Backburner
from tests.browser.conftest import PATIENCE_MS
from tests.integration.http_support import Hand, Web, make_bb
from tests.integration.identity_support import SECRET, bearer, signed


@pytest.fixture
def bb(tmp_path: Path) -> Iterator[Backburner]:
    bb = make_bb(tmp_path, auth="jwt", jwt_secret=SECRET, jwt_leeway=0.0)
    yield bb
    bb.close()


@pytest.fixture
def web(bb: Backburner) -> Iterator[Web]:
    with Web(bb) as web:
        yield web


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(locale="en-US")
    context.set_default_timeout(PATIENCE_MS)
    yield context.new_page()
    context.close()


def submit(web: Web, owner: str = "ann") -> str:
    body = {"task": "write", "args": {"text": "x"}}
    job: str = web.http.post("/backburner/jobs", json=body, headers=bearer(signed(owner))).json()["id"]
    return job


def sign_in(page: Page, token: str) -> None:
    page.get_by_label("Access token").fill(token)
    page.get_by_role("button", name="Sign in").click()


def test_whoever_signs_in_sees_their_own_jobs_live(bb: Backburner, web: Web, page: Page) -> None:
    job, other = submit(web), submit(web, "bob")
    page.goto(f"{web.url}/backburner/ui/jobs")
    expect(page.get_by_text("Nobody is signed in.")).to_be_visible()
    sign_in(page, signed("ann"))
    expect(page.get_by_text(job)).to_be_visible()
    expect(page.get_by_text(other)).to_have_count(0)
    expect(page.locator("form.signin")).to_have_count(0)
    Hand(bb).take()
    expect(page.locator("bb-jobs").get_by_text("Running").last).to_be_visible()


def test_a_link_with_a_read_token_shows_one_job_as_it_is_written(bb: Backburner, web: Web, page: Page) -> None:
    job = submit(web)
    made = web.http.post(f"/backburner/jobs/{job}/tokens", headers=bearer(signed("ann"))).json()
    page.goto(f"{web.url}/backburner/ui/jobs/{job}#token={made['token']}")
    hand = Hand(bb)
    hand.take()
    hand.say("Once upon a time")
    expect(page.get_by_text("Once upon a time")).to_be_visible()
    assert made["token"] not in page.url
    expect(page.locator("bb-inbox")).to_have_count(0)
    hand.complete('{"characters":16}')
    expect(page.get_by_role("link", name="Download")).to_be_visible()


def test_a_token_that_expires_while_the_page_is_open_is_asked_for_and_nothing_is_missed(
    bb: Backburner, web: Web, page: Page
) -> None:
    job = submit(web)
    expires = int(time.time()) + 6
    page.goto(f"{web.url}/backburner/ui/jobs/{job}#token={signed('ann', exp=expires)}")
    hand = Hand(bb)
    hand.take()
    hand.say("One. ")
    expect(page.get_by_text("One.")).to_be_visible()
    expect(page.get_by_text("Your token is not valid any more")).to_be_visible()
    hand.say("Two.")
    sign_in(page, signed("ann"))
    expect(page.get_by_text("One. Two.")).to_be_visible()
    expect(page.locator("form.signin")).to_have_count(0)
