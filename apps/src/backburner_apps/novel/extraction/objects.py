"""Concrete objects of a text: things a hand can hold, told apart by what they are made of or look like."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from . import objects_en, objects_zh
from .reading import Reading


@dataclass(frozen=True, slots=True)
class ConcreteObject:
    """An object, the bare noun it is a kind of, and the sentence of each mention, in order."""

    name: str
    noun: str
    sentences: tuple[int, ...]


@lru_cache(maxsize=8)
def objects(reading: Reading) -> tuple[ConcreteObject, ...]:
    """Objects mentioned at least twice, or once with a description; most mentioned first.

    A bare "the key" counts for the described key mentioned last before it, or else for the first after it.
    """
    language = objects_zh if reading.language == "zh-CN" else objects_en
    by_noun: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for noun, name, sentence in language.mentions(reading):
        by_noun[noun].append((name, sentence))
    found = [thing for noun, seen in by_noun.items() for thing in _told_apart(noun, seen) if len(thing.name) > 1]
    return tuple(sorted(found, key=lambda thing: -len(thing.sentences)))


def is_named_in(thing: ConcreteObject, text: str) -> bool:
    """Whether another text names the object in the same words."""
    if thing.name.isascii():
        return re.search(rf"\b{re.escape(thing.name)}(?:e?s)?\b", text) is not None
    return thing.name in text


def _told_apart(noun: str, seen: list[tuple[str, int]]) -> Iterable[ConcreteObject]:
    described = Counter(name for name, _ in seen if name != noun)
    # A description used once beside one used often ("the heavy compass") is a remark, not another object.
    usual = {name for name, used in described.items() if used * 3 > max(described.values())}
    current = next((name for name, _ in seen if name in usual), noun)
    where: dict[str, list[int]] = defaultdict(list)
    for name, sentence in seen:
        current = name if name in usual else current
        where[current].append(sentence)
    for name, sentences in where.items():
        if name != noun or len(sentences) > 1:
            yield ConcreteObject(name, noun, tuple(sentences))
