"""The parts of an analysis by a model that follows instructions: what it is asked, and the shape of its answers."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from .earlier import Before, mention
from .prompts import fill, listed
from .story import NOTHING, tell_characters, tell_summaries, tell_threads, tell_world


class CharacterNow(BaseModel):
    name: str = Field(description="the fullest name the text gives")
    aliases: list[str] = Field(description="other forms of the name, as in the text")
    state: str = Field(description="one or two sentences: condition, aims, what he or she knows at the chapter's end")
    last_action: str = Field(description="quotation: the last sentence in which the character does or says something")
    with_whom: list[str] = Field(description="names of those who are with the character at the end")
    where: str | None = Field(description="the place at the end, null if the text does not say")


class CharactersNow(BaseModel):
    characters: list[CharacterNow]


class NewCharacter(BaseModel):
    name: str = Field(description="the fullest name the text gives")
    aliases: list[str] = Field(description="other forms of the name, as in the text")
    role: str = Field(description="one sentence: who this is, as far as the text says")
    first_seen: str = Field(description="quotation: the first sentence that names the character")


class NewCharacters(BaseModel):
    characters: list[NewCharacter]


class WorldThing(BaseModel):
    kind: Literal["place", "faction", "rule", "item"]
    name: str = Field(description="a short name, for a rule a few words")
    detail: str = Field(description="one sentence: what the text establishes about it")
    evidence: str = Field(description="quotation: the first sentence that shows it")


class World(BaseModel):
    entries: list[WorldThing]


class Thread(BaseModel):
    object: str = Field(description="a short name of the thing")
    status: Literal["planted", "recurring", "paid_off"]
    evidence: str = Field(description="quotation: the sentence that shows it best")


class Threads(BaseModel):
    threads: list[Thread]


SCHEMAS: dict[str, type[BaseModel]] = {
    "character_states": CharactersNow,
    "new_characters": NewCharacters,
    "world": World,
    "foreshadowing": Threads,
}


def make_prompts(session: Session, before: Before) -> dict[str, str]:
    """The question of each part."""
    language, state = before.novel.language, before.state
    people = _known_people(before)
    known = {
        "character_states": people,
        "new_characters": people,
        "world": tell_world(state.world, language),
        "foreshadowing": tell_threads(state.foreshadowing, language),
    }
    common = {
        "title": before.novel.title,
        "number": before.chapter.number,
        "text": before.chapter.text,
        "summaries": tell_summaries(session, before.novel, before.chapter.number),
    }
    return {part: fill(language, part, **common, known=told or NOTHING[language]) for part, told in known.items()}


def read_answer(part: str, answer: BaseModel, before: Before) -> list[dict[str, Any]]:
    """The answer in the form that extraction has too, with what can be counted instead of asked."""
    (found,) = answer.model_dump(mode="json").values()
    return [_counted(part, item, before) for item in found]


def _counted(part: str, item: dict[str, Any], before: Before) -> dict[str, Any]:
    names = [item.get("name") or item.get("object") or "", *item.get("aliases", ())]
    mentions = sum(1 for _ in mention(names).finditer(before.chapter.text))
    first = before.chapter.number if part == "new_characters" else before.first_mention(names)
    counted = {**item, "mentions": mentions, "first_chapter": first}
    if part == "world":
        counted["new"] = first == before.chapter.number
    return counted


def _known_people(before: Before) -> str:
    """Those in the tables as they stand, and the bare names that the earlier chapters bring."""
    told = tell_characters(before.state.characters, before.novel.language)
    in_tables = {each.name for each in before.state.characters}
    return "\n".join(filter(None, (told, listed(name for name in before.people if name not in in_tables))))
