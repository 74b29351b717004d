"""The first schema: novels, chapters, what their analysis found, and the two samples."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "novel_novels",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("owner", sa.String(255)),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("author", sa.String(200), nullable=False),
        sa.Column("language", sa.String(10), nullable=False),
        sa.Column("premise", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
    )
    op.create_index("ix_novel_novels_owner", "novel_novels", ["owner"])
    op.create_table(
        "novel_chapters",
        sa.Column("id", sa.Integer(), primary_key=True),
        _novel(),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("mode", sa.String(10)),
        sa.Column("generation_config", sa.JSON()),
        sa.Column("method", sa.String(20)),
        sa.Column("model", sa.String(200)),
        sa.Column("summary_method", sa.String(20)),
        sa.Column("summary_model", sa.String(200)),
        sa.Column("job_id", sa.String(36), unique=True),
        sa.Column("analysis_job_id", sa.String(36)),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.UniqueConstraint("novel_id", "number"),
    )
    op.create_table(
        "novel_drafts",
        sa.Column("id", sa.Integer(), primary_key=True),
        _novel(),
        sa.Column("job_id", sa.String(36), nullable=False, unique=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
    )
    op.create_index("ix_novel_drafts_novel_id", "novel_drafts", ["novel_id"])
    op.create_table(
        "novel_characters",
        sa.Column("id", sa.Integer(), primary_key=True),
        _novel(),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("aliases", sa.JSON(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("first_chapter", sa.Integer(), nullable=False),
        sa.Column("last_chapter", sa.Integer(), nullable=False),
        sa.UniqueConstraint("novel_id", "name"),
    )
    op.create_table(
        "novel_character_states",
        sa.Column("id", sa.Integer(), primary_key=True),
        _novel(),
        _chapter(),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("last_action", sa.Text(), nullable=False),
        sa.Column("with_whom", sa.JSON(), nullable=False),
        sa.Column("place", sa.String(200)),
        sa.UniqueConstraint("chapter_id", "name"),
    )
    op.create_table(
        "novel_world",
        sa.Column("id", sa.Integer(), primary_key=True),
        _novel(),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("first_chapter", sa.Integer(), nullable=False),
        sa.UniqueConstraint("novel_id", "kind", "name"),
    )
    op.create_table(
        "novel_foreshadowing",
        sa.Column("id", sa.Integer(), primary_key=True),
        _novel(),
        sa.Column("object", sa.String(200), nullable=False),
        sa.Column("status", sa.String(10), nullable=False),
        sa.Column("first_chapter", sa.Integer(), nullable=False),
        sa.Column("last_chapter", sa.Integer(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.UniqueConstraint("novel_id", "object"),
    )
    op.create_table(
        "novel_analyses",
        sa.Column("id", sa.Integer(), primary_key=True),
        _chapter(),
        sa.Column("part", sa.String(20), nullable=False),
        sa.Column("job_id", sa.String(36), nullable=False),
        sa.Column("result", sa.JSON(), nullable=False),
        sa.Column("method", sa.String(20), nullable=False),
        sa.Column("model", sa.String(200)),
        sa.Column("finished_at", sa.DateTime(), nullable=False),
        sa.UniqueConstraint("chapter_id", "part"),
    )


def _novel() -> sa.Column[int]:
    return sa.Column("novel_id", sa.Integer(), sa.ForeignKey("novel_novels.id"), nullable=False)


def _chapter() -> sa.Column[int]:
    return sa.Column("chapter_id", sa.Integer(), sa.ForeignKey("novel_chapters.id"), nullable=False)
