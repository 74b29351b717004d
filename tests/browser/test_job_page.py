"""A job's own page, and the list of jobs."""

from __future__ import annotations

import json
from pathlib import Path

from playwright.sync_api import expect

from backburner.testing.model import FakeModel
from tests.browser.conftest import OpenPage
from tests.browser.support import CHAPTER, PIECES, Studio, held_text, tells, wait_for_text

SET_HIDDEN = """hidden => {
    Object.defineProperty(document, "hidden", { value: hidden, configurable: true })
    document.dispatchEvent(new Event("visibilitychange"))
}"""


def test_job_page_shows_a_job_to_its_end(studio: Studio, model: FakeModel, open_page: OpenPage) -> None:
    model.reply(tells())
    model.pause(after=PIECES)
    job = studio.write_chapter()
    page = open_page(f"/backburner/ui/jobs/{job}")
    wait_for_text(page, held_text())
    expect(page.get_by_role("heading", level=1)).to_have_text("novel.generate")
    expect(page.get_by_text(job)).to_be_visible()
    bar = page.get_by_role("progressbar")
    assert 0 < int(bar.get_attribute("aria-valuenow") or 0) < 100

    model.resume()

    expect(bar).to_have_attribute("aria-valuenow", "100")
    expect(page.get_by_text("Finished in")).to_be_visible()
    expect(page.get_by_role("button", name="Cancel")).not_to_be_visible()
    wait_for_text(page, CHAPTER)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    result = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
    assert result == studio.get(f"/backburner/jobs/{job}")["result"]
    expect(page.locator("pre").first).to_contain_text(f'"characters": {len(CHAPTER)}')


def test_job_that_another_tab_sends_round_again_goes_on_here(
    studio: Studio, model: FakeModel, open_page: OpenPage
) -> None:
    model.reply(tells())
    model.fail(400)
    job = studio.write_chapter()
    page = open_page(f"/backburner/ui/jobs/{job}")
    expect(page.get_by_role("button", name="Try again")).to_be_visible()

    studio.post(f"/backburner/jobs/{job}/retry")

    expect(page.get_by_text("Finished in")).to_be_visible()
    wait_for_text(page, CHAPTER)


def test_list_is_live_and_filters_by_status(studio: Studio, model: FakeModel, open_page: OpenPage) -> None:
    model.reply(tells())
    page = open_page("/backburner/ui/jobs")
    expect(page.get_by_text("No jobs here.")).to_be_visible()
    model.pause(after=PIECES)
    job = studio.write_chapter()
    row = page.get_by_role("link", name=job)
    expect(row).to_contain_text("Running")

    page.get_by_role("button", name="Done", exact=True).click()
    expect(row).to_have_count(0)
    model.resume()
    expect(row).to_contain_text("Done")

    page.reload()
    expect(row).to_contain_text("Done")
    row.click()
    page.wait_for_url(f"**/backburner/ui/jobs/{job}")


def test_unknown_job_is_told_in_words(open_page: OpenPage, complaints: list[str]) -> None:
    page = open_page("/backburner/ui/jobs/none")
    expect(page.get_by_text("There is no such job, or it has been cleaned up.")).to_be_visible()
    complaints[:] = [each for each in complaints if "404" not in each]


def test_tabs_in_the_background_leave_room_for_the_one_in_front(
    studio: Studio, model: FakeModel, open_page: OpenPage
) -> None:
    """A browser has six connections to a server; four tabs with two lines each would be more."""
    model.reply(tells())
    model.pause(after=PIECES)
    job = studio.write_chapter()
    first = open_page(f"/backburner/ui/jobs/{job}")
    wait_for_text(first, held_text())
    first.evaluate(SET_HIDDEN, True)
    for _ in range(3):
        page = open_page(f"/backburner/ui/jobs/{job}", beside=first)
        wait_for_text(page, held_text())
        page.evaluate(SET_HIDDEN, True)
    page = open_page("/studio/", beside=first)
    expect(page.get_by_role("link", name="The Held Wind")).to_be_visible()

    model.resume()
    first.evaluate(SET_HIDDEN, False)

    wait_for_text(first, CHAPTER)
