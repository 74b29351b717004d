"""Prompts and notifications."""

from __future__ import annotations

import pytest

from backburner_apps.novel.digest import split_answer
from backburner_apps.novel.prompts import FOLDER, fill
from backburner_apps.novel.words import analyse_notice, generate_notice

ARGS = {
    "novel_id": 1,
    "chapter_id": 7,
    "chapter_number": 5,
    "novel_title": "雪 {x}",
    "language": "zh-CN",
}
BLANKS = (
    *("title", "number", "premise", "summaries", "characters", "world", "threads", "ending"),
    *("chapter_title", "instructions", "names", "text", "known"),
)


def test_every_prompt_is_there_in_both_languages_with_the_same_blanks() -> None:
    prompts = {language: sorted(path.stem for path in (FOLDER / language).iterdir()) for language in ("en", "zh-CN")}
    assert prompts["en"] == prompts["zh-CN"]
    for prompt in prompts["en"]:
        blanks = dict.fromkeys(BLANKS, "●")
        english, chinese = (fill(language, prompt, **blanks).count("●") for language in ("en", "zh-CN"))
        assert english == chinese, prompt


def test_a_paragraph_of_which_nothing_is_known_is_left_out() -> None:
    prompt = fill("en", "continue", title="T", premise="", names="", number=4, ending="It rained. $5\n\nThe end")
    assert prompt == "T\n\nChapter 4\n\nIt rained. $5\n\nThe end"


def test_a_failure_is_told_in_words_and_without_the_machines_own() -> None:
    known = analyse_notice("failed", ARGS, "the model wants a key: set OPENAI_API_KEY")
    assert known.title == "第 5 章增强分析失败"
    assert "原因：the model wants a key: set OPENAI_API_KEY" in known.message
    assert "《雪 {x}》" in known.message
    unknown = generate_notice("failed", {**ARGS, "language": "en"}, "KeyError: 'x'")
    assert unknown.title == "The new chapter could not be written"
    assert "KeyError" not in unknown.message
    assert "its details are with the job" in unknown.message


def test_what_is_done_leads_to_the_chapter() -> None:
    notice = analyse_notice("completed", ARGS, None)
    assert notice.title == "第 5 章增强分析已完成"
    assert notice.data == {"novel_id": 1, "chapter_id": 7, "chapter_number": 5}


@pytest.mark.parametrize(
    ("answer", "title", "summary"),
    [
        ("The Tower\nThey climb. It opens.", "The Tower", "They climb. It opens."),
        ("**“退潮的门”**\n\n门开了。", "退潮的门", "门开了。"),
        ("They climb. It opens.", "", "They climb. It opens."),
        ("They climb " * 20 + "\nIt opens.", "", "They climb " * 20 + "\nIt opens."),
        ("", "", ""),
    ],
)
def test_a_digest_is_a_title_and_a_summary(answer: str, title: str, summary: str) -> None:
    assert split_answer(answer) == (title, summary)
