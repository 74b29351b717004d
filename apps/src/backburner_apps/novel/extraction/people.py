"""Who is in a text: one entry a person, every mention in order."""

from collections.abc import Iterable, Sequence
from functools import lru_cache

from . import people_en, people_zh
from .mentions import Mention, Person, gather
from .reading import Reading


def people(reading: Reading, known: Sequence[str]) -> tuple[Person, ...]:
    """Everybody the text names, most mentioned first; the ``known`` names help to recognise and join."""
    return _people(reading, tuple(name.strip() for name in known if name.strip()))


def is_known(person: Person, known: Iterable[str]) -> bool:
    """Whether any form of the person's name is among the known ones."""
    return not person.surfaces.isdisjoint(known)


def acts(reading: Reading, mention: Mention) -> bool:
    """Whether the mentioned person does or says something in that sentence."""
    sentence = reading.sentences[mention.sentence]
    return people_zh.acts(sentence, mention) if reading.language == "zh-CN" else people_en.acts(sentence, mention)


@lru_cache(maxsize=8)
def _people(reading: Reading, known: tuple[str, ...]) -> tuple[Person, ...]:
    if reading.language == "zh-CN":
        found = people_zh.roster(reading, known)
        return gather(reading, found.canonical, people_zh.matcher(found))
    found = people_en.roster(reading, known)
    return gather(reading, found.canonical, people_en.matcher(reading, found))
