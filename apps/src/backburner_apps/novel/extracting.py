"""The parts of an analysis without a model: by extraction, which quotes and counts what the text says."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from .earlier import Before

Items = list[dict[str, Any]]


def extract(part: str, before: Before) -> tuple[str, Items]:
    """The method and what it found."""
    # Loads the language model of the word splitter where the text is Chinese: only where it is needed.
    from . import extraction

    items = PARTS[part](before)
    methods = {method for name, method in extraction.METHODS.items() if name.partition(".")[0] == part}
    return ("extraction" if "extraction" in methods else "none"), items


def _character_states(before: Before) -> Items:
    from .extraction import character_states

    found = character_states(before.chapter.text, before.people, language=before.novel.language)
    return [
        {**asdict(each), "state": None, "first_chapter": before.first_mention((each.name, *each.aliases))}
        for each in found
    ]


def _new_characters(before: Before) -> Items:
    from .extraction import new_characters

    found = new_characters(before.chapter.text, before.people, language=before.novel.language)
    return [{**asdict(each), "role": None, "first_chapter": before.chapter.number} for each in found]


def _world(before: Before) -> Items:
    from .extraction import world

    known = [each.name for each in before.state.world]
    found = world(before.chapter.text, known, language=before.novel.language)
    items = []
    for each in found:
        first = before.first_mention((each.name,))
        items.append({**asdict(each), "detail": None, "first_chapter": first, "new": first == before.chapter.number})
    return items


def _foreshadowing(before: Before) -> Items:
    from .extraction import foreshadowing

    numbers = list(before.texts)
    found = foreshadowing(before.chapter.text, list(before.texts.values()), language=before.novel.language)
    return [
        {
            **asdict(each),
            # Extraction counts the texts it was given, people count chapters.
            "first_chapter": before.chapter.number if each.first_chapter is None else numbers[each.first_chapter],
        }
        for each in found
    ]


PARTS = {
    "character_states": _character_states,
    "new_characters": _new_characters,
    "world": _world,
    "foreshadowing": _foreshadowing,
}
