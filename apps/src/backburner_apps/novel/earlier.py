"""What was there before a chapter: the analysis of a chapter is held against it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from backburner import Fail

from .novels import State, read_state
from .tables import Analysis, Chapter, Novel

MOST_READ = 20
"""Earlier chapters that nobody has analysed are read for their characters; only the latest so many."""


@dataclass(frozen=True, slots=True)
class Before:
    """``texts`` are the earlier chapters by number, ``people`` the names that were known from them."""

    novel: Novel
    chapter: Chapter
    texts: dict[int, str]
    people: list[str]
    state: State

    def first_mention(self, names: Iterable[str]) -> int:
        """The number of the first chapter that names it, under any of its names; this one's if none did."""
        pattern = mention(names)
        found = (number for number, text in self.texts.items() if pattern.search(text))
        return next(found, self.chapter.number)


def look_back(session: Session, chapter_id: int) -> Before:
    """Raises `Fail` when the chapter is gone."""
    chapter = session.get(Chapter, chapter_id)
    novel = session.get(Novel, chapter.novel_id) if chapter is not None else None
    if chapter is None or novel is None:
        raise Fail("the chapter is not there any more", status=404)
    before = (Chapter.novel_id == novel.id, Chapter.number < chapter.number)
    texts = {
        chapter.number: chapter.text
        for chapter in session.scalars(select(Chapter).where(*before).order_by(Chapter.number))
    }
    analysed = select(Chapter.number).join(Analysis, Analysis.chapter_id == Chapter.id)
    done = set(session.scalars(analysed.where(*before, Analysis.part == "character_states")))
    state = _as_of(read_state(session, novel.id), chapter.number)
    people = [character.name for character in state.characters]
    unread = [text for number, text in texts.items() if number not in done]
    return Before(novel, chapter, texts, _people(people, unread, novel.language), state)


def mention(names: Iterable[str]) -> re.Pattern[str]:
    """Finds any of the names: whole words where the script has spaces between them."""
    forms = sorted({name for name in names if name}, key=len, reverse=True)
    return re.compile("|".join(_bounded(form) for form in forms) or r"(?!)")


def _bounded(form: str) -> str:
    begin = r"\b" if form[0].isascii() and form[0].isalnum() else ""
    end = r"\b" if form[-1].isascii() and form[-1].isalnum() else ""
    return begin + re.escape(form) + end


def _as_of(state: State, number: int) -> State:
    """Without what only this chapter, or a later one, has brought in: analysing it again finds the same as before."""
    return State(
        [each for each in state.characters if each.first_chapter < number],
        [each for each in state.world if each.first_chapter < number],
        [each for each in state.foreshadowing if each.first_chapter < number],
    )


def _people(known: Sequence[str], unread: Sequence[str], language: str) -> list[str]:
    people = list(known)
    if unread:
        from .extraction import character_states

        for text in unread[-MOST_READ:]:
            people += [found.name for found in character_states(text, people, language=language)]
    return list(dict.fromkeys(people))
