"""Questions to the novel's tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session, defer

from .tables import Analysis, Chapter, Character, Draft, Foreshadowing, Novel, WorldEntry

MOST_DRAFTS = 20
"""Drafts whose job failed stay, so that a retry is seen; only the latest are looked at."""


@dataclass(frozen=True, slots=True)
class State:
    """What the analyses have found out about a novel so far; the latest first."""

    characters: Sequence[Character]
    world: Sequence[WorldEntry]
    foreshadowing: Sequence[Foreshadowing]


def list_novels(session: Session, owner: str) -> list[tuple[Novel, int]]:
    """The owner's novels and the samples, oldest first, each with how many chapters it has."""
    chapters = select(func.count()).where(Chapter.novel_id == Novel.id).scalar_subquery()
    visible = or_(Novel.owner == owner, Novel.owner.is_(None))
    listing = select(Novel, chapters).where(visible).order_by(Novel.id)
    return [(novel, count) for novel, count in session.execute(listing)]


def find_novel(session: Session, novel_id: int, owner: str) -> Novel | None:
    """None as well when it is somebody else's."""
    novel = session.get(Novel, novel_id)
    return novel if novel is not None and novel.owner in (owner, None) else None


def list_chapters(session: Session, novel_id: int) -> list[tuple[Chapter, int]]:
    """In order and without their texts, each with the number of its characters."""
    listing = select(Chapter, func.char_length(Chapter.text)).options(defer(Chapter.text, raiseload=True))
    listing = listing.where(Chapter.novel_id == novel_id).order_by(Chapter.number)
    return [(chapter, count) for chapter, count in session.execute(listing)]


def find_chapter(session: Session, novel_id: int, number: int) -> Chapter | None:
    return session.scalar(select(Chapter).where(Chapter.novel_id == novel_id, Chapter.number == number))


def list_drafts(session: Session, novel_id: int) -> Sequence[str]:
    """The jobs that write, or tried to write, a chapter that is not there yet; oldest first."""
    latest = select(Draft.job_id).where(Draft.novel_id == novel_id).order_by(Draft.id.desc()).limit(MOST_DRAFTS)
    return session.scalars(latest).all()[::-1]


def list_parts(session: Session, chapter_id: int, job_id: str | None) -> Sequence[Analysis]:
    """What has landed of the analysis that this job makes."""
    return session.scalars(select(Analysis).where(Analysis.chapter_id == chapter_id, Analysis.job_id == job_id)).all()


def read_state(session: Session, novel_id: int) -> State:
    characters = select(Character).where(Character.novel_id == novel_id)
    world = select(WorldEntry).where(WorldEntry.novel_id == novel_id)
    threads = select(Foreshadowing).where(Foreshadowing.novel_id == novel_id)
    return State(
        session.scalars(characters.order_by(Character.last_chapter.desc(), Character.id)).all(),
        session.scalars(world.order_by(WorldEntry.kind, WorldEntry.first_chapter.desc(), WorldEntry.id)).all(),
        session.scalars(threads.order_by(Foreshadowing.last_chapter.desc(), Foreshadowing.id)).all(),
    )


def next_number(session: Session, novel_id: int) -> int:
    return 1 + (session.scalar(select(func.max(Chapter.number)).where(Chapter.novel_id == novel_id)) or 0)
