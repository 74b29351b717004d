"""How strongly an English text speaks for each capitalised name being a person."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from .forms_en import Run, runs, vocabulary
from .lexicon import words
from .mentions import word
from .names_en import HUMAN_VERBS, IRREGULAR_PAST, PERSONAL_NOUNS, SHARED_TITLES, SPEECH_VERBS
from .reading import Reading, Sentence

_ENOUGH = 2
_INSIDE = words("in into inside outside across throughout within")
_SOCIAL = words("asked told thanked kissed married helped hugged warned invited trusted loved hated is was and")
_AROUND = words("at near from to toward towards through around beyond past left")
_NAMING = frozenset(["named", "called", "name's"])
_ENDS = frozenset('?!.,”"')
_QUOTES = frozenset("“”\"‘’'")


@dataclass(slots=True)
class Evidence:
    """Scores above zero speak for a person, below for a place or thing; never mind those not ``backed``.

    A name of one word is backed once it stands inside a sentence, or beside a title or a verb of speech: a
    capital at the start of a sentence alone proves nothing.
    """

    scores: Counter[str] = field(default_factory=Counter)
    backed: set[str] = field(default_factory=set)
    known: set[str] = field(default_factory=set)
    placelike: set[str] = field(default_factory=set)
    impersonal: set[str] = field(default_factory=set)
    names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    titled: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    narrated_in: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    seen_in: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))

    def is_person(self, text: str) -> bool:
        """Whether the evidence suffices; for a full name that of its first and last part counts too."""
        name = self.names[text]
        if text in self.known:
            return True
        if text in self.impersonal or (len(name) == 1 and text not in self.backed):
            return False
        score = self.scores[text]
        if text in self.placelike:
            # Lucian Vale, whom the text calls Lucian or Vale and lets swear, is no valley.
            score -= 2 * _ENOUGH
        if len(name) > 1:
            score += _ENOUGH + max(0, self.scores[name[0]]) + max(0, self.scores[name[-1]])
        return score >= _ENOUGH

    def add_known(self, run: Run) -> None:
        """Take a name from an earlier chapter as proven, whatever this text says."""
        self.names[run.text] = run.name
        self.known.add(run.text)
        if run.title is not None:
            self.titled[run.text][run.titled] = run.title

    def are_two_people(self, titled: str, title: str, forms: set[str]) -> bool:
        """Whether a title-name shares a sentence with the person it might be.

        A title that families share (Mrs.) needs less: being spoken of by the other one is enough.
        """
        where = self.seen_in if title in SHARED_TITLES else self.narrated_in
        return any(not where[titled].isdisjoint(where[form]) for form in forms)


def collect(reading: Reading) -> Evidence:
    """Walk through the text once and weigh every capitalised name in it."""
    evidence = Evidence()
    for run in runs(reading, vocabulary(reading)):
        sentence = reading.sentences[run.sentence]
        if len(run.name) > 3 or run.is_faction or _follows_the(run, sentence):
            evidence.impersonal.add(run.text)
            continue
        if run.is_place:
            evidence.placelike.add(run.text)
        spoken = sentence.tokens[run.first].start in reading.spoken
        evidence.names[run.text] = run.name
        evidence.scores[run.text] += _score(run, sentence, spoken)
        if run.title is not None:
            evidence.titled[run.text][run.titled] = run.title.split(" ")[-1]
        if run.title is not None or not run.opening or _speaks(run, sentence):
            evidence.backed.add(run.text)
        evidence.seen_in[run.titled].add(sentence.index)
        if not spoken:
            evidence.narrated_in[run.titled].add(sentence.index)
    return evidence


def is_verb_like(sentence: Sentence, at: int) -> bool:
    """Whether a word may be the verb of the name before it; adverbs such as "quickly" are skipped."""
    token = word(sentence, at)
    if token is not None and token.text.endswith("ly"):
        token = word(sentence, at + 1)
    return token is not None and (
        token.text in HUMAN_VERBS or token.text in IRREGULAR_PAST or (len(token.text) > 3 and token.text.endswith("ed"))
    )


def _follows_the(run: Run, sentence: Sentence) -> bool:
    before = word(sentence, run.first - 1)
    return run.title is None and before is not None and before.text.lower() == "the"


def _score(run: Run, sentence: Sentence, spoken: bool) -> int:
    before, after = word(sentence, run.first - 1), word(sentence, run.last + 1)
    score = 0
    if run.title is not None:
        score += 4
    if _speaks(run, sentence):
        score += 3
    elif after is not None and not run.possessive:
        score += 2 if after.text in HUMAN_VERBS else int(is_verb_like(sentence, run.last + 1))
    if run.possessive and after is not None and after.text in PERSONAL_NOUNS:
        score += 2
    if before is not None:
        score += 2 * (before.text in _NAMING) - 3 * (before.text in _INSIDE) - (before.text in _AROUND)
        score += int(before.text in _SOCIAL)
    return score + 2 * (spoken and _is_addressed(run, sentence))


def _is_addressed(run: Run, sentence: Sentence) -> bool:
    """Alone between marks, inside a quotation: "Mara, wait!" and "What is it, Mara?"."""
    before, after = word(sentence, run.first - 1), word(sentence, run.last + 1)
    if after is None or before is None:
        return False
    return (before.text in _QUOTES and after.text == ",") or (before.text == "," and after.text in _ENDS)


def _speaks(run: Run, sentence: Sentence) -> bool:
    """Mara said; Mara quickly said; "…" said Mara."""
    before, after = word(sentence, run.first - 1), word(sentence, run.last + 1)
    if after is not None and not run.possessive:
        if after.text.endswith("ly"):
            after = word(sentence, run.last + 2)
        if after is not None and after.text in SPEECH_VERBS:
            return True
    if before is None or before.text not in SPEECH_VERBS:
        return False
    mark = word(sentence, run.first - 2)
    return mark is None or mark.text in _QUOTES
