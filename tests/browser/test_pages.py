"""What holds on every page: language, safety, room."""

from __future__ import annotations

import httpx
import pytest
from playwright.sync_api import expect

from backburner.testing.model import FakeModel
from tests.browser.conftest import OpenPage
from tests.browser.support import EN, PIECES, ZH, Studio, held_text, tells, wait_for_text

HOSTILE = '<img src=x onerror="window.harmed=1"><script>window.harmed=1</script>'
WRITE_MARKUP = "() => { try { document.body.innerHTML = '<b>x</b>' } catch (error) { return error.name } }"
LANGUAGES = (
    ("zh-CN", "zh-CN", "小说", "任务"),
    ("zh-Hant-TW", "zh-CN", "小说", "任务"),
    ("de-DE", "en", "Novels", "Jobs"),
)
PAGES = ("/studio/", f"/studio/?novel={ZH}", f"/studio/?novel={ZH}&chapter=1", "/backburner/ui/jobs")


def test_pages_speak_the_language_of_the_browser(open_page: OpenPage) -> None:
    for locale, lang, novels, jobs in LANGUAGES:
        page = open_page("/studio/", locale=locale)
        expect(page.get_by_role("heading", level=1)).to_have_text(novels)
        assert lang == page.evaluate("document.documentElement.lang")
        page.get_by_role("link", name=jobs, exact=True).click()
        expect(page.get_by_role("heading", level=1)).to_have_text(jobs)
        assert lang == page.evaluate("document.documentElement.lang")


def test_chinese_novel_is_written_in_chinese_words(model: FakeModel, open_page: OpenPage) -> None:
    model.reply("雨停了。")
    page = open_page(f"/studio/?novel={ZH}", locale="zh-CN")
    page.get_by_role("radio", name="基础").check()
    page.get_by_role("button", name="开始写").click()
    page.wait_for_url(f"**/studio/?novel={ZH}&chapter=4")
    expect(page.get_by_text("第 4 章", exact=True).first).to_be_visible()
    page.get_by_role("button", name="通知，1 条未读").click()
    expect(page.get_by_role("link", name="新的一章写好了")).to_be_visible()


def test_markup_in_titles_and_texts_stays_text(studio: Studio, model: FakeModel, open_page: OpenPage) -> None:
    chapter = HOSTILE + " and on it goes. " * 20
    model.reply(tells(chapter, summary=HOSTILE, title=HOSTILE[:50]))
    model.pause(after=PIECES)
    page = open_page("/studio/")
    page.get_by_role("button", name="New novel").click()
    page.get_by_label("Title").fill(HOSTILE)
    page.get_by_label("Premise").fill(HOSTILE)
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(HOSTILE)
    page.get_by_role("button", name="Write", exact=True).click()
    wait_for_text(page, held_text(chapter))
    model.resume()

    expect(page.get_by_role("complementary", name="Summary")).to_contain_text("onerror")
    assert chapter == page.locator("article .prose").text_content()
    page.get_by_role("link", name="Job page").first.click()
    expect(page.locator("pre").first).to_contain_text("onerror")
    page.goto(studio.url + "/studio/")
    expect(page.locator(".book strong", has_text="onerror")).to_have_text(HOSTILE)
    assert page.evaluate("window.harmed") is None


def test_pages_refuse_markup_from_script(open_page: OpenPage, complaints: list[str]) -> None:
    for path in ("/studio/", "/backburner/ui/jobs"):
        page = open_page(path)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        assert page.evaluate(WRITE_MARKUP) == "TypeError"
    complaints[:] = [each for each in complaints if "TrustedHTML" not in each]


def test_browser_side_is_served_with_a_strict_policy_and_nothing_beside_it(studio: Studio) -> None:
    for path in ("client.js", "elements/job.js", "styles.css", "icon.svg", "jobs", "jobs/any"):
        response = httpx.get(f"{studio.url}/backburner/ui/{path}", trust_env=False)
        assert response.status_code == 200
        assert "script-src 'self'" in response.headers["content-security-policy"]
        assert "unsafe" not in response.headers["content-security-policy"]
        assert response.headers["x-content-type-options"] == "nosniff"
    for path in ("../http/ui.py", "%2e%2e/http/ui.py", "..%2fapp.py", "elements", "nothing.js"):
        assert httpx.get(f"{studio.url}/backburner/ui/{path}", trust_env=False).status_code == 404


@pytest.mark.parametrize("width", [380, 1280])
def test_pages_fit_their_window(studio: Studio, model: FakeModel, open_page: OpenPage, width: int) -> None:
    model.reply(tells())
    job = studio.write_chapter(EN, "enhanced")
    studio.wait_for_end(job)
    page = open_page("/studio/", viewport={"width": width, "height": 800})
    for path in (*PAGES, f"/studio/?novel={EN}&chapter=4", f"/backburner/ui/jobs/{job}"):
        page.goto(studio.url + path)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        page.wait_for_load_state("load")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
