"""The bell: what ended while nobody looked."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from backburner.testing.model import FakeModel
from tests.browser.conftest import OpenPage
from tests.browser.support import EN, Studio, tells


def bell(page: Page, unread: int) -> None:
    name = f"Notifications, {unread} unread" if unread else "Notifications"
    expect(page.get_by_role("button", name=name, exact=True)).to_be_visible()


def test_bell_rings_live_and_reading_silences_it_in_every_tab(
    studio: Studio, model: FakeModel, open_page: OpenPage
) -> None:
    model.reply(tells())
    page = open_page("/studio/")
    other = open_page("/backburner/ui/jobs", beside=page)
    bell(page, 0)
    studio.write_chapter()
    bell(page, 1)
    bell(other, 1)

    page.get_by_role("button", name="Notifications, 1 unread").click()
    page.get_by_role("button", name="Mark as read: A new chapter is written").click()

    bell(page, 0)
    bell(other, 0)
    assert studio.get("/backburner/inbox")["unread"] == 0
    page.reload()
    bell(page, 0)


def test_all_are_marked_read_at_once(studio: Studio, model: FakeModel, open_page: OpenPage) -> None:
    model.reply(tells())
    for _ in range(2):
        studio.wait_for_end(studio.write_chapter())
    page = open_page("/studio/")
    page.get_by_role("button", name="Notifications, 2 unread").click()
    expect(page.get_by_role("dialog").get_by_role("listitem")).to_have_count(2)

    page.get_by_role("button", name="Mark all as read").click()

    bell(page, 0)
    assert studio.get("/backburner/inbox?unread_only=true")["notifications"] == []


def test_notification_leads_to_the_chapter_and_keyboard_is_enough(
    studio: Studio, model: FakeModel, open_page: OpenPage
) -> None:
    model.reply(tells())
    studio.wait_for_end(studio.write_chapter())
    page = open_page("/studio/")
    bell(page, 1)

    page.get_by_role("button", name="Notifications, 1 unread").focus()
    page.keyboard.press("Enter")
    link = page.get_by_role("link", name="A new chapter is written")
    expect(link).to_be_visible()
    page.keyboard.press("Escape")
    expect(link).not_to_be_visible()
    page.keyboard.press("Enter")
    link.focus()
    page.keyboard.press("Enter")

    page.wait_for_url(f"**/studio/?novel={EN}&chapter=4")
    bell(page, 0)
