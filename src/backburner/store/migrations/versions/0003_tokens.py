"""Read tokens and stream tickets."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ID = sa.String(36).with_variant(sa.String(36, collation="C"), "postgresql")
NAME = sa.String(255).with_variant(sa.String(255, collation="C"), "postgresql")
DIGEST = sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "bb_tokens",
        sa.Column("digest", DIGEST, primary_key=True),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("owner", NAME, nullable=False),
        sa.Column("job_id", ID),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger()),
        sqlite_with_rowid=False,
    )
    of_a_job = sa.text("job_id IS NOT NULL")
    op.create_index("ix_bb_tokens_job", "bb_tokens", ["job_id"], sqlite_where=of_a_job, postgresql_where=of_a_job)
    op.create_index("ix_bb_tokens_expires_at", "bb_tokens", ["expires_at"])
