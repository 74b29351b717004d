"""English names: which forms stand for the same person, and where they are mentioned."""

from collections import Counter, defaultdict
from collections.abc import Iterable

from .evidence_en import Evidence, collect, is_verb_like
from .forms_en import Run, base, is_opening, vocabulary
from .lexicon import words
from .mentions import Match, Mention, Roster, word
from .names_en import (
    FACTION_ENDINGS,
    NOT_NAMES,
    PLACE_BEGINNINGS,
    PLACE_ENDINGS,
    SPEECH_VERBS,
    TITLES,
)
from .reading import Reading, Sentence

_LONGEST = 6
_COMPANIONS = 6
_NEVER_SUBJECT_AFTER = words(
    """
    at to toward towards from with for of on by beside behind past near before after about against
    like
    """
)


def roster(reading: Reading, known: Iterable[str]) -> Roster:
    """The names of the text and the known ones, with the forms that stand for the same person joined."""
    evidence = collect(reading)
    found = Roster()
    earlier = [_as_run(name) for name in known if name.count(" ") < _LONGEST]
    for run in earlier:
        evidence.add_known(run)
    beginnings = {parts[0] for parts in evidence.names.values() if len(parts) > 1}
    for text, parts in evidence.names.items():
        if len(parts) > 1 and evidence.is_person(text) and not _has_word_before(parts, beginnings, evidence):
            found.add(text, text)
    owners = _owners(found.names())
    _join_titled_full_names(found, evidence)
    _join_titles(found, evidence, owners)
    _join_parts(found, owners)
    for text, parts in evidence.names.items():
        if len(parts) == 1 and text not in found.canonical and text not in owners and evidence.is_person(text):
            found.add(text, text)
    return found


def matcher(reading: Reading, found: Roster) -> Match:
    """Finds the longest known form that starts at a word."""
    ordinary = vocabulary(reading)
    longest = max((surface.count(" ") + 1 for surface in found.canonical), default=0)
    beginnings = {surface.split(" ")[0] for surface in found.canonical}

    def match(sentence: Sentence, at: int) -> tuple[str, int] | None:
        if base(sentence.tokens[at].text) not in beginnings:
            return None
        for last in range(min(at + longest, len(sentence.tokens)) - 1, at - 1, -1):
            parts = [token.text for token in sentence.tokens[at : last + 1]]
            parts[-1] = base(parts[-1])
            surface = " ".join(parts)
            if surface in found.canonical:
                return None if _is_something_else(sentence, at, last, ordinary) else (surface, last)
        return None

    return match


def acts(sentence: Sentence, mention: Mention) -> bool:
    """Whether the mentioned person does something here: narrated, no object, a verb beside the name."""
    before = word(sentence, mention.first - 1)
    name_end = sentence.tokens[mention.last].text
    if mention.spoken or name_end != base(name_end):
        return False
    if before is not None and before.text in SPEECH_VERBS:
        return True
    if before is not None and before.text in _NEVER_SUBJECT_AFTER:
        return False
    after = mention.last + 1
    for _ in range(_COMPANIONS):
        token = word(sentence, after)
        if token is not None and (token.text == "and" or token.text[0].isupper()):
            after += 1
    return is_verb_like(sentence, after)


def _has_word_before(parts: tuple[str, ...], beginnings: set[str], evidence: Evidence) -> bool:
    """Beg Mara Voss, beside Mara Voss: a sentence began with another word. The known is never doubted."""
    text, rest = " ".join(parts), " ".join(parts[1:])
    if text in evidence.known or (text in evidence.backed and len(parts) == 2):
        return False
    return rest in beginnings if len(parts) == 2 else rest in evidence.names


def _as_run(name: str) -> Run:
    parts = name.split(" ")
    title = parts.pop(0) if len(parts) > 1 and parts[0] in TITLES else None
    return Run(title, tuple(parts), 0, 0, 0, opening=False, possessive=False)


def _owners(names: Iterable[str]) -> dict[str, list[str]]:
    """Full names by their first and last words."""
    found: dict[str, list[str]] = defaultdict(list)
    for name in names:
        parts = name.split(" ")
        for part in dict.fromkeys((parts[0], parts[-1])):
            found[part].append(name)
    return found


def _join_titled_full_names(found: Roster, evidence: Evidence) -> None:
    """Captain Elena Reyes is Elena Reyes, and makes every Captain Reyes the same person."""
    for name in found.names():
        for titled, title in evidence.titled.get(name, {}).items():
            found.add(titled, name)
            found.add(f"{title} {name.split(' ')[-1]}", name)


def _join_titles(found: Roster, evidence: Evidence, owners: dict[str, list[str]]) -> None:
    """Mr. Finch joins the only Finch unless the text sets them apart; else the title-name stands alone."""
    for text, titles in evidence.titled.items():
        if len(evidence.names[text]) > 1:
            continue
        for titled, title in titles.items():
            if titled in found.canonical:
                continue
            candidates = owners.get(text, [])
            if len(candidates) == 1 and not _are_two(titled, title, candidates[0], evidence):
                found.add(titled, candidates[0])
            else:
                found.add(titled, titled)
        alone = [titled for titled in titles if found.canonical[titled] == titled]
        if text not in owners and len(alone) == 1:
            found.add(text, alone[0])


def _are_two(titled: str, title: str, name: str, evidence: Evidence) -> bool:
    return evidence.are_two_people(titled, title, {name, name.split(" ")[0]})


def _join_parts(found: Roster, owners: dict[str, list[str]]) -> None:
    """Mara, or Voss, alone is the only person of that name; a name several people share is nobody's."""
    for part, names in owners.items():
        if part not in found.canonical and len(names) == 1:
            found.add(part, names[0])


def _is_something_else(sentence: Sentence, first: int, last: int, ordinary: Counter[str]) -> bool:
    """Bell in Bell Street, Orrin in Saint Orrin, Will at the start of a question."""
    before, after = word(sentence, first - 1), word(sentence, last + 1)
    if before is not None and before.text in PLACE_BEGINNINGS:
        return True
    if after is not None and after.text in PLACE_ENDINGS | FACTION_ENDINGS:
        return True
    lowered = base(sentence.tokens[first].text).lower()
    if first != last or not is_opening(sentence, first):
        return False
    return (lowered in NOT_NAMES or ordinary[lowered] > 0) and not is_verb_like(sentence, last + 1)
