"""The analysis of a chapter arrives part by part."""

from __future__ import annotations

import threading

from playwright.sync_api import expect

from backburner.testing.model import Call, FakeModel
from backburner.testing.model_answers import default_answer
from tests.browser.conftest import OpenPage
from tests.browser.support import EN, Studio, tells

PARTS = ("character_states", "new_characters", "world", "foreshadowing")


def test_parts_arrive_one_by_one_and_fill_in_the_novel(model: FakeModel, open_page: OpenPage) -> None:
    first_may_go, rest_may_go = threading.Event(), threading.Event()
    gates = [first_may_go, *[rest_may_go] * (len(PARTS) - 1)]

    def reply(call: Call) -> str:
        if not call.response_format:
            return tells()(call)
        gates.pop(0).wait(30)
        return default_answer(call.prompt, call.response_format)

    model.reply(reply)
    page = open_page(f"/studio/?novel={EN}&chapter=3")
    page.get_by_role("button", name="Analyse this chapter").click()
    expect(page.locator(".part.coming")).to_have_count(len(PARTS))

    first_may_go.set()
    expect(page.locator(".part.coming")).to_have_count(len(PARTS) - 1)
    landed = page.locator("[data-part=character_states]")
    expect(landed).to_contain_text("some name")
    expect(landed).to_contain_text("by fake-model")
    rest_may_go.set()
    expect(page.locator(".part.coming")).to_have_count(0)
    expect(page.get_by_role("complementary", name="Summary")).to_be_visible()

    page.get_by_role("link", name="The Held Wind").first.click()
    standing = page.get_by_role("complementary", name="As things stand")
    expect(standing).to_contain_text("some object")


def test_analysis_that_failed_can_be_tried_again_in_place(
    studio: Studio, model: FakeModel, open_page: OpenPage
) -> None:
    model.fail(400, message="not today")
    page = open_page(f"/studio/?novel={EN}&chapter=1")
    page.get_by_role("button", name="Analyse this chapter").click()
    expect(page.get_by_text("not today")).to_be_visible()

    page.get_by_role("button", name="Try again").click()

    expect(page.locator(".part:not(.coming)")).to_have_count(len(PARTS))
    assert studio.get(f"/api/novels/{EN}/chapters/1/analysis")["parts"]["world"]["method"] == "model"
