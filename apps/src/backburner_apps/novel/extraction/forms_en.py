"""English forms of names: runs of capitalised words, and what stands around them."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from .mentions import word
from .names_en import (
    FACTION_ENDINGS,
    FIRST_NAME_WORDS,
    NOT_NAMES,
    PLACE_BEGINNINGS,
    PLACE_ENDINGS,
    TITLES,
)
from .reading import Reading, Sentence

_OPENERS = frozenset('“"‘(«—–:;…-')
_LONGEST = 8
_NEVER_FIRST_NAME = ("ing", "ly", "ed")


@dataclass(frozen=True, slots=True)
class Run:
    """Capitalised words in a row: an optional title and the name proper, without a possessive ending.

    ``first`` and ``last`` are indexes into the sentence's words and include the title; ``opening`` tells that
    the run stands where any word would be capitalised.
    """

    title: str | None
    name: tuple[str, ...]
    sentence: int
    first: int
    last: int
    opening: bool
    possessive: bool

    @property
    def text(self) -> str:
        return " ".join(self.name)

    @property
    def titled(self) -> str:
        return f"{self.title} {self.text}" if self.title else self.text

    @property
    def is_place(self) -> bool:
        """Whether the words themselves name a place: Bell Street, Saint Orrin."""
        return len(self.name) > 1 and (self.name[-1] in PLACE_ENDINGS or self.name[0] in PLACE_BEGINNINGS)

    @property
    def is_faction(self) -> bool:
        """Whether the words themselves name a group of people: the Weather Guild, the Order of Salt."""
        return self.name[-1] in FACTION_ENDINGS or (len(self.name) > 2 and self.name[0] in FACTION_ENDINGS)


def vocabulary(reading: Reading) -> Counter[str]:
    """How often each word stands in lower case: proof that it is an ordinary word."""
    return Counter(token.text for sentence in reading.sentences for token in sentence.tokens if token.text[0].islower())


def runs(reading: Reading, ordinary: Counter[str]) -> Iterator[Run]:
    """Every run of the text that may be a name, in order."""
    for sentence in reading.sentences:
        at = 0
        while at < len(sentence.tokens):
            run = _run(sentence, at, ordinary) if _is_capitalised(sentence, at) else None
            if run is not None:
                yield run
            at = at + 1 if run is None else run.last + 1


def is_opening(sentence: Sentence, at: int) -> bool:
    """Whether a word is capitalised by position: first in the sentence or in a quotation."""
    before = word(sentence, at - 1)
    return before is None or before.text in _OPENERS


def base(text: str) -> str:
    """A word without its possessive ending."""
    return text.removesuffix("'s").removesuffix("’s").rstrip("'’")


def _run(sentence: Sentence, at: int, ordinary: Counter[str]) -> Run | None:
    first, last = at, _last_capitalised(sentence, at)
    words = [token.text for token in sentence.tokens[first : last + 1]]
    opening = is_opening(sentence, first)
    while words and _is_ordinary(words, opening, ordinary):
        words.pop(0)
        first += 1
        opening = False
    title = None
    while len(words) > 1 and words[0] in TITLES:
        title = f"{title} {words.pop(0)}" if title else words.pop(0)
    if not words or (len(words) == 1 and (words[0] in TITLES or base(words[0]).lower() in NOT_NAMES)):
        return None
    possessive = words[-1] != base(words[-1])
    words[-1] = base(words[-1])
    return Run(title, tuple(words), sentence.index, first, last, opening, possessive)


def _last_capitalised(sentence: Sentence, at: int) -> int:
    for _ in range(_LONGEST):
        token, after = sentence.tokens[at], word(sentence, at + 1)
        if after is None:
            return at
        if token.text != base(token.text) and after.text not in PLACE_ENDINGS:
            return at
        if _is_capitalised(sentence, at + 1):
            at += 1
        elif (joined := _joined_by_of(sentence, at)) is not None:
            at = joined
        else:
            return at
    return at


def _joined_by_of(sentence: Sentence, at: int) -> int | None:
    """Order of Salt, House of the Crane: index of the capitalised word behind "of", or None."""
    if sentence.tokens[at].text not in FACTION_ENDINGS | PLACE_ENDINGS:
        return None
    of = word(sentence, at + 1)
    if of is None or of.text != "of":
        return None
    the = word(sentence, at + 2)
    target = at + 3 if the is not None and the.text == "the" else at + 2
    return target if word(sentence, target) is not None and _is_capitalised(sentence, target) else None


def _is_capitalised(sentence: Sentence, at: int) -> bool:
    text = sentence.tokens[at].text
    return text[0].isupper() and (len(text) == 1 or not text.isupper()) and text not in ("I", "A", "O")


def _is_ordinary(words: list[str], opening: bool, ordinary: Counter[str]) -> bool:
    """Whether the first word of a run is there by position only: "When Mara", "Crossing Mill Lane"."""
    head = words[0]
    lowered = base(head).lower()
    if head in TITLES or (len(words) > 1 and lowered in FIRST_NAME_WORDS and not opening):
        return False
    if lowered in NOT_NAMES and not (len(words) > 1 and head in PLACE_BEGINNINGS):
        return True
    if not opening or len(words) == 1:
        return False
    return ordinary[lowered] > 0 or lowered.endswith(_NEVER_FIRST_NAME)
