"""The demo as a process, the model behind it, and what a browser said while it was open."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Self

import httpx
from playwright.sync_api import Page, expect

from backburner.testing.model import Call, FakeModel
from tests.acceptance.support import Process, until

ZH, EN = 1, 2
"""The samples."""

PIECES = 20
"""How many pieces of a chapter are out when the model is held."""

TITLE = "Night Tide"
SUMMARY = "Mara walks to the landing at night, and the tower is lit again."
CHAPTER = (
    "The rain stopped after midnight. Mara closed the book 📖 and listened.\n\n"
    "“Not asleep?” said a voice behind her — Tobias, with half a map.\n"
    "The inn 𠮷祥 had one window lit 😀😀, and 雨 ran down the stairs.\n\n\n"
    "“The tower is lit again,” he said. Nobody answered, and the wind did not rise.\n"
)


class Studio:
    """`backburner demo` on a port of its own; `restart` after a `kill` serves the same database there again."""

    def __init__(self, database: str, model: FakeModel) -> None:
        self._env = {"BACKBURNER_DATABASE_URL": f"sqlite:///{database}", **model.environment}
        self._process, self.url = self._start(port=0)
        self._http = httpx.Client(base_url=self.url, trust_env=False, timeout=20)

    def get(self, path: str) -> Any:
        response = self._http.get(path)
        assert response.status_code == 200, response.text
        return response.json()

    def post(self, path: str, body: Any = None) -> Any:
        response = self._http.post(path, json=body)
        assert response.is_success, response.text
        return response.json()

    def kill(self) -> None:
        """As by power failure: web and worker together."""
        self._process.kill()

    def restart(self) -> None:
        self._process.stop()
        self._process, self.url = self._start(int(self.url.rpartition(":")[2]))

    def write_chapter(self, novel: int = EN, mode: str = "basic") -> str:
        """Ask for a chapter over HTTP; answers the job."""
        job: str = self.post(f"/api/novels/{novel}/chapters", {"mode": mode})["job"]["id"]
        return job

    def wait_for_end(self, job: str) -> dict[str, Any]:
        def ended() -> Any:
            found = self.get(f"/backburner/jobs/{job}")
            return found if found["finished_at"] else None

        found: dict[str, Any] = until(ended, f"the end of job {job}")
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()
        self._process.__exit__()

    def _start(self, port: int) -> tuple[Process, str]:
        process = Process("demo", "--port", str(port), env=self._env)
        return process, process.wait_for_line("Serving on").split()[-1]


def tells(chapter: str = CHAPTER, summary: str = SUMMARY, title: str = TITLE) -> Callable[[Call], str]:
    """A reply for every call: the summary where one is asked for, else the chapter."""

    def reply(call: Call) -> str:
        return f"{title}\n{summary}" if "Answer with a title" in call.prompt else chapter

    return reply


def held_text(chapter: str = CHAPTER, pieces: int = PIECES) -> str:
    """What the model has said when it is held after so many pieces of six characters."""
    return chapter[: pieces * 6]


def wait_for_text(page: Page, text: str) -> None:
    """Until the streamed text is exactly this one."""
    page.wait_for_function("text => document.querySelector('bb-text')?.text === text", arg=text)


def wait_for_chapter(page: Page, title: str = TITLE) -> str:
    """Until the written chapter has taken the place of the writing; answers its text as it is shown."""
    page.wait_for_url("**&chapter=*")
    expect(page.get_by_role("heading", level=1)).to_have_text(title)
    return page.locator("article .prose").text_content() or ""


def job_of(page: Page) -> str:
    found = re.search(r"job=([\w-]+)", page.url)
    assert found is not None, page.url
    return found[1]
