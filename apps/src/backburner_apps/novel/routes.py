"""Everything under ``/api/novels``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Body, HTTPException, Path, Request, Response
from sqlalchemy.orm import Session

from backburner import Backburner, JobNotFound, ProblemRoute, Status

from . import wire
from .chapters import Request as ChapterRequest
from .model import describe_model
from .novels import find_chapter, find_novel, list_chapters, list_drafts, list_novels, list_parts, read_state
from .tables import Chapter, Novel

if TYPE_CHECKING:
    from .studio import Studio

Id = Annotated[int, Path(ge=1, le=2**31 - 1)]
UNDER_WAY = (Status.PENDING, Status.RUNNING)


def make_router(studio: Studio) -> APIRouter:
    router = APIRouter(prefix="/api/novels", route_class=ProblemRoute, tags=["novels"])
    bb, library = studio.bb, studio.library

    async def _owner(request: Request) -> str:
        return (await bb.identify(request)).owner

    @router.get("/model")
    def read_model() -> wire.ModelOut:
        return describe_model(bb)

    @router.get("")
    def read_novels(request: Request) -> list[wire.NovelOut]:
        """The caller's novels and the samples."""
        with library.reading() as session:
            return [_novel(novel, count) for novel, count in list_novels(session, bb.owner_of(request))]

    @router.post("", status_code=201)
    def add_novel(request: Request, response: Response, new: wire.NewNovel) -> wire.NovelOut:
        owner = bb.owner_of(request)
        with library.writing() as session:
            novel = Novel(owner=owner, **new.model_dump())
            session.add(novel)
        response.headers["Location"] = f"{_base(request)}/api/novels/{novel.id}"
        return _novel(novel, 0)

    @router.get("/{novel_id}")
    async def read_novel(request: Request, novel_id: Id) -> wire.NovelWithChapters:
        novel, chapters, drafts = await asyncio.to_thread(_read_novel, await _owner(request), novel_id)
        analyses = [chapter.analysis_job_id for chapter, _ in chapters if chapter.analysis_job_id is not None]
        statuses = await _statuses(bb, [*analyses, *drafts])
        listed = [_chapter_in_list(chapter, count, statuses) for chapter, count in chapters]
        running = [job for job in drafts if statuses.get(job) in UNDER_WAY]
        return wire.NovelWithChapters(**{**_novel(novel, 0).model_dump(), "chapters": listed, "running": running})

    def _read_novel(owner: str, novel_id: int) -> tuple[Novel, list[tuple[Chapter, int]], list[str]]:
        with library.reading() as session:
            novel = _found(find_novel(session, novel_id, owner), novel_id)
            return novel, list_chapters(session, novel_id), list(list_drafts(session, novel_id))

    @router.get("/{novel_id}/state")
    def read_novel_state(request: Request, novel_id: Id) -> wire.StateOut:
        """What the analyses have found out so far."""
        with library.reading() as session:
            _found(find_novel(session, novel_id, bb.owner_of(request)), novel_id)
            return wire.StateOut.model_validate(read_state(session, novel_id))

    @router.post("/{novel_id}/chapters", status_code=202)
    def write_chapter(
        request: Request,
        response: Response,
        novel_id: Id,
        wanted: Annotated[wire.NewChapter | None, Body()] = None,
    ) -> wire.Accepted:
        """Have the next chapter written. It waits for nothing: what has landed of the analyses is used."""
        owner, wanted = bb.owner_of(request), wanted or wire.NewChapter()
        asked = ChapterRequest(wanted.mode, wanted.instructions, wanted.title or "")
        with library.writing() as session:
            novel = _found(find_novel(session, novel_id, owner), novel_id)
            job = studio.chapters.submit(session, owner, novel, asked)
        return _accepted(request, response, novel_id, job, Status.PENDING)

    @router.get("/{novel_id}/chapters/{number}")
    def read_chapter(request: Request, novel_id: Id, number: Id) -> wire.ChapterOut:
        with library.reading() as session:
            return wire.ChapterOut.model_validate(_chapter(session, bb.owner_of(request), novel_id, number))

    @router.post("/{novel_id}/chapters/{number}/analyse", status_code=202)
    async def analyse_chapter(request: Request, response: Response, novel_id: Id, number: Id) -> wire.Accepted:
        """Have a chapter analysed; while one analysis is under way, that is the answer."""
        owner = await _owner(request)
        under_way = await asyncio.to_thread(_analysis_of, owner, novel_id, number)
        status = (await _statuses(bb, [under_way])).get(under_way) if under_way is not None else None
        if under_way is not None and status in UNDER_WAY:
            return _accepted(request, response, novel_id, under_way, status)
        job = await asyncio.to_thread(_analyse, owner, novel_id, number)
        return _accepted(request, response, novel_id, job, Status.PENDING)

    def _analysis_of(owner: str, novel_id: int, number: int) -> str | None:
        with library.reading() as session:
            return _chapter(session, owner, novel_id, number).analysis_job_id

    def _analyse(owner: str, novel_id: int, number: int) -> str:
        with library.writing() as session:
            chapter = _chapter(session, owner, novel_id, number)
            novel = session.get_one(Novel, novel_id)
            chapter.analysis_job_id = studio.chapters.submit_analysis(session, owner, novel, chapter)
            return chapter.analysis_job_id

    @router.get("/{novel_id}/chapters/{number}/analysis")
    def read_analysis(request: Request, novel_id: Id, number: Id) -> wire.AnalysisOut:
        with library.reading() as session:
            chapter = _chapter(session, bb.owner_of(request), novel_id, number)
            parts = {
                each.part: wire.Part(
                    items=each.result, method=each.method, model=each.model, finished_at=each.finished_at
                )
                for each in list_parts(session, chapter.id, chapter.analysis_job_id)
            }
            return wire.AnalysisOut(chapter_id=chapter.id, job_id=chapter.analysis_job_id, parts=wire.Parts(**parts))

    return router


def _found(novel: Novel | None, novel_id: int) -> Novel:
    if novel is None:
        raise HTTPException(404, f"There is no novel {novel_id}.")
    return novel


def _chapter(session: Session, owner: str, novel_id: int, number: int) -> Chapter:
    novel = _found(find_novel(session, novel_id, owner), novel_id)
    chapter = find_chapter(session, novel_id, number)
    if chapter is None:
        raise HTTPException(404, f'"{novel.title}" has no chapter {number}.')
    return chapter


async def _statuses(bb: Backburner, jobs: list[str]) -> dict[str, Status]:
    """Of those that are still known: finished jobs may have been erased."""

    async def look(job: str) -> tuple[str, Status] | None:
        try:
            return job, (await bb.handle(job).refresh()).status
        except JobNotFound:
            return None

    return dict(filter(None, await asyncio.gather(*map(look, jobs))))


def _novel(novel: Novel, chapters: int) -> wire.NovelOut:
    return wire.NovelOut(
        id=novel.id,
        title=novel.title,
        author=novel.author,
        language=novel.language,
        premise=novel.premise,
        chapters=chapters,
        created_at=novel.created_at,
    )


def _chapter_in_list(chapter: Chapter, characters: int, statuses: dict[str, Status]) -> wire.ChapterInList:
    job = chapter.analysis_job_id
    return wire.ChapterInList(
        id=chapter.id,
        number=chapter.number,
        title=chapter.title,
        summary=chapter.summary,
        characters=characters,
        mode=chapter.mode,
        method=chapter.method,
        model=chapter.model,
        created_at=chapter.created_at,
        job_id=chapter.job_id,
        analysis=wire.AnalysisStatus(job_id=job, status=statuses[job]) if job in statuses else None,
    )


def _accepted(request: Request, response: Response, novel_id: int, job: str, status: Status) -> wire.Accepted:
    here = f"{_base(request)}/backburner/jobs/{job}"
    response.headers["Location"] = here
    urls = wire.Urls(self=here, events=f"{here}/events", cancel=f"{here}/cancel", retry=f"{here}/retry")
    return wire.Accepted(job=wire.JobOut(id=job, status=status, urls=urls), novel_id=novel_id)


def _base(request: Request) -> str:
    root: str = request.scope.get("root_path", "")
    return root.rstrip("/")
