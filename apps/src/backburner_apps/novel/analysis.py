"""The enhanced analysis of a chapter: four parts, each in the novel's tables as soon as it is done."""

from __future__ import annotations

import asyncio
from typing import Any

from backburner import Backburner, Run, Task

from . import words
from .asking import SCHEMAS, make_prompts, read_answer
from .digest import make_digest
from .earlier import look_back
from .extracting import Items, extract
from .landing import land, land_summary
from .library import Library
from .model import follows_instructions
from .prompts import fill
from .tables import Chapter

PARTS = ("character_states", "new_characters", "world", "foreshadowing")


class Analyses:
    """Registers the task that analyses chapters."""

    def __init__(self, bb: Backburner, library: Library) -> None:
        self._library = library
        self.task: Task[..., dict[str, Any]] = bb.task(
            name="novel.analyse", timeout=600, retries=3, priority=5, concurrency=3, words=words.analyse_notice
        )(self.analyse)

    async def analyse(
        self, run: Run, novel_id: int, chapter_id: int, chapter_number: int, language: str, novel_title: str
    ) -> dict[str, Any]:
        """Answers what each part found: its method, and how many entries."""
        model = run.llm.model if follows_instructions(run) else None
        if text := await run.step("without summary", self._without_summary, chapter_id):
            await run.progress(0, words.progress(language, "summarising"))
            digest = await make_digest(run, text, language, novel_title)
            await run.transaction("save summary", land_summary, chapter_id, digest)
        # Kept as a step: tables change meanwhile, and a retry must not ask another question.
        prompts = await run.step("prompts", self._prompts, chapter_id) if model is not None else {}
        outcome = {}
        for done, part in enumerate(PARTS):
            await run.progress(100 * done / len(PARTS), words.progress(language, part))
            if model is not None:
                answer = await run.llm.json(prompts[part], SCHEMAS[part], system=fill(language, "reader"), name=part)
                method, items = "model", await asyncio.to_thread(self._read_answer, chapter_id, part, answer)
            else:
                method, items = await run.step(part, self._extract, chapter_id, part)
            entries = await run.transaction(f"save {part}", land, chapter_id, part, run.job_id, items, method, model)
            outcome[part] = {"method": method, "model": model, "entries": entries}
        await run.progress(100, words.progress(language, "analysed"))
        return {"novel_id": novel_id, "chapter_id": chapter_id, "chapter_number": chapter_number, "parts": outcome}

    def _without_summary(self, chapter_id: int) -> str:
        """The text of a chapter that came without a summary, as the samples do; else nothing."""
        with self._library.reading() as session:
            chapter = session.get(Chapter, chapter_id)
            return chapter.text if chapter is not None and not chapter.summary else ""

    def _prompts(self, chapter_id: int) -> dict[str, str]:
        with self._library.reading() as session:
            return make_prompts(session, look_back(session, chapter_id))

    def _read_answer(self, chapter_id: int, part: str, answer: Any) -> Items:
        with self._library.reading() as session:
            return read_answer(part, answer, look_back(session, chapter_id))

    def _extract(self, chapter_id: int, part: str) -> list[Any]:
        with self._library.reading() as session:
            return list(extract(part, look_back(session, chapter_id)))
