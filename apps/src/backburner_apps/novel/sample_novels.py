"""Two short novels that come with the studio, so that there is something real to analyse and to go on from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from .tables import Chapter, Novel

SAMPLES = Path(__file__).parent / "samples"
FOLDERS = {"zh-CN": "zh", "en": "en"}


def install_samples(session: Session) -> None:
    for language in FOLDERS:
        described = describe_sample(language)
        novel = Novel(
            title=described["title"],
            author=described["author"],
            language=described["language"],
            premise=described["premise"],
        )
        session.add(novel)
        session.flush()
        for number, chapter in enumerate(described["chapters"], 1):
            text = (SAMPLES / FOLDERS[language] / chapter["file"]).read_text(encoding="utf-8").strip()
            session.add(Chapter(novel_id=novel.id, number=number, text=text, **_words(chapter)))


def describe_sample(language: str) -> dict[str, Any]:
    """What ``novel.json`` says of the sample in this language."""
    described: dict[str, Any] = json.loads((SAMPLES / FOLDERS[language] / "novel.json").read_text(encoding="utf-8"))
    return described


def _words(chapter: dict[str, Any]) -> dict[str, Any]:
    summary = chapter.get("summary", "")
    return {
        "title": chapter["title"],
        "summary": summary,
        "method": "author",
        "summary_method": "author" if summary else None,
    }
