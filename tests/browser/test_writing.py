"""A chapter is asked for and watched; whatever happens on the way, the text is the chapter's to the letter."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from backburner.testing.model import FakeModel
from tests.browser.conftest import OpenPage
from tests.browser.support import (
    CHAPTER,
    EN,
    PIECES,
    TITLE,
    Studio,
    held_text,
    job_of,
    tells,
    wait_for_chapter,
    wait_for_text,
)

# The text as it was shown last while it streamed.
REMEMBER = "addEventListener('bb-end', () => { window.streamed = document.querySelector('bb-text').text }, true)"


def ask_for_chapter(page: Page, mode: str = "Basic") -> None:
    page.get_by_role("radio", name=mode).check()
    page.get_by_role("button", name="Write", exact=True).click()


def test_text_goes_on_behind_a_reload_with_nothing_missing_or_doubled(
    studio: Studio, model: FakeModel, open_page: OpenPage
) -> None:
    model.reply(tells())
    model.pause(after=PIECES)
    page = open_page(f"/studio/?novel={EN}")
    ask_for_chapter(page)
    wait_for_text(page, held_text())

    page.reload()
    wait_for_text(page, held_text())
    page.evaluate(REMEMBER)
    model.resume()

    shown = wait_for_chapter(page)
    written = studio.get(f"/api/novels/{EN}/chapters/4")["text"]
    assert written == shown == page.evaluate("window.streamed") == CHAPTER


def test_text_survives_a_kill_of_web_and_worker(
    studio: Studio, model: FakeModel, open_page: OpenPage, complaints: list[str]
) -> None:
    model.reply(tells())
    model.pause(after=PIECES)
    page = open_page(f"/studio/?novel={EN}")
    ask_for_chapter(page)
    wait_for_text(page, held_text())
    page.evaluate(REMEMBER)

    studio.kill()
    expect(page.get_by_text("Connection lost; reconnecting…")).to_be_visible()
    model.resume()
    studio.restart()

    shown = wait_for_chapter(page)
    written = studio.get(f"/api/novels/{EN}/chapters/4")["text"]
    assert written == shown == page.evaluate("window.streamed") == CHAPTER
    complaints[:] = [each for each in complaints if "net::ERR" not in each]


def test_novel_page_shows_what_is_being_written_and_then_the_chapter(
    studio: Studio, model: FakeModel, open_page: OpenPage
) -> None:
    model.reply(tells())
    model.pause(after=PIECES)
    page = open_page(f"/studio/?novel={EN}")
    studio.write_chapter()
    wait_for_text(page, held_text())

    model.resume()

    expect(page.get_by_role("link", name=TITLE)).to_be_visible()
    expect(page.get_by_role("heading", name="Being written")).to_have_count(0)


def test_cancel_stops_the_writing_and_retry_takes_it_up_again(
    studio: Studio, model: FakeModel, open_page: OpenPage
) -> None:
    model.reply(tells())
    model.pause(after=PIECES)
    page = open_page(f"/studio/?novel={EN}")
    ask_for_chapter(page)
    wait_for_text(page, held_text())
    job = job_of(page)

    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("This job was cancelled.")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_have_text("The writing was cancelled")
    assert studio.get(f"/backburner/jobs/{job}")["status"] == "cancelled"

    model.resume()
    page.get_by_role("button", name="Try again").click()
    assert wait_for_chapter(page) == CHAPTER


def test_failure_is_told_in_words_and_retry_works(model: FakeModel, open_page: OpenPage) -> None:
    model.reply(tells())
    model.fail(400, message="this model takes no novels")
    page = open_page(f"/studio/?novel={EN}")
    ask_for_chapter(page)

    expect(page.get_by_text("The model endpoint refused the request")).to_be_visible()
    expect(page.get_by_text("this model takes no novels")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_have_text("The chapter was not written")

    page.get_by_role("button", name="Try again").click()
    wait_for_chapter(page)


def test_reader_who_scrolled_up_is_left_in_peace(model: FakeModel, open_page: OpenPage) -> None:
    chapter = "One line of the chapter, and another.\n\n" * 60
    model.reply(tells(chapter))
    model.pause(after=200)
    page = open_page(f"/studio/?novel={EN}", viewport={"width": 1000, "height": 600})
    ask_for_chapter(page)
    wait_for_text(page, held_text(chapter, 200))
    assert page.evaluate("scrollY") > 0, "the end is kept in view"

    page.evaluate("scrollTo(0, 0)")
    model.pause(after=300)
    model.resume()
    wait_for_chapter(page)
    assert page.evaluate("scrollY") == 0
