"""The first schema: jobs, the line, leases, steps, text, the log, the inbox."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ID = sa.String(36).with_variant(sa.String(36, collation="C"), "postgresql")
NAME = sa.String(255).with_variant(sa.String(255, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "bb_jobs",
        sa.Column("id", ID, primary_key=True),
        sa.Column("task", NAME, nullable=False),
        sa.Column("queue", NAME, nullable=False),
        sa.Column("status", sa.String(10), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("owner", NAME),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("max_tries", sa.Integer(), nullable=False),
        sa.Column("rescues", sa.Integer(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("percent", sa.Float(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger()),
        sa.Column("finished_at", sa.BigInteger()),
        sa.Column("input_tokens", sa.Integer(), nullable=False),
        sa.Column("output_tokens", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text()),
    )
    op.create_index("ix_bb_jobs_owner", "bb_jobs", ["owner", "id"])
    op.create_table(
        "bb_job_args",
        sa.Column("job_id", ID, primary_key=True),
        sa.Column("body", sa.Text(), nullable=False),
    )
    op.create_table(
        "bb_job_results",
        sa.Column("job_id", ID, primary_key=True),
        sa.Column("body", sa.Text(), nullable=False),
    )
    op.create_table(
        "bb_ready",
        sa.Column("task", NAME, primary_key=True),
        sa.Column("rank", sa.Integer(), primary_key=True),
        sa.Column("since", sa.BigInteger(), primary_key=True),
        sa.Column("job_id", ID, primary_key=True),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_bb_ready_job", "bb_ready", ["job_id"], unique=True)
    op.create_table(
        "bb_scheduled",
        sa.Column("job_id", ID, primary_key=True),
        sa.Column("run_at", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_bb_scheduled_run_at", "bb_scheduled", ["run_at"])
    op.create_table(
        "bb_leases",
        sa.Column("job_id", ID, primary_key=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("worker_id", ID, nullable=False),
        sa.Column("task", NAME, nullable=False),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_bb_leases_task", "bb_leases", ["task"])
    op.create_index("ix_bb_leases_worker", "bb_leases", ["worker_id"])
    op.create_table(
        "bb_workers",
        sa.Column("id", ID, primary_key=True),
        sa.Column("host", NAME, nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("tasks", sa.Text(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "bb_steps",
        sa.Column("job_id", ID, primary_key=True),
        sa.Column("name", NAME, primary_key=True),
        sa.Column("occurrence", sa.Integer(), primary_key=True),
        sa.Column("key", sa.String(32), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("channels", sa.Text()),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "bb_channels",
        sa.Column("job_id", ID, primary_key=True),
        sa.Column("name", NAME, primary_key=True),
        sa.Column("length", sa.Integer(), nullable=False),
        sa.Column("kept", sa.Integer(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "bb_events",
        sa.Column("job_id", ID, primary_key=True),
        sa.Column("seq", sa.Integer(), primary_key=True),
        sa.Column("owner", NAME),
        sa.Column("position", sa.BigInteger()),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_bb_events_owner",
        "bb_events",
        ["owner", "position"],
        unique=True,
        sqlite_where=sa.text("owner IS NOT NULL"),
        postgresql_where=sa.text("owner IS NOT NULL"),
    )
    op.create_table(
        "bb_streams",
        sa.Column("owner", NAME, primary_key=True),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "bb_unknown_tasks",
        sa.Column("task", NAME, primary_key=True),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "bb_unannounced",
        sa.Column("job_id", ID, primary_key=True),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "bb_notifications",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("owner", NAME, nullable=False),
        sa.Column("job_id", ID),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("read_at", sa.BigInteger()),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_bb_notifications_job", "bb_notifications", ["job_id"])
    op.create_index("ix_bb_notifications_owner", "bb_notifications", ["owner", "id"])
