"""Chinese names: which forms are names at all, and which of them are the same person."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from .forms_zh import Evidence, Form, Kind, classify, collect
from .lexicon import words
from .mentions import Match, Mention, Roster, word
from .reading import Reading, Sentence

_LONGEST = 12
_COMPANIONS = 6
_ACTING_TAGS = words("v vd d ad p a")
_NAME_LIKE = words("n nr nz nw LOC ORG xc")
_NEVER_SUBJECT_AFTER = words("对 向 跟 朝 给 被 把 替 为 与 同 离 往 从 在 比")
_LINKS = words("和 与 跟 同 、")


def roster(reading: Reading, known: Iterable[str]) -> Roster:
    """The names of the text and the known ones, with the forms that stand for the same person joined."""
    evidence = collect(reading)
    found = Roster()
    earlier = [classify(name) or Form(name, Kind.BARE) for name in known if len(name) <= _LONGEST]
    for form in earlier:
        evidence.forms.setdefault(form.text, form)
    full = [form.text for form in earlier if form.kind is Kind.FULL]
    given = set(_by_given_name(full))
    for name in (*(name for name in full if name not in given), *_full_names(evidence)):
        found.add(name, name)
    trusted = {form.text for form in earlier}
    _join_bare(found, evidence, trusted)
    _join_vouched(found, evidence)
    _join_by_surname(found, evidence, trusted)
    return found


def matcher(found: Roster) -> Match:
    """Finds the longest known form that starts at a word, also where the model cut the words wrongly."""
    lengths = sorted({len(surface) for surface in found.canonical}, reverse=True)
    doubtful = {
        surface
        for surface, name in found.canonical.items()
        if len(surface) == 1 or (surface != name and name.endswith(surface))
    }

    def match(sentence: Sentence, at: int) -> tuple[str, int] | None:
        token = sentence.tokens[at]
        begin = token.start - sentence.start
        for length in lengths:
            surface = sentence.text[begin : begin + length]
            if surface not in found.canonical:
                continue
            last = _last_word(sentence, at, token.start + length)
            closing = sentence.tokens[last]
            aligned = closing.end == token.start + length
            if surface in doubtful and token.tag != "PER" and not (aligned and token.tag in _NAME_LIKE):
                continue
            if aligned or length > 2 or closing.tag == "PER":
                return surface, last
        return None

    return match


def acts(sentence: Sentence, mention: Mention) -> bool:
    """Whether the mentioned person does something here: narrated, no object, with a verb behind the name."""
    before = word(sentence, mention.first - 1)
    if mention.spoken or (before is not None and before.text in _NEVER_SUBJECT_AFTER):
        return False
    after = mention.last + 1
    for _ in range(_COMPANIONS):
        token = word(sentence, after)
        if token is not None and (token.text in _LINKS or token.tag == "PER"):
            after += 1
    follower = word(sentence, after)
    return follower is not None and follower.tag in _ACTING_TAGS


def _full_names(evidence: Evidence) -> list[str]:
    longer: dict[str, int] = defaultdict(int)
    for text in evidence.forms:
        longer[text[:-1]] = max(longer[text[:-1]], evidence.uses[text])
    accepted = [
        text
        for text, form in evidence.forms.items()
        if form.kind is Kind.FULL and evidence.is_name(text) and not _is_miscut(text, evidence, longer)
    ]
    given = set(_by_given_name(accepted))
    return [text for text in accepted if text not in given]


def _is_miscut(text: str, evidence: Evidence, longer: Mapping[str, int]) -> bool:
    """陈立说 beside a frequent 陈立, 沈怀 beside a frequent 沈怀安: the model cut one character wrong."""
    used = evidence.uses[text]
    shorter = evidence.uses[text[:-1]] if len(text) > 2 else 0
    return shorter > used or longer.get(text, 0) > used


def _by_given_name(names: Iterable[str]) -> dict[str, list[str]]:
    """Full names by what follows their surname, where that is long enough to stand alone (明远)."""
    found: dict[str, list[str]] = defaultdict(list)
    for name in names:
        form = classify(name)
        if form is not None and form.kind is Kind.FULL and form.surname is not None:
            given = name.removeprefix(form.surname)
            if len(given) > 1:
                found[given].append(name)
    return found


def _join_bare(found: Roster, evidence: Evidence, trusted: set[str]) -> None:
    """明远 joins the only 陆明远; a bare name of nobody (露西) stands for itself when it is used as one."""
    owners = _by_given_name(found.names())
    for text, form in evidence.forms.items():
        if text in found.canonical:
            continue
        if len(owners.get(text, ())) == 1:
            found.add(text, owners[text][0])
        elif form.kind is Kind.BARE and (text in trusted or _stands_alone(text, evidence)):
            found.add(text, text)


def _stands_alone(text: str, evidence: Evidence) -> bool:
    return evidence.uses[text] > 1 and text in evidence.acting and evidence.is_name(text)


def _join_vouched(found: Roster, evidence: Evidence) -> None:
    """The text itself says it: 队长陈立, 林若棠医生."""
    for name, title_names in evidence.vouched.items():
        for title_name in title_names:
            if name in found.canonical:
                found.add(title_name, found.canonical[name])


def _join_by_surname(found: Roster, evidence: Evidence, trusted: set[str]) -> None:
    """陈队长 or 老陈 joins the only 陈, unless the narrator puts both into one sentence; else it stands alone."""
    owners: dict[str, list[str]] = defaultdict(list)
    for name in found.names():
        form = classify(name)
        if form is not None and form.kind is Kind.FULL and form.surname is not None:
            owners[form.surname].append(name)
    for text, form in evidence.forms.items():
        if form.kind not in (Kind.TITLED, Kind.NICKNAME) or text in found.canonical:
            continue
        if text not in trusted and not _is_address(form, evidence):
            continue
        candidates = owners.get(form.surname or "", [])
        if len(candidates) == 1 and not _are_two_people(text, candidates[0], evidence):
            found.add(text, candidates[0])
        else:
            found.add(text, text)


def _is_address(form: Form, evidence: Evidence) -> bool:
    if form.kind is Kind.TITLED:
        return evidence.uses[form.text] > evidence.other_uses[form.text]
    return evidence.is_name(form.text) and evidence.uses[form.text[:-1]] <= evidence.uses[form.text]


def _are_two_people(text: str, name: str, evidence: Evidence) -> bool:
    return not evidence.narrated_in[text].isdisjoint(evidence.narrated_in[name])


def _last_word(sentence: Sentence, at: int, end: int) -> int:
    while sentence.tokens[at].end < end and at + 1 < len(sentence.tokens):
        at += 1
    return at
