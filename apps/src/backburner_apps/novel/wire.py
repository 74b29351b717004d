"""What goes over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, StringConstraints

Line = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]
Title = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Prose = Annotated[str, StringConstraints(strip_whitespace=True, max_length=10_000)]


class Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewNovel(Asked):
    title: Title
    author: Line = ""
    language: Literal["zh-CN", "en"]
    premise: Prose = ""


class NewChapter(Asked):
    """``basic`` writes the chapter and a summary, ``enhanced`` has it analysed afterwards too."""

    mode: Literal["basic", "enhanced"] = "enhanced"
    instructions: Prose = ""
    title: Line | None = None


class Told(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class NovelOut(Told):
    id: int
    title: str
    author: str
    language: str
    premise: str
    chapters: int
    created_at: datetime


class AnalysisStatus(Told):
    job_id: str
    status: str


class ChapterInList(Told):
    """``characters`` counts code points; ``analysis`` is the last one that was asked for."""

    id: int
    number: int
    title: str
    summary: str
    characters: int
    mode: str | None
    method: str | None
    model: str | None
    created_at: datetime
    job_id: str | None
    analysis: AnalysisStatus | None


class NovelWithChapters(Told):
    """``running``: the jobs that are writing a chapter of it."""

    id: int
    title: str
    author: str
    language: str
    premise: str
    chapters: list[ChapterInList]
    running: list[str]
    created_at: datetime


class ChapterOut(Told):
    id: int
    novel_id: int
    number: int
    title: str
    text: str
    summary: str
    summary_method: str | None
    summary_model: str | None
    mode: str | None
    method: str | None
    model: str | None
    generation_config: dict[str, Any] | None
    created_at: datetime
    job_id: str | None
    analysis_job_id: str | None


class Part(Told):
    items: list[dict[str, Any]]
    method: str
    model: str | None
    finished_at: datetime


class Parts(Told):
    """A part that has not landed yet is null."""

    character_states: Part | None = None
    new_characters: Part | None = None
    world: Part | None = None
    foreshadowing: Part | None = None


class AnalysisOut(Told):
    chapter_id: int
    job_id: str | None
    parts: Parts


class CharacterOut(Told):
    name: str
    aliases: list[str]
    state: str
    first_chapter: int
    last_chapter: int


class WorldEntryOut(Told):
    kind: str
    name: str
    detail: str
    first_chapter: int


class ForeshadowingOut(Told):
    object: str
    status: str
    first_chapter: int
    last_chapter: int
    evidence: str


class StateOut(Told):
    characters: list[CharacterOut]
    world: list[WorldEntryOut]
    foreshadowing: list[ForeshadowingOut]


class Urls(Told):
    self: str
    events: str
    cancel: str
    retry: str


class JobOut(Told):
    id: str
    status: str
    urls: Urls


class Accepted(Told):
    job: JobOut
    novel_id: int


class ModelOut(BaseModel):
    """What writes here; ``notice`` in two languages where there is something to know about it."""

    model: str | None
    method: str
    notice: dict[str, str] | None
