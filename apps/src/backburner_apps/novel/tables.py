"""The novel's own tables, beside backburner's in the same database. Times are UTC, ids integers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, ForeignKey, String, Text, TypeDecorator, UniqueConstraint
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

HEAD = "0001"
"""The migration that this version of the code needs."""

VERSION_TABLE = "novel_version"


def now() -> datetime:
    """To the second, as the wire has it: ``2025-10-30T12:00:00Z``."""
    return datetime.now(UTC).replace(microsecond=0)


class Moment(TypeDecorator[datetime]):
    """A time in UTC: SQLite and MySQL keep no zone, so it is taken off on the way in and put back on the way out."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


class Table(DeclarativeBase):
    type_annotation_map = {  # noqa: RUF012  # SQLAlchemy's own way to say it
        datetime: Moment,
        list[str]: JSON,
        list[dict[str, Any]]: JSON,
        dict[str, Any]: JSON,
    }


class Novel(Table):
    """``owner`` is empty for the samples, which are everybody's."""

    __tablename__ = "novel_novels"

    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str | None] = mapped_column(String(255), index=True)
    title: Mapped[str] = mapped_column(String(200))
    author: Mapped[str] = mapped_column(String(200))
    language: Mapped[str] = mapped_column(String(10))
    premise: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=now)


class Chapter(Table):
    """``method`` and ``model`` say what wrote the text, the pair with ``summary_`` what summarised it.

    ``job_id`` is the job that wrote it, unique so that none writes two; ``analysis_job_id`` the last that analyses it.
    """

    __tablename__ = "novel_chapters"
    __table_args__ = (UniqueConstraint("novel_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    novel_id: Mapped[int] = mapped_column(ForeignKey("novel_novels.id"))
    number: Mapped[int]
    title: Mapped[str] = mapped_column(String(200))
    text: Mapped[str] = mapped_column(Text)
    summary: Mapped[str] = mapped_column(Text)
    mode: Mapped[str | None] = mapped_column(String(10))
    generation_config: Mapped[dict[str, Any] | None]
    method: Mapped[str | None] = mapped_column(String(20))
    model: Mapped[str | None] = mapped_column(String(200))
    summary_method: Mapped[str | None] = mapped_column(String(20))
    summary_model: Mapped[str | None] = mapped_column(String(200))
    job_id: Mapped[str | None] = mapped_column(String(36), unique=True)
    analysis_job_id: Mapped[str | None] = mapped_column(String(36))
    created_at: Mapped[datetime] = mapped_column(default=now)


class Draft(Table):
    """A job that writes a chapter; gone once the chapter is there."""

    __tablename__ = "novel_drafts"

    id: Mapped[int] = mapped_column(primary_key=True)
    novel_id: Mapped[int] = mapped_column(ForeignKey("novel_novels.id"), index=True)
    job_id: Mapped[str] = mapped_column(String(36), unique=True)
    created_at: Mapped[datetime] = mapped_column(default=now)


class Character(Table):
    """``state`` is how the character stood at the end of ``last_chapter``."""

    __tablename__ = "novel_characters"
    __table_args__ = (UniqueConstraint("novel_id", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    novel_id: Mapped[int] = mapped_column(ForeignKey("novel_novels.id"))
    name: Mapped[str] = mapped_column(String(200))
    aliases: Mapped[list[str]]
    state: Mapped[str] = mapped_column(Text, default="")
    first_chapter: Mapped[int]
    last_chapter: Mapped[int]


class CharacterState(Table):
    """What one chapter's analysis said of one character."""

    __tablename__ = "novel_character_states"
    __table_args__ = (UniqueConstraint("chapter_id", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    novel_id: Mapped[int] = mapped_column(ForeignKey("novel_novels.id"))
    chapter_id: Mapped[int] = mapped_column(ForeignKey("novel_chapters.id"))
    name: Mapped[str] = mapped_column(String(200))
    state: Mapped[str] = mapped_column(Text)
    last_action: Mapped[str] = mapped_column(Text)
    with_whom: Mapped[list[str]]
    place: Mapped[str | None] = mapped_column(String(200))


class WorldEntry(Table):
    """``kind`` is place, faction, rule or item."""

    __tablename__ = "novel_world"
    __table_args__ = (UniqueConstraint("novel_id", "kind", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    novel_id: Mapped[int] = mapped_column(ForeignKey("novel_novels.id"))
    kind: Mapped[str] = mapped_column(String(10))
    name: Mapped[str] = mapped_column(String(200))
    detail: Mapped[str] = mapped_column(Text)
    first_chapter: Mapped[int]


class Foreshadowing(Table):
    """``status`` is planted, recurring or paid_off, as ``last_chapter`` left it."""

    __tablename__ = "novel_foreshadowing"
    __table_args__ = (UniqueConstraint("novel_id", "object"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    novel_id: Mapped[int] = mapped_column(ForeignKey("novel_novels.id"))
    object: Mapped[str] = mapped_column(String(200))
    status: Mapped[str] = mapped_column(String(10))
    first_chapter: Mapped[int]
    last_chapter: Mapped[int]
    evidence: Mapped[str] = mapped_column(Text)


class Analysis(Table):
    """One part of a chapter's analysis; there is one row for each part, the latest job's."""

    __tablename__ = "novel_analyses"
    __table_args__ = (UniqueConstraint("chapter_id", "part"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    chapter_id: Mapped[int] = mapped_column(ForeignKey("novel_chapters.id"))
    part: Mapped[str] = mapped_column(String(20))
    job_id: Mapped[str] = mapped_column(String(36))
    result: Mapped[list[dict[str, Any]]]
    method: Mapped[str] = mapped_column(String(20))
    model: Mapped[str | None] = mapped_column(String(200))
    finished_at: Mapped[datetime] = mapped_column(default=now)
