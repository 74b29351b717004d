"""A novel as the prompts tell it: what happened, who is who, what the world is like, which threads are open."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session, load_only

from .novels import State
from .prompts import listed
from .tables import Chapter, Character, Foreshadowing, Novel, WorldEntry

MOST_SUMMARIES = 40
MOST_CHARACTERS = 40
MOST_ENTRIES = 60
MOST_THREADS = 30
MOST_NAMES = 8

KINDS = {
    "en": {"place": "place", "faction": "faction", "rule": "rule", "item": "item"},
    "zh-CN": {"place": "地点", "faction": "势力", "rule": "规则", "item": "物品"},
}
CHAPTER = {"en": "Chapter {number}, {title}: {summary}", "zh-CN": "第 {number} 章「{title}」：{summary}"}
ALIASES = {"en": "{name} (also {aliases})", "zh-CN": "{name}（又称{aliases}）"}
COMMA = {"en": ", ", "zh-CN": "、"}
COLON = {"en": ": ", "zh-CN": "："}
THREAD = {
    "en": "{object} (first in chapter {first}, last seen in chapter {last}): {evidence}",
    "zh-CN": "{object}（始于第 {first} 章，最近见于第 {last} 章）：{evidence}",
}
NOTHING = {"en": "(none yet)", "zh-CN": "（还没有）"}


def tell_summaries(session: Session, novel: Novel, before: int) -> str:
    """The chapters before number ``before``. Where a chapter has no summary, extraction makes one for the occasion."""
    earlier = (
        select(Chapter)
        .where(Chapter.novel_id == novel.id, Chapter.number < before)
        .order_by(Chapter.number.desc())
        .limit(MOST_SUMMARIES)
        .options(load_only(Chapter.number, Chapter.title, Chapter.summary))
    )
    lines = [
        CHAPTER[novel.language].format(
            number=chapter.number,
            title=chapter.title,
            summary=chapter.summary or summarise(chapter.text, novel.language),
        )
        for chapter in reversed(session.scalars(earlier).all())
    ]
    return listed(lines)


def summarise(text: str, language: str) -> str:
    """A summary of the text's own sentences."""
    from .extraction import summarize

    return summarize(text, language=language)


def tell_characters(characters: Iterable[Character], language: str) -> str:
    return listed(_colon(_called(each, language), each.state, language) for each in list(characters)[:MOST_CHARACTERS])


def tell_world(world: Iterable[WorldEntry], language: str) -> str:
    return listed(
        _colon(f"[{KINDS[language][each.kind]}] {each.name}", each.detail, language)
        for each in list(world)[:MOST_ENTRIES]
    )


def tell_threads(threads: Iterable[Foreshadowing], language: str) -> str:
    return listed(
        THREAD[language].format(
            object=each.object, first=each.first_chapter, last=each.last_chapter, evidence=each.evidence
        )
        for each in list(threads)[:MOST_THREADS]
    )


def open_threads(state: State) -> list[Foreshadowing]:
    return [each for each in state.foreshadowing if each.status != "paid_off"]


def _called(character: Character, language: str) -> str:
    if not character.aliases:
        return character.name
    return ALIASES[language].format(name=character.name, aliases=COMMA[language].join(character.aliases))


def _colon(name: str, words: str, language: str) -> str:
    return f"{name}{COLON[language]}{words}" if words else name
