"""Which of the two languages a text is written in."""

import re
from typing import Literal

Language = Literal["zh-CN", "en"]

_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")
_WORD = re.compile(r"[A-Za-z]+(?:['’][A-Za-z]+)?")


def detect_language(text: str) -> Language:
    """The language most of ``text`` is in; a text without any letters counts as English.

    A Chinese character carries about two thirds of a word, so three characters outweigh two English words.
    """
    characters = sum(1 for _ in _HAN.finditer(text))
    words = sum(1 for _ in _WORD.finditer(text))
    return "zh-CN" if characters * 2 > words * 3 else "en"


def choose_language(text: str, language: str | None) -> Language:
    """The caller's choice (``zh``, ``zh-CN``, ``en``, ``en-GB`` …), or what the text itself says.

    Raises ValueError for a language extraction has no rules for.
    """
    if language is None:
        return detect_language(text)
    match language.replace("_", "-").lower().split("-")[0]:
        case "zh":
            return "zh-CN"
        case "en":
            return "en"
    raise ValueError(f"no extraction rules for language {language!r}; pass 'zh-CN', 'en' or None")
