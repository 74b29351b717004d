"""A text read once: sentences, words and quotations, shared by every part of the analysis."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from . import lac
from .language import Language
from .sentences import Span, Spoken, paragraphs, quotations, sentences

_ENGLISH_WORD = re.compile(
    r"(?:Mr|Mrs|Ms|Dr|St|Prof|Rev|Capt|Col|Gen|Lt|Sgt)\.(?=\s)|[^\W\d_]+(?:['’-][^\W\d_]+)*|\d+|[^\w\s]"
)


@dataclass(frozen=True, slots=True)
class Token:
    """A word or punctuation mark; ``tag`` is LAC's for Chinese and empty for English."""

    text: str
    tag: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence with its words; offsets count from the start of the whole text."""

    text: str
    start: int
    index: int
    tokens: tuple[Token, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """A text with its sentences in order; ``spoken`` tells which offsets are inside quotations.

    Compared by identity: it serves as a cache key, and hashing a whole book each time would cost more than
    the cache saves.
    """

    language: Language
    sentences: tuple[Sentence, ...]
    spoken: Spoken


@lru_cache(maxsize=8)
def read(text: str, language: Language) -> Reading:
    """Read ``text`` once; the parts of one analysis ask for the same text in turn, hence the cache."""
    found: list[Sentence] = []
    quoted: list[Span] = []
    for paragraph in paragraphs(text, language):
        inside = quotations(text, paragraph)
        quoted.extend(inside)
        for begin, end in sentences(text, paragraph, Spoken(inside), language):
            tokens = tuple(_tokens(text[begin:end], begin, language))
            found.append(Sentence(text[begin:end], begin, len(found), tokens))
    return Reading(language, tuple(found), Spoken(quoted))


def _tokens(sentence: str, start: int, language: Language) -> Iterator[Token]:
    if language == "zh-CN":
        for word, label, offset in lac.tag(sentence):
            yield Token(word, label, start + offset)
    else:
        for match in _ENGLISH_WORD.finditer(sentence):
            yield Token(match.group(), "", start + match.start())
