"""Persons and their mentions, and the walk that gathers them: the same in either language."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from .reading import Reading, Sentence, Token


@dataclass(frozen=True, slots=True)
class Mention:
    """One naming of a person: words ``first`` to ``last`` (inclusive) of sentence ``sentence``."""

    surface: str
    sentence: int
    first: int
    last: int
    spoken: bool


@dataclass(frozen=True, slots=True)
class Person:
    """A person: the fullest name the text gives, its other forms, and where each of them stands."""

    name: str
    aliases: tuple[str, ...]
    mentions: tuple[Mention, ...]

    @property
    def surfaces(self) -> frozenset[str]:
        return frozenset((self.name, *self.aliases))


@dataclass(slots=True)
class Roster:
    """The forms of names found so far, each pointing at the fullest form of the same person."""

    canonical: dict[str, str] = field(default_factory=dict)

    def add(self, surface: str, name: str) -> None:
        self.canonical[surface] = name

    def names(self) -> list[str]:
        return [surface for surface, name in self.canonical.items() if surface == name]


Match = Callable[[Sentence, int], tuple[str, int] | None]
"""The surface that starts at a word of a sentence and the index of its last word, or None."""


def gather(reading: Reading, canonical: Mapping[str, str], match: Match) -> tuple[Person, ...]:
    """Walk the text once and collect every mention under the name it stands for."""
    found: dict[str, list[Mention]] = {}
    for sentence in reading.sentences:
        at = 0
        while at < len(sentence.tokens):
            hit = match(sentence, at)
            if hit is None:
                at += 1
                continue
            surface, last = hit
            spoken = sentence.tokens[at].start in reading.spoken
            mention = Mention(surface, sentence.index, at, last, spoken)
            found.setdefault(canonical[surface], []).append(mention)
            at = last + 1
    ranked = sorted(found.items(), key=lambda entry: -len(entry[1]))
    return tuple(_person(name, mentions) for name, mentions in ranked)


def word(sentence: Sentence, at: int) -> Token | None:
    """The word at an index, or None outside the sentence."""
    return sentence.tokens[at] if 0 <= at < len(sentence.tokens) else None


def _person(name: str, mentions: list[Mention]) -> Person:
    aliases = dict.fromkeys(mention.surface for mention in mentions if mention.surface != name)
    return Person(name, tuple(aliases), tuple(mentions))
