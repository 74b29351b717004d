"""The two sample novels are complete, of the right length, and agree with the marks made by hand."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

SAMPLES = files("backburner_apps.novel") / "samples"
MARKS: dict[str, Any] = json.loads((Path(__file__).parent / "novel_marks.json").read_text("utf-8"))
LENGTHS = {"zh": range(1900, 2401), "en": range(2000, 3001)}
NOVELS = ("zh", "en")


def novel(code: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((SAMPLES / code / "novel.json").read_text("utf-8"))
    return found


def chapters(code: str) -> list[str]:
    return [(SAMPLES / code / chapter["file"]).read_text("utf-8") for chapter in novel(code)["chapters"]]


@pytest.mark.parametrize("code", NOVELS)
def test_a_novel_tells_its_title_author_language_premise_and_chapters(code: str) -> None:
    found = novel(code)
    assert {"title", "author", "language", "premise", "chapters"} == set(found)
    assert {"zh": "zh-CN", "en": "en"}[code] == found["language"]
    assert all(found.values())
    assert all(chapter["title"] and chapter["file"] for chapter in found["chapters"])


@pytest.mark.parametrize("code", NOVELS)
def test_a_novel_has_three_chapters_of_the_promised_length(code: str) -> None:
    texts = chapters(code)
    assert len(texts) == 3
    assert all(len(text) in LENGTHS[code] for text in texts)


@pytest.mark.parametrize("code", NOVELS)
def test_a_novel_has_five_characters_several_places_a_faction_and_a_latecomer(code: str) -> None:
    marks = MARKS[code].values()
    names = {person["name"] for chapter in marks for person in chapter["characters"]}
    assert len(names) >= 5
    assert len({place for chapter in marks for place in chapter["places"]}) >= 3
    assert {faction for chapter in marks for faction in chapter["factions"]}
    assert MARKS[code]["chapter-3"]["new"]


@pytest.mark.parametrize("code", NOVELS)
def test_one_object_recurs_in_every_chapter(code: str) -> None:
    recurring = set.intersection(*(set(chapter["objects"]) for chapter in MARKS[code].values()))
    assert any(all(thing in text for text in chapters(code)) for thing in recurring)


@pytest.mark.parametrize("code", NOVELS)
def test_every_mark_stands_in_its_chapter(code: str) -> None:
    for text, marks in zip(chapters(code), MARKS[code].values(), strict=True):
        absent = [name for kind in ("places", "factions", "objects") for name in marks[kind] if name not in text]
        forms = [(person["name"], *person["aliases"]) for person in marks["characters"]]
        assert absent == []
        assert [person for person in forms if not any(form in text for form in person)] == []


@pytest.mark.parametrize("code", NOVELS)
def test_only_marked_characters_are_marked_new(code: str) -> None:
    for marks in MARKS[code].values():
        assert set(marks["new"]) <= {person["name"] for person in marks["characters"]}
