"""The novel studio, whole, in a PostgreSQL database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from backburner.testing.model import FakeModel
from tests.support.postgres import fresh_database, server_answers

from .novel_support import CHAPTER, CHINESE, Novelist, chat, ended, get, open_studio, result_of, write


@pytest.fixture
def url(missing: Callable[[str], NoReturn]) -> Iterator[str]:
    if not server_answers():
        missing("a PostgreSQL server")
    with fresh_database() as url:
        yield url


def test_a_chapter_is_written_and_analysed(url: str, tmp_path: Path) -> None:
    with FakeModel() as model, open_studio(tmp_path, chat(model), url) as web:
        Novelist(model)
        job = write(web, mode="enhanced")
        ended(web, job)
        saved = result_of(web, job)
        ended(web, saved["analysis_job_id"])
        chapter = get(web, f"/api/novels/{CHINESE}/chapters/{saved['number']}")
        state = get(web, f"/api/novels/{CHINESE}/state")
    assert CHAPTER == chapter["text"]
    assert "纪无归" in [each["name"] for each in state["characters"]]
