"""The parts of a chapter's analysis, each from one reading of the text."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Literal

from .language import choose_language
from .mentions import Person
from .objects import is_named_in, objects
from .people import acts, is_known, people
from .places import named_things
from .reading import Reading, read
from .results import CharacterState, EntryKind, Foreshadow, NewCharacter, WorldEntry
from .summary import summarize_reading

METHODS: Mapping[str, str] = MappingProxyType(
    {
        "summary": "extraction",
        "character_states": "extraction",
        "new_characters": "extraction",
        "world.place": "extraction",
        "world.faction": "extraction",
        "world.item": "extraction",
        "world.rule": "none",
        "foreshadowing.planted": "extraction",
        "foreshadowing.recurring": "extraction",
        "foreshadowing.paid_off": "none",
    }
)
"""How each part comes about here; "none" marks what rules cannot tell, and what is therefore absent."""

_REACH = 8
_OFTEN = 2


def summarize(text: str, *, language: str | None = None, sentences: int = 3) -> str:
    """Up to ``sentences`` whole sentences of the text, in its order, spread over its length."""
    return summarize_reading(_read(text, language), sentences)


def character_states(text: str, known: Sequence[str], *, language: str | None = None) -> list[CharacterState]:
    """Everybody the text names, most mentioned first; ``known`` are names from earlier chapters."""
    reading = _read(text, language)
    everybody = people(reading, known)
    present = _present(everybody)
    return [
        CharacterState(
            name=person.name,
            aliases=person.aliases,
            mentions=len(person.mentions),
            last_action=_last_action(person, reading),
            with_whom=_company(person, present),
            where=_whereabouts(person, reading),
        )
        for person in everybody
    ]


def new_characters(text: str, known: Sequence[str], *, language: str | None = None) -> list[NewCharacter]:
    """Those the text names and ``known`` does not, under any of their names."""
    reading = _read(text, language)
    return [
        NewCharacter(
            name=person.name,
            aliases=person.aliases,
            mentions=len(person.mentions),
            first_seen=reading.sentences[person.mentions[0].sentence].text,
        )
        for person in people(reading, known)
        if not is_known(person, known)
    ]


def world(text: str, known: Sequence[str], *, language: str | None = None) -> list[WorldEntry]:
    """Places, factions and items the text names, most mentioned first within their kind.

    ``known`` are names of the world from earlier chapters; they decide what counts as new.
    """
    reading = _read(text, language)
    return [
        *_places_and_factions(reading, "place", known),
        *_places_and_factions(reading, "faction", known),
        *_items(reading, known),
    ]


def foreshadowing(text: str, earlier: Sequence[str], *, language: str | None = None) -> list[Foreshadow]:
    """Concrete objects that return: seen in one of the ``earlier`` texts, or more than once in this one."""
    reading = _read(text, language)
    found = []
    for thing in objects(reading):
        first = next((at for at, chapter in enumerate(earlier) if is_named_in(thing, chapter)), None)
        if first is None and len(thing.sentences) < _OFTEN:
            continue
        found.append(
            Foreshadow(
                object=thing.name,
                status="planted" if first is None else "recurring",
                mentions=len(thing.sentences),
                evidence=reading.sentences[thing.sentences[0]].text,
                first_chapter=first,
            )
        )
    return found


def _read(text: str, language: str | None) -> Reading:
    return read(text, choose_language(text, language))


def _present(everybody: Sequence[Person]) -> dict[int, list[str]]:
    """Names by the sentence in which the narrator names them: to be spoken of is not to be there."""
    found: dict[int, list[str]] = {}
    for person in everybody:
        for sentence in dict.fromkeys(mention.sentence for mention in person.mentions if not mention.spoken):
            found.setdefault(sentence, []).append(person.name)
    return found


def _last_action(person: Person, reading: Reading) -> str:
    last = next((mention for mention in reversed(person.mentions) if acts(reading, mention)), None)
    return "" if last is None else reading.sentences[last.sentence].text


def _company(person: Person, present: Mapping[int, Sequence[str]]) -> tuple[str, ...]:
    last = _last_seen(person)
    if last is None:
        return ()
    around = (name for sentence in (last, last - 1, last + 1) for name in present.get(sentence, ()))
    return tuple(name for name in dict.fromkeys(around) if name != person.name)


def _last_seen(person: Person) -> int | None:
    """The last sentence in which the narrator names the person; None for somebody only spoken of."""
    return next((mention.sentence for mention in reversed(person.mentions) if not mention.spoken), None)


def _whereabouts(person: Person, reading: Reading) -> str | None:
    """The place the narrator named last before the person's last appearance, if that is close enough."""
    last = _last_seen(person)
    if last is None:
        return None
    for sentence in range(last, max(-1, last - _REACH - 1), -1):
        here = _places(reading).get(sentence)
        if here is not None:
            return here
    return None


@lru_cache(maxsize=8)
def _places(reading: Reading) -> Mapping[int, str]:
    return {
        sentence: thing.name for thing in named_things(reading) if thing.kind == "place" for sentence in thing.narrated
    }


def _places_and_factions(
    reading: Reading, kind: Literal["place", "faction"], known: Sequence[str]
) -> Iterator[WorldEntry]:
    for thing in named_things(reading):
        if thing.kind == kind:
            yield _entry(kind, thing.name, thing.sentences, reading, known)


def _items(reading: Reading, known: Sequence[str]) -> Iterator[WorldEntry]:
    for thing in objects(reading):
        if len(thing.sentences) >= _OFTEN:
            yield _entry("item", thing.name, thing.sentences, reading, known)


def _entry(
    kind: EntryKind, name: str, sentences: tuple[int, ...], reading: Reading, known: Sequence[str]
) -> WorldEntry:
    evidence = reading.sentences[sentences[0]].text
    return WorldEntry(kind, name, len(sentences), evidence, new=name not in known)
