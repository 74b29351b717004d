from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from backburner.testing.model import FakeModel
from tests.browser.support import Studio

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--no-first-run"),
)
PATIENCE_MS = 30_000

OpenPage = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One a module: Playwright keeps an event loop, which tests of other modules could not start beside."""
    if not shutil.which(CHROMIUM):
        if os.environ.get("CI") == "true":
            pytest.fail(f"there is no Chromium at {CHROMIUM}: install it, or name another in CHROMIUM")
        pytest.skip(f"there is no Chromium at {CHROMIUM}")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture
def model() -> Iterator[FakeModel]:
    with FakeModel() as model:
        yield model


@pytest.fixture
def studio(tmp_path: Path, model: FakeModel) -> Iterator[Studio]:
    with Studio(str(tmp_path / "jobs.db"), model) as studio:
        yield studio


@pytest.fixture
def complaints() -> list[str]:
    """What the pages complained of: errors in the console, violations of the policy, exceptions. A test that expects
    some takes them out."""
    return []


@pytest.fixture
def open_page(browser: Browser, complaints: list[str], studio: Studio) -> Iterator[OpenPage]:
    """Opens an address of the studio in a browser of its own, or in the one of ``beside``; all must be content."""
    contexts: list[BrowserContext] = []

    def on_console(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(f"{message.text} ({message.location.get('url')})")

    def open_page(path: str, *, beside: Page | None = None, **options: Any) -> Page:
        if beside is None:
            contexts.append(browser.new_context(**{"locale": "en-US", **options}))
            contexts[-1].set_default_timeout(PATIENCE_MS)
        page = beside.context.new_page() if beside else contexts[-1].new_page()
        page.on("console", on_console)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(studio.url + path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
