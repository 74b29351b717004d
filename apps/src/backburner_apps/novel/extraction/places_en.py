"""English places and factions: by the words in the name, by "the", and by the prepositions before it."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Literal

from .forms_en import Run, runs, vocabulary
from .lexicon import words
from .mentions import word
from .names_en import LONE_FACTIONS, PLACE_ENDINGS
from .reading import Reading, Sentence

PlaceOrFaction = Literal["place", "faction"]

_LOCATING = words(
    """
    in into inside outside across throughout within near at from toward towards around through
    """
)
_SURELY_LOCATING = words("in into inside outside across throughout")


def mentions(reading: Reading, persons: frozenset[str]) -> Iterator[tuple[PlaceOrFaction, str, int, int]]:
    """(kind, name, sentence, word) of every place and faction; "the Guild" counts for the only one of that kind."""
    found = [run for run in runs(reading, vocabulary(reading)) if not _names_person(run, persons)]
    located = _located(found, reading)
    factions: dict[str, set[str]] = defaultdict(set)
    for run in found:
        if run.is_faction and len(run.name) > 1:
            factions[run.name[-1]].add(run.text)
    for run in found:
        if run.is_faction and not run.is_place:
            name = _full_faction(run, factions, reading.sentences[run.sentence])
            if name is not None:
                yield "faction", name, run.sentence, run.first
        elif run.is_place or run.text in located:
            yield "place", run.text, run.sentence, run.first


def _names_person(run: Run, persons: frozenset[str]) -> bool:
    return run.title is not None or run.text in persons or run.titled in persons


def _located(found: list[Run], reading: Reading) -> set[str]:
    """Names without a telling word that stand behind "in", or mostly behind words of place."""
    surely: Counter[str] = Counter()
    perhaps: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    for run in found:
        before = word(reading.sentences[run.sentence], run.first - 1)
        seen[run.text] += 1
        if before is not None:
            surely[run.text] += before.text.lower() in _SURELY_LOCATING
            perhaps[run.text] += before.text.lower() in _LOCATING
    return {name for name in seen if surely[name] or perhaps[name] * 2 > seen[name]}


def _full_faction(run: Run, factions: Mapping[str, set[str]], sentence: Sentence) -> str | None:
    if len(run.name) > 1:
        return run.text
    before = word(sentence, run.first - 1)
    if run.text not in LONE_FACTIONS or run.text in PLACE_ENDINGS or before is None:
        return None
    if before.text.lower() not in ("the", "a", "an", "our", "their"):
        return None
    owners = factions.get(run.text, set())
    return next(iter(owners)) if len(owners) == 1 else run.text
