"""What an analysis found goes into the novel's tables: one transaction a part.

Analyses may land in any order and again: an entry's first chapter only moves back, and how it stands is what its
latest chapter says.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from backburner import Fail

from .digest import Digest
from .tables import Analysis, Chapter, Character, CharacterState, Foreshadowing, WorldEntry, now

Items = list[dict[str, Any]]
LONGEST_NAME = 200


def land(
    session: Session, chapter_id: int, part: str, job_id: str, items: Items, method: str, model: str | None
) -> int:
    """Answers how many entries there were. Raises `Fail` when the chapter is gone."""
    chapter = session.get(Chapter, chapter_id)
    if chapter is None:
        raise Fail("the chapter is not there any more", status=404)
    PARTS[part](session, chapter, items)
    row = session.scalar(select(Analysis).where(Analysis.chapter_id == chapter_id, Analysis.part == part))
    if row is None:
        row = Analysis(chapter_id=chapter_id, part=part)
        session.add(row)
    row.job_id, row.result, row.method, row.model, row.finished_at = job_id, items, method, model, now()
    return len(items)


def land_summary(session: Session, chapter_id: int, digest: Digest) -> None:
    """For a chapter that came without one."""
    chapter = session.get(Chapter, chapter_id)
    if chapter is not None and not chapter.summary:
        chapter.summary, chapter.summary_method, chapter.summary_model = digest.summary, digest.method, digest.model


def _character_states(session: Session, chapter: Chapter, items: Items) -> None:
    session.execute(delete(CharacterState).where(CharacterState.chapter_id == chapter.id))
    cast = Cast(session, chapter)
    for name, item in _by_name(items, "name").items():
        state = item["state"] or item["last_action"]
        session.add(
            CharacterState(
                novel_id=chapter.novel_id,
                chapter_id=chapter.id,
                name=name,
                state=state,
                last_action=item["last_action"],
                with_whom=list(item["with_whom"]),
                place=_short(item["where"]) or None,
            )
        )
        character = cast.meet(name, item)
        if chapter.number >= character.last_chapter:
            character.state = state or character.state


def _new_characters(session: Session, chapter: Chapter, items: Items) -> None:
    cast = Cast(session, chapter)
    for name, item in _by_name(items, "name").items():
        cast.meet(name, item)


class Cast:
    """The novel's characters, found by any of their names."""

    def __init__(self, session: Session, chapter: Chapter) -> None:
        self._session = session
        self._chapter = chapter
        everybody = session.scalars(select(Character).where(Character.novel_id == chapter.novel_id)).all()
        self._known = {alias: each for each in everybody for alias in each.aliases}
        self._known |= {each.name: each for each in everybody}

    def meet(self, name: str, item: dict[str, Any]) -> Character:
        number, first = self._chapter.number, int(item["first_chapter"])
        aliases = [alias for alias in map(_short, item["aliases"]) if alias]
        character = self._known.get(name)
        if character is None:
            character = Character(
                novel_id=self._chapter.novel_id,
                name=name,
                aliases=[],
                state="",
                first_chapter=first,
                last_chapter=number,
            )
            self._session.add(character)
        more = dict.fromkeys([*character.aliases, name, *aliases])
        character.aliases = [each for each in more if each != character.name]
        character.first_chapter = min(character.first_chapter, first)
        character.last_chapter = max(character.last_chapter, number)
        for each in (character.name, *character.aliases):
            self._known.setdefault(each, character)
        return character


def _world(session: Session, chapter: Chapter, items: Items) -> None:
    entries = session.scalars(select(WorldEntry).where(WorldEntry.novel_id == chapter.novel_id))
    known = {(entry.kind, entry.name): entry for entry in entries}
    for item in items:
        kind, name, first = item["kind"], _short(item["name"]), int(item["first_chapter"])
        if not name:
            continue
        entry = known.get((kind, name))
        if entry is None:
            entry = known[kind, name] = WorldEntry(
                novel_id=chapter.novel_id,
                kind=kind,
                name=name,
                detail=item["detail"] or item["evidence"],
                first_chapter=first,
            )
            session.add(entry)
        entry.first_chapter = min(entry.first_chapter, first)
        entry.detail = item["detail"] or entry.detail


def _foreshadowing(session: Session, chapter: Chapter, items: Items) -> None:
    threads = session.scalars(select(Foreshadowing).where(Foreshadowing.novel_id == chapter.novel_id))
    known = {thread.object: thread for thread in threads}
    for name, item in _by_name(items, "object").items():
        first, number = int(item["first_chapter"]), chapter.number
        thread = known.get(name)
        if thread is None:
            thread = Foreshadowing(
                novel_id=chapter.novel_id,
                object=name,
                status="planted",
                first_chapter=first,
                last_chapter=number,
                evidence="",
            )
            session.add(thread)
        thread.first_chapter = min(thread.first_chapter, first)
        if number < thread.last_chapter or (number > thread.last_chapter and thread.status == "paid_off"):
            continue  # a later chapter has said how it stands; and what is paid off stays so, though named again
        seen_before = thread.first_chapter < number and item["status"] == "planted"
        thread.status = "recurring" if seen_before else item["status"]
        thread.evidence, thread.last_chapter = item["evidence"], number


PARTS: dict[str, Callable[[Session, Chapter, Items], None]] = {
    "character_states": _character_states,
    "new_characters": _new_characters,
    "world": _world,
    "foreshadowing": _foreshadowing,
}


def _by_name(items: Items, key: str) -> dict[str, dict[str, Any]]:
    """A model may name the same thing twice; the first counts."""
    found: dict[str, dict[str, Any]] = {}
    for item in items:
        if name := _short(item[key]):
            found.setdefault(name, item)
    return found


def _short(name: str | None) -> str:
    return (name or "").strip()[:LONGEST_NAME]
