"""What models are asked: the texts in ``prompts/``, filled with what the novel's tables hold."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from string import Template

FOLDER = Path(__file__).parent / "prompts"
NAME = re.compile(r"\$(\w+)")


def fill(language: str, prompt: str, **values: object) -> str:
    """The text ``prompt`` in the novel's language. A paragraph of which nothing is known is left out."""
    said = {name: str(value).strip() for name, value in values.items()}
    paragraphs = [
        Template(paragraph).substitute(said)
        for paragraph in _paragraphs(language, prompt)
        if any(map(said.get, names := NAME.findall(paragraph))) or not names
    ]
    return "\n\n".join(paragraphs)


def listed(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


@lru_cache
def _paragraphs(language: str, prompt: str) -> list[str]:
    return (FOLDER / language / f"{prompt}.txt").read_text(encoding="utf-8").strip().split("\n\n")
