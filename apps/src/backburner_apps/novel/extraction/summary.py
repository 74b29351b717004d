"""A summary made of the text's own sentences."""

import re
from collections import Counter
from itertools import pairwise
from math import sqrt

from .language import Language
from .lexicon import words
from .people import people
from .reading import Reading, Sentence

_CONTENT_TAGS = words("n nr nz nw v vn a an PER LOC ORG s")
_ENGLISH_STOPWORDS = words(
    """
    the and that this with from they them their there then than have had has was were been are not but
    for you your his her hers she him its into onto over under what when where which who whom would
    could should will said asked about after before again all any because did does down just like more
    most much now only other our out some such through too until up very while
    """
)
_UNBALANCED = (("“", "”"), ("「", "」"))
_SPEECH_MARKS = ("“", "「", '"')
_SHORTEST = {"zh-CN": 10, "en": 40}
_LETTERS = re.compile(r"[^\W_]")


def summarize_reading(reading: Reading, sentences: int) -> str:
    """The most telling sentence of each of ``sentences`` equal parts of the text, in order."""
    candidates = [sentence for sentence in reading.sentences if _LETTERS.search(sentence.text)]
    count = min(sentences, len(candidates))
    if count <= 0:
        return ""
    weights = _weights(reading)
    bounds = [round(part * len(candidates) / count) for part in range(count + 1)]
    chosen = [
        max(candidates[begin:end], key=lambda sentence: _score(sentence, weights, reading.language))
        for begin, end in pairwise(bounds)
    ]
    return ("" if reading.language == "zh-CN" else " ").join(sentence.text for sentence in chosen)


def _weights(reading: Reading) -> dict[str, float]:
    """How telling each word is: its frequency in the text, names counting double."""
    counts = Counter(
        form for sentence in reading.sentences for token in sentence.tokens if (form := _content(token.text, token.tag))
    )
    names = {part.lower() for person in people(reading, ()) for part in (*person.name.split(" "), *person.surfaces)}
    return {form: sqrt(used) * (2 if form in names else 1) for form, used in counts.items()}


def _content(text: str, tag: str) -> str:
    if tag:
        return text if tag in _CONTENT_TAGS and len(text) > 1 else ""
    lowered = text.lower()
    return lowered if len(text) > 2 and text[0].isalpha() and lowered not in _ENGLISH_STOPWORDS else ""


def _score(sentence: Sentence, weights: dict[str, float], language: Language) -> float:
    forms = {_content(token.text, token.tag) for token in sentence.tokens}
    total = sum(weights.get(form, 0.0) for form in forms)
    score = total / sqrt(8 + len(sentence.tokens))
    fragment = any(sentence.text.count(left) != sentence.text.count(right) for left, right in _UNBALANCED)
    if fragment or sentence.text.count('"') % 2:
        score *= 0.5
    if any(mark in sentence.text for mark in _SPEECH_MARKS):
        score *= 0.6
    return score * (0.5 if len(sentence.text) < _SHORTEST[language] else 1.0)
