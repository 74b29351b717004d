"""Cutting a text into sentences, and telling speech from narration."""

import re
from bisect import bisect_right
from collections.abc import Iterator

from .language import Language

Span = tuple[int, int]

_CLOSING = "”’」』）)\"'"
_CHINESE_END = re.compile(rf"(?:[。！？!?]+|…+|\.{{3,}})[{_CLOSING}]*")
_ENGLISH_END = re.compile(rf"[.!?…]+[{_CLOSING}]*(?=\s)")
_ABBREVIATION = re.compile(r"(?:\b(?:Mr|Mrs|Ms|Dr|St|Prof|Rev|Capt|Col|Gen|Lt|Sgt|Jr|Sr|Hon|vs|etc)|\b[A-Z])\.$")
_PARAGRAPH_BREAK = re.compile(r"\n[ \t\u3000\r]*\n|\n")
_BLANK_LINE = re.compile(r"\n[ \t\u3000\r]*\n")
_QUOTES = (("“", "”"), ("「", "」"), ("『", "』"))
_CHINESE_TAG = re.compile(r"[^。！？!?…“”「」：:]{1,12}[说问道喊答叫骂][。，,：:]")
_ENGLISH_TAG = re.compile(
    r"\s+(?:[A-Z][\w’']*\.?\s){1,3}(?:said|asked|replied|answered|whispered|shouted|called|cried|murmured|muttered)\b"
)
_WRAPPED = 50
_LONG = 160


class Spoken:
    """Answers whether an offset lies inside a quotation."""

    def __init__(self, spans: list[Span]) -> None:
        self._spans = spans
        self._starts = [begin for begin, _ in spans]

    def __contains__(self, offset: int) -> bool:
        at = bisect_right(self._starts, offset) - 1
        return at >= 0 and offset < self._spans[at][1]


def paragraphs(text: str, language: Language) -> Iterator[Span]:
    """Spans of the paragraphs; English lines wrapped by hand are one paragraph until a blank line."""
    wrapped = language == "en" and _is_wrapped(text)
    begin = 0
    for gap in (_BLANK_LINE if wrapped else _PARAGRAPH_BREAK).finditer(text):
        yield begin, gap.start()
        begin = gap.end()
    yield begin, len(text)


def sentences(text: str, paragraph: Span, spoken: Spoken, language: Language) -> Iterator[Span]:
    """Spans of the sentences of one paragraph, without the white space around them.

    What somebody says stays whole, with the "she said" behind it, unless the speech is long.
    """
    begin, end = paragraph
    pattern = _CHINESE_END if language == "zh-CN" else _ENGLISH_END
    for stop in pattern.finditer(text, begin, end):
        if language == "en" and not _ends_english_sentence(text, begin, stop, end):
            continue
        if stop.end() - begin < _LONG and (stop.end() in spoken or _is_tagged(text, stop, end, language)):
            continue
        yield from _trimmed(text, begin, stop.end())
        begin = stop.end()
    yield from _trimmed(text, begin, end)


def quotations(text: str, paragraph: Span) -> list[Span]:
    """Spans inside quotation marks; a quotation left open ends with its paragraph."""
    found: list[Span] = []
    closing: str | None = None
    opened = 0
    for position in range(*paragraph):
        character = text[position]
        if closing is not None:
            if character == closing:
                found.append((opened, position))
                closing = None
            continue
        closing = _closing_of(character)
        opened = position + 1
    if closing is not None:
        found.append((opened, paragraph[1]))
    return found


def _is_wrapped(text: str) -> bool:
    if not _BLANK_LINE.search(text):
        return False
    lines = [line for line in text[:20_000].split("\n") if line.strip()]
    continued = sum(1 for line in lines if len(line) > _WRAPPED and line.rstrip()[-1] not in '.!?…"”’:')
    return continued * 4 > len(lines)


def _ends_english_sentence(text: str, begin: int, stop: re.Match[str], end: int) -> bool:
    if text[stop.start()] == "." and _ABBREVIATION.search(text, max(begin, stop.start() - 6), stop.start() + 1):
        return False
    following = text[stop.end() : min(end, stop.end() + 40)].lstrip()
    # "Come in!" he said. — the tag that follows belongs to the same sentence.
    return not (following[:1].islower())


def _is_tagged(text: str, stop: re.Match[str], end: int, language: Language) -> bool:
    """Whether a quotation has just closed and the words behind it tell who spoke."""
    if text[stop.end() - 1] not in _CLOSING:
        return False
    tag = _CHINESE_TAG if language == "zh-CN" else _ENGLISH_TAG
    return tag.match(text, stop.end(), end) is not None


def _trimmed(text: str, begin: int, end: int) -> Iterator[Span]:
    while begin < end and text[begin].isspace():
        begin += 1
    while end > begin and text[end - 1].isspace():
        end -= 1
    if begin < end:
        yield begin, end


def _closing_of(character: str) -> str | None:
    if character == '"':
        return '"'
    return next((closing for opening, closing in _QUOTES if character == opening), None)
