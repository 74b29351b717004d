"""A chapter in short: by the model that wrote it, or by extraction where that one cannot."""

from __future__ import annotations

from dataclasses import dataclass

from backburner import Run

from .model import follows_instructions
from .prompts import fill
from .story import summarise

LONGEST_TITLE = 60


@dataclass(frozen=True, slots=True)
class Digest:
    """``title`` is empty where there is none."""

    title: str
    summary: str
    method: str
    model: str | None


async def make_digest(run: Run, text: str, language: str, novel_title: str) -> Digest:
    """As a step of the run."""
    if not follows_instructions(run):
        return Digest("", await run.step("summary", summarise, text, language), "extraction", None)
    answer = await run.llm.text(
        fill(language, "summary", title=novel_title, text=text),
        system=fill(language, "editor"),
        name="summary",
        channel=None,
    )
    return Digest(*split_answer(answer), run.llm.method, run.llm.model)


def split_answer(answer: str) -> tuple[str, str]:
    """A title and a summary; no title where the first line is not one."""
    first, _, rest = answer.strip().partition("\n")
    title = first.strip().strip('#*"“”《》「」 ')
    if not rest.strip() or not title or len(title) > LONGEST_TITLE:
        return "", answer.strip()
    return title, rest.strip()
