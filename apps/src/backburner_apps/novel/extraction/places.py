"""Places and factions of a text, in either language."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from . import places_en, places_zh
from .people import people
from .reading import Reading

Kind = Literal["place", "faction"]


@dataclass(frozen=True, slots=True)
class Named:
    """A place or faction and the sentence of each mention, in order; ``narrated`` leaves out quotations."""

    kind: Kind
    name: str
    sentences: tuple[int, ...]
    narrated: tuple[int, ...]


@lru_cache(maxsize=8)
def named_things(reading: Reading) -> tuple[Named, ...]:
    """The places and factions of a text, most mentioned first; names of persons are never among them."""
    persons = frozenset(surface for person in people(reading, ()) for surface in person.surfaces)
    found: dict[tuple[Kind, str], list[tuple[int, bool]]] = defaultdict(list)
    for kind, name, sentence, at in _mentions(reading, persons):
        found[kind, name].append((sentence, reading.sentences[sentence].tokens[at].start in reading.spoken))
    ranked = sorted(found.items(), key=lambda entry: -len(entry[1]))
    return tuple(_named(kind, name, where) for (kind, name), where in ranked)


def _mentions(reading: Reading, persons: frozenset[str]) -> Iterator[tuple[Kind, str, int, int]]:
    if reading.language == "zh-CN":
        return places_zh.mentions(reading, persons)
    return places_en.mentions(reading, persons)


def _named(kind: Kind, name: str, where: list[tuple[int, bool]]) -> Named:
    everywhere = tuple(sentence for sentence, _ in where)
    return Named(kind, name, everywhere, tuple(sentence for sentence, spoken in where if not spoken))
