"""Chinese forms of names, and how often the words of a text are used as which of them."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

from .lexicon import words
from .mentions import word
from .names_zh import (
    AMBIGUOUS_SURNAMES,
    COMPOUND_SURNAMES,
    NAME_SUFFIXES,
    NICKNAME_PREFIXES,
    NOT_NAMES,
    ROLES,
    SPEECH_VERBS,
    SURNAMES,
    TITLES,
)
from .reading import Reading, Sentence, Token

_NAME = re.compile(r"[\u3400-\u9fff]+(?:[·•][\u3400-\u9fff]+)*|[A-Za-z]+")
_VERBAL = words("v vd d ad p")
_NAME_PIECES = words("n nr nz nw a LOC ORG xc f s")
_GOING = words("过 到 去 往 至 出 进 回 来到 去往 前往 抵达 离开 位于 途经")
_NAMING_VERBS = words("叫 名叫 叫做 叫作 姓")


class Kind(Enum):
    """How a form names its person: 陆明远, 陈队长, 老沈, or any other way (明远, 露西)."""

    FULL = auto()
    TITLED = auto()
    NICKNAME = auto()
    BARE = auto()


@dataclass(frozen=True, slots=True)
class Form:
    """A form of a name, its surname if it shows one, and the title-name it vouches for (林若棠医生)."""

    text: str
    kind: Kind
    surname: str | None = None
    vouched: str | None = None


@dataclass(slots=True)
class Evidence:
    """What a text says about its forms of names."""

    forms: dict[str, Form] = field(default_factory=dict)
    uses: Counter[str] = field(default_factory=Counter)
    other_uses: Counter[str] = field(default_factory=Counter)
    located: Counter[str] = field(default_factory=Counter)
    tagged: set[str] = field(default_factory=set)
    acting: set[str] = field(default_factory=set)
    vouched: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    narrated_in: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))

    def is_name(self, text: str) -> bool:
        """Whether the uses as a name outweigh the others; one use alone must be tagged, and look it or act."""
        used = self.uses[text]
        if used <= self.other_uses[text] or used <= self.located[text]:
            return False
        form = self.forms[text]
        if used > 1 or text in self.vouched:
            return True
        if form.kind is Kind.NICKNAME:
            # One 阿福 may be a person, one 小声 is none: only 老沈 and 小顾 show a surname.
            return text in self.tagged and (form.surname is not None or text[0] == "阿")
        usual = form.surname is not None and form.surname not in AMBIGUOUS_SURNAMES
        return text in self.tagged and (usual or text in self.acting)


def collect(reading: Reading) -> Evidence:
    """Walk through the text once and count every form of a name in it."""
    evidence = Evidence()
    for sentence in reading.sentences:
        counted = 0
        for at, width in _candidates(sentence):
            _count_other_uses(sentence.tokens[counted:at], evidence)
            _count(sentence, at, width, reading, evidence)
            counted = at + width
        _count_other_uses(sentence.tokens[counted:], evidence)
    return evidence


def classify(text: str) -> Form | None:
    """The kind of name a string has the shape of, or None for a word that names nobody."""
    if text in NOT_NAMES or not _NAME.fullmatch(text):
        return None
    if "·" in text or "•" in text:
        return Form(text, Kind.FULL)
    family = surname(text)
    title = _title(text)
    if title is not None and text == f"{family}{title}":
        return Form(text, Kind.TITLED, family)
    if title is not None and family is not None and len(text) - len(title) - len(family) in (1, 2):
        return _with_title(text, title, family)
    if text[0] in NICKNAME_PREFIXES and len(text) in (2, 3):
        return Form(text, Kind.NICKNAME, text[1] if text[0] in "老小" and text[1] in SURNAMES else None)
    if family is not None and len(text) - len(family) in (1, 2):
        return Form(text, Kind.FULL, family)
    return Form(_without_suffix(text), Kind.BARE) if len(text) > 1 else None


def surname(name: str) -> str | None:
    """The surname a name starts with, compound ones first, or None."""
    if name[:2] in COMPOUND_SURNAMES and len(name) > 2:
        return name[:2]
    return name[:1] if name[:1] in SURNAMES else None


def _candidates(sentence: Sentence) -> Iterator[tuple[int, int]]:
    """(first word, number of words) of everything that may be a name, left to right."""
    at = 0
    while at < len(sentence.tokens):
        width = _titled_width(sentence, at) or _nickname_width(sentence, at) or _speaker_width(sentence, at)
        if not width and (sentence.tokens[at].tag == "PER" or _is_mistagged_title(sentence.tokens[at])):
            width = 1
        if width:
            yield at, width
        at += width or 1


def _titled_width(sentence: Sentence, at: int) -> int:
    """Two for a name and its title in separate words (陈 + 队长), else nothing."""
    token, title = sentence.tokens[at], word(sentence, at + 1)
    if title is None or title.text not in TITLES:
        return 0
    if token.tag == "PER":
        form = classify(token.text)
        return 2 if form is not None and (form.kind is Kind.FULL or token.text in SURNAMES) else 0
    is_surname = token.text in COMPOUND_SURNAMES or (
        token.text in SURNAMES and token.text not in AMBIGUOUS_SURNAMES and title.text in ROLES
    )
    return 2 if is_surname and token.tag in _NAME_PIECES else 0


def _is_mistagged_title(token: Token) -> bool:
    """楚将军 tagged as a place: surname and rank say more than the model does."""
    if token.tag not in ("LOC", "ORG", "nz", "n") or token.text[0] in AMBIGUOUS_SURNAMES:
        return False
    form = classify(token.text)
    return form is not None and form.kind is Kind.TITLED and token.text[len(form.surname or "") :] in ROLES


def _nickname_width(sentence: Sentence, at: int) -> int:
    """Two for a nickname cut after its first character (老 + 吴头), else nothing."""
    token, rest = sentence.tokens[at], word(sentence, at + 1)
    if token.text not in ("老", "小") or token.tag == "PER" or rest is None or rest.text in NOT_NAMES:
        return 0
    is_family = rest.text in SURNAMES - AMBIGUOUS_SURNAMES
    is_elder = len(rest.text) == 2 and rest.text[0] in SURNAMES and rest.text[1] == "头"
    return 2 if rest.tag in _NAME_PIECES and (is_family or is_elder) else 0


def _speaker_width(sentence: Sentence, at: int) -> int:
    """Width of a name the model missed, told by what surrounds it: a clause begins, somebody says."""
    before = word(sentence, at - 1)
    if before is not None and before.tag != "w":
        return 0
    text = ""
    for width in (1, 2, 3):
        token = word(sentence, at + width - 1)
        if token is None or token.tag not in _NAME_PIECES or len(text + token.text) > 4:
            return 0
        text += token.text
        following = word(sentence, at + width)
        if following is not None and following.text in SPEECH_VERBS:
            plain = width == 1 and token.tag not in {"nz", "nr", "LOC", "ORG"}
            form = classify(text)
            is_full = form is not None and form.kind is Kind.FULL and text[0] not in AMBIGUOUS_SURNAMES
            return width if is_full and not plain else 0
    return 0


def _count(sentence: Sentence, at: int, width: int, reading: Reading, evidence: Evidence) -> None:
    form = classify("".join(token.text for token in sentence.tokens[at : at + width]))
    if form is None:
        return
    evidence.forms.setdefault(form.text, form)
    evidence.uses[form.text] += 1
    before, after = word(sentence, at - 1), word(sentence, at + width)
    if _is_reached(sentence, at):
        evidence.located[form.text] += 1
    if width == 1 and sentence.tokens[at].tag == "PER":
        evidence.tagged.add(form.text)
    if form.vouched is not None:
        evidence.vouched[form.text].add(form.vouched)
    if form.kind is Kind.FULL and before is not None and before.text in ROLES:
        evidence.vouched[form.text].add(f"{form.surname}{before.text}")
    if (after is not None and after.tag in _VERBAL) or (before is not None and before.text in _NAMING_VERBS):
        evidence.acting.add(form.text)
    if sentence.tokens[at].start not in reading.spoken:
        evidence.narrated_in[form.text].add(sentence.index)


def _is_reached(sentence: Sentence, at: int) -> bool:
    """Whether somebody goes to, through or out of what stands at a word: 到白石渡, 过了白石渡."""
    before, verb = word(sentence, at - 1), word(sentence, at - 2)
    if before is not None and before.text == "了":
        before = verb
    return before is not None and before.text in _GOING


def _count_other_uses(tokens: tuple[Token, ...], evidence: Evidence) -> None:
    evidence.other_uses.update(token.text for token in tokens if len(token.text) > 1)


def _title(text: str) -> str | None:
    return next((text[at:] for at in range(1, len(text)) if text[at:] in TITLES), None)


def _with_title(text: str, title: str, family: str) -> Form:
    # 王小妹 is a name; only a longer form or a longer title is surely "name and title".
    if len(title) == 1 and len(text) < 4:
        return Form(text, Kind.FULL, family)
    return Form(text.removesuffix(title), Kind.FULL, family, f"{family}{title}")


def _without_suffix(text: str) -> str:
    for suffix in NAME_SUFFIXES:
        if text.endswith(suffix) and len(text) - len(suffix) >= 2:
            return text.removesuffix(suffix)
    return text
