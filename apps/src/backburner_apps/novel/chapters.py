"""Writing a chapter: the text streams, then its summary is made, then both are committed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from backburner import Backburner, Fail, Run, Task

from . import words
from .digest import make_digest
from .library import Library
from .model import follows_instructions
from .novels import find_chapter, next_number, read_state
from .prompts import fill
from .story import (
    COMMA,
    MOST_NAMES,
    open_threads,
    tell_characters,
    tell_summaries,
    tell_threads,
    tell_world,
)
from .tables import Chapter, Draft, Novel

LOCAL_TOKENS = 400
"""Ten seconds or so of the local model's time: its text makes no sense, and more of it would not make more."""
ENDING_FOR_LOCAL = 600
ENDING = 1500
TIMES_ASKED = 4
LOCAL_LEAST = {"en": 900, "zh-CN": 300}
"""A small model may end before it has begun; with fewer characters than this it is asked to go on."""
USUAL = {"en": 6000, "zh-CN": 2000}
USUAL_LOCAL = {"en": 1500, "zh-CN": 450}
"""Characters that a chapter has in the end, more or less: only the bar is drawn by them."""
DEFAULT_TITLE = {"en": "Chapter {number}", "zh-CN": "第 {number} 章"}


@dataclass(frozen=True, slots=True)
class Request:
    """What the writer asked for, as it is kept with the chapter."""

    mode: str
    instructions: str
    title: str


@dataclass(frozen=True, slots=True)
class Written:
    """A chapter that is ready to be saved. ``config`` is how it came about."""

    title: str
    text: str
    summary: str
    method: str
    model: str
    summary_method: str
    summary_model: str | None
    mode: str
    config: dict[str, Any]


@contextlib.asynccontextmanager
async def growing(run: Run, language: str, local: bool) -> AsyncIterator[None]:
    """While the text grows, the bar goes from 10 towards 80 by the length a chapter usually has."""
    usual = USUAL_LOCAL[language] if local else USUAL[language]

    async def tell() -> None:
        told = 10
        while True:
            await asyncio.sleep(1)
            percent = 10 + int(70 * min(run.written() / usual, 1))
            if percent > told:
                told = percent
                await run.progress(percent, words.progress(language, "writing"))

    telling = asyncio.create_task(tell())
    try:
        yield
    finally:
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)


class Chapters:
    """Registers the task that writes chapters."""

    def __init__(self, bb: Backburner, library: Library, analyse: Task[..., Any]) -> None:
        self._bb = bb
        self._library = library
        self._analyse = analyse
        self.task: Task[..., dict[str, Any]] = bb.task(
            name="novel.generate", timeout=600, retries=3, priority=5, concurrency=3, words=words.generate_notice
        )(self.generate)

    async def generate(
        self, run: Run, novel_id: int, mode: str, instructions: str, title: str, language: str, novel_title: str
    ) -> dict[str, Any]:
        """Write the next chapter; answers where it is to be found."""
        llm = run.llm
        local = not follows_instructions(run)
        request = Request(mode, instructions, title)
        await run.progress(2, words.progress(language, "reading"))
        prompt = await run.step("prompt", self._prompt, novel_id, request, local)

        await run.progress(10, words.progress(language, "writing"))
        async with growing(run, language, local):
            text = await self._write(run, prompt, language, local)

        await run.progress(80, words.progress(language, "summarising"))
        digest = await make_digest(run, text, language, novel_title)

        await run.progress(95, words.progress(language, "saving"))
        written = Written(
            title=title or digest.title,
            text=text,
            summary=digest.summary,
            method=llm.method,
            model=llm.model,
            summary_method=digest.method,
            summary_model=digest.model,
            mode=mode,
            config={"mode": mode, "instructions": instructions, "title": title, "model": llm.model},
        )
        saved = await run.transaction("save", self._save, run.job_id, run.owner, novel_id, written)
        await run.progress(100, words.progress(language, "written"))
        return saved

    def _prompt(self, novel_id: int, request: Request, local: bool) -> str:
        """What the model is asked. A step: analyses land meanwhile, and a retry must not ask another question."""
        with self._library.reading() as session:
            novel = _existing(session.get(Novel, novel_id))
            number = next_number(session, novel.id)
            last = find_chapter(session, novel.id, number - 1)
            ending = last.text if last is not None else ""
            state = read_state(session, novel.id)
            language = novel.language
            known = {"title": novel.title, "premise": novel.premise, "number": number}
            if local:
                names = COMMA[language].join(each.name for each in state.characters[:MOST_NAMES])
                return fill(language, "continue", **known, names=names, ending=ending[-ENDING_FOR_LOCAL:])
            return fill(
                language,
                "chapter",
                **known,
                summaries=tell_summaries(session, novel, number),
                characters=tell_characters(state.characters, language),
                world=tell_world(state.world, language),
                threads=tell_threads(open_threads(state), language),
                ending=ending[-ENDING:],
                chapter_title=request.title,
                instructions=request.instructions,
            )

    async def _write(self, run: Run, prompt: str, language: str, local: bool) -> str:
        """The chapter is exactly what streamed: whoever watched has seen it."""
        said = ""
        for _ in range(TIMES_ASKED):
            said += await run.llm.text(
                # A base model goes on from where it stopped; the other kind only ever answers the question.
                prompt + said if local else prompt,
                system=None if local else fill(language, "author"),
                name="chapter",
                max_tokens=LOCAL_TOKENS if local else None,
            )
            if said.strip() and (not local or len(said) >= LOCAL_LEAST[language]):
                break
        if not said.strip():
            raise Fail(f"{run.llm.model} was asked {TIMES_ASKED} times and wrote nothing: set another model")
        return said

    def _save(
        self, session: Session, job_id: str, owner: str | None, novel_id: int, written: Written
    ) -> dict[str, Any]:
        """The chapter and, in enhanced mode, the job that analyses it: both or neither.

        Called again where a model has changed between two attempts: the chapter that stands is kept.
        """
        before = session.scalar(select(Chapter).where(Chapter.job_id == job_id))
        if before is not None:
            return _saved(before)
        novel = _existing(session.get(Novel, novel_id))
        number = next_number(session, novel.id)
        chapter = Chapter(
            novel_id=novel.id,
            number=number,
            title=written.title or DEFAULT_TITLE[novel.language].format(number=number),
            text=written.text,
            summary=written.summary,
            mode=written.mode,
            generation_config=written.config,
            method=written.method,
            model=written.model,
            summary_method=written.summary_method,
            summary_model=written.summary_model,
            job_id=job_id,
        )
        session.add(chapter)
        session.execute(delete(Draft).where(Draft.job_id == job_id))
        session.flush()
        if written.mode == "enhanced":
            chapter.analysis_job_id = self.submit_analysis(session, owner, novel, chapter)
        return _saved(chapter)

    def submit_analysis(self, session: Session, owner: str | None, novel: Novel, chapter: Chapter) -> str:
        """In the caller's transaction; answers the job."""
        job = self._bb.submit_in(
            session,
            self._analyse.using(owner=owner),
            novel_id=novel.id,
            chapter_id=chapter.id,
            chapter_number=chapter.number,
            language=novel.language,
            novel_title=novel.title,
        )
        return job.id

    def submit(self, session: Session, owner: str, novel: Novel, request: Request) -> str:
        """Have a chapter written, in the caller's transaction; answers the job."""
        job = self._bb.submit_in(
            session,
            self.task.using(owner=owner),
            novel_id=novel.id,
            mode=request.mode,
            instructions=request.instructions,
            title=request.title,
            language=novel.language,
            novel_title=novel.title,
        )
        session.add(Draft(novel_id=novel.id, job_id=job.id))
        return job.id


def _saved(chapter: Chapter) -> dict[str, Any]:
    return {
        "novel_id": chapter.novel_id,
        "chapter_id": chapter.id,
        "number": chapter.number,
        "title": chapter.title,
        "characters": len(chapter.text),
        "method": chapter.method,
        "model": chapter.model,
        "summary_method": chapter.summary_method,
        "analysis_job_id": chapter.analysis_job_id,
    }


def _existing(novel: Novel | None) -> Novel:
    if novel is None:
        raise Fail("the novel is not there any more", status=404)
    return novel
