"""Fair turns among owners, queues and their limits, keys, counters."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ID = sa.String(36).with_variant(sa.String(36, collation="C"), "postgresql")
NAME = sa.String(255).with_variant(sa.String(255, collation="C"), "postgresql")
SCOPE = sa.String(300).with_variant(sa.String(300, collation="C"), "postgresql")


def upgrade() -> None:
    _extend_jobs()
    _renew_ready()
    _renew_leases()
    _create_line()
    _create_counts()
    _create_times()
    _create_waits()
    _create_budgets()
    _create_folds()
    _create_questions()
    _create_timings()
    _create_batches()
    _create_shares()


def _extend_jobs() -> None:
    op.add_column("bb_jobs", sa.Column("key", NAME))
    op.add_column("bb_jobs", sa.Column("batch_id", ID))
    op.add_column("bb_jobs", sa.Column("expires_at", sa.BigInteger()))
    op.add_column("bb_jobs", sa.Column("size", sa.Float()))
    op.drop_index("ix_bb_jobs_owner", "bb_jobs")
    for name, columns, condition in (
        ("ix_bb_jobs_owner", ["owner", "id"], "owner IS NOT NULL"),
        ("ix_bb_jobs_live", ["owner", "id"], "finished_at IS NULL"),
        ("ix_bb_jobs_finished", ["finished_at"], "finished_at IS NOT NULL"),
    ):
        op.create_index(name, "bb_jobs", columns, sqlite_where=sa.text(condition), postgresql_where=sa.text(condition))


def _renew_ready() -> None:
    op.drop_index("ix_bb_ready_job", "bb_ready")
    op.create_table(
        "bb_ready_next",
        sa.Column("queue", NAME, primary_key=True),
        sa.Column("task", NAME, primary_key=True),
        sa.Column("rank", sa.Integer(), primary_key=True),
        sa.Column("turn", sa.BigInteger(), primary_key=True),
        sa.Column("job_id", ID, primary_key=True),
        sa.Column("owner", NAME, nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO bb_ready_next (queue, task, rank, turn, job_id, owner, since) "
        "SELECT j.queue, r.task, r.rank, 0, r.job_id, COALESCE(j.owner, ''), r.since "
        "FROM bb_ready r JOIN bb_jobs j ON j.id = r.job_id"
    )
    op.drop_table("bb_ready")
    op.rename_table("bb_ready_next", "bb_ready")
    op.create_index("ix_bb_ready_job", "bb_ready", ["job_id"], unique=True)


def _renew_leases() -> None:
    op.drop_index("ix_bb_leases_task", "bb_leases")
    op.drop_index("ix_bb_leases_worker", "bb_leases")
    op.create_table(
        "bb_leases_next",
        sa.Column("job_id", ID, primary_key=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("worker_id", ID, nullable=False),
        sa.Column("queue", NAME, nullable=False),
        sa.Column("task", NAME, nullable=False),
        sa.Column("owner", NAME, nullable=False),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("limited", sa.Boolean(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO bb_leases_next (job_id, attempt, worker_id, queue, task, owner, cancel_requested, limited) "
        "SELECT l.job_id, l.attempt, l.worker_id, j.queue, l.task, COALESCE(j.owner, ''), l.cancel_requested, true "
        "FROM bb_leases l JOIN bb_jobs j ON j.id = l.job_id"
    )
    op.drop_table("bb_leases")
    op.rename_table("bb_leases_next", "bb_leases")
    for column in ("queue", "task"):
        op.create_index(
            f"ix_bb_leases_{column}",
            "bb_leases",
            [column, "owner"],
            sqlite_where=sa.text("limited IS 1"),
            postgresql_where=sa.text("limited IS true"),
        )
    op.create_index(
        "ix_bb_leases_cancelled",
        "bb_leases",
        ["worker_id"],
        sqlite_where=sa.text("cancel_requested IS 1"),
        postgresql_where=sa.text("cancel_requested IS true"),
    )


def _create_line() -> None:
    op.create_table(
        "bb_lines",
        sa.Column("queue", NAME, primary_key=True),
        sa.Column("task", NAME, primary_key=True),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "bb_blocked",
        sa.Column("scope", SCOPE, primary_key=True),
        sa.Column("owner", NAME, primary_key=True),
        sa.Column("rank", sa.Integer(), primary_key=True),
        sa.Column("turn", sa.BigInteger(), primary_key=True),
        sa.Column("job_id", ID, primary_key=True),
        sa.Column("queue", NAME, nullable=False),
        sa.Column("task", NAME, nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_bb_blocked_job", "bb_blocked", ["job_id"], unique=True)
    op.create_table(
        "bb_turns",
        sa.Column("queue", NAME, primary_key=True),
        sa.Column("rank", sa.Integer(), primary_key=True),
        sa.Column("owner", NAME, primary_key=True),
        sa.Column("finish", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "bb_clocks",
        sa.Column("queue", NAME, primary_key=True),
        sa.Column("rank", sa.Integer(), primary_key=True),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "bb_paused_queues",
        sa.Column("queue", NAME, primary_key=True),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "bb_limits",
        sa.Column("scope", SCOPE, primary_key=True),
        sa.Column("concurrency", sa.Integer()),
        sa.Column("rate_count", sa.Integer()),
        sa.Column("rate_seconds", sa.Double()),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "bb_starts",
        sa.Column("task", NAME, primary_key=True),
        sa.Column("at", sa.BigInteger(), primary_key=True),
        sa.Column("job_id", ID, primary_key=True),
        sa.Column("attempt", sa.Integer(), primary_key=True),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "bb_parked",
        sa.Column("job_id", ID, primary_key=True),
        sa.Column("waiting_for", sa.String(10), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "bb_deadlines",
        sa.Column("job_id", ID, primary_key=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_bb_deadlines_at", "bb_deadlines", ["at"])
    op.create_table(
        "bb_keys",
        sa.Column("task", NAME, primary_key=True),
        sa.Column("owner", NAME, primary_key=True),
        sa.Column("key", NAME, primary_key=True),
        sa.Column("job_id", ID, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "bb_chores",
        sa.Column("name", NAME, primary_key=True),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.execute("INSERT INTO bb_lines (queue, task, seen_at) SELECT DISTINCT queue, task, 0 FROM bb_ready")


def _create_counts() -> None:
    op.create_table(
        "bb_counts",
        sa.Column("owner", NAME, primary_key=True),
        sa.Column("task", NAME, primary_key=True),
        sa.Column("queue", NAME, primary_key=True),
        sa.Column("status", sa.String(20), primary_key=True),
        sa.Column("jobs", sa.BigInteger(), nullable=False),
        sa.Column("ran", sa.BigInteger(), nullable=False),
        sa.Column("waited", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "bb_count_changes",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("owner", NAME, nullable=False),
        sa.Column("task", NAME, nullable=False),
        sa.Column("queue", NAME, nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("jobs", sa.BigInteger(), nullable=False),
        sa.Column("ran", sa.BigInteger(), nullable=False),
        sa.Column("waited", sa.BigInteger(), nullable=False),
        sa.Column("measured", sa.Text()),
    )
    op.execute(
        "INSERT INTO bb_counts (owner, queue, task, status, jobs, ran, waited) "
        "SELECT COALESCE(owner, ''), queue, task, status, COUNT(*), "
        "COALESCE(SUM(CASE WHEN finished_at IS NOT NULL THEN finished_at - started_at END), 0), "
        "COALESCE(SUM(CASE WHEN finished_at IS NOT NULL THEN started_at - created_at END), 0) "
        "FROM bb_jobs GROUP BY COALESCE(owner, ''), queue, task, status"
    )


def _create_times() -> None:
    op.create_table(
        "bb_crons",
        sa.Column("name", NAME, primary_key=True),
        sa.Column("task", NAME, nullable=False),
        sa.Column("expression", NAME, nullable=False),
        sa.Column("zone", NAME, nullable=False),
        sa.Column("missed", sa.String(10), nullable=False),
        sa.Column("next_at", sa.BigInteger()),
        sa.Column("last_at", sa.BigInteger()),
        sa.Column("last_job", ID),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "bb_retentions",
        sa.Column("task", NAME, primary_key=True),
        sa.Column("status", sa.String(10), primary_key=True),
        sa.Column("seconds", sa.Float()),
        sqlite_with_rowid=False,
    )


def _create_waits() -> None:
    op.add_column("bb_jobs", sa.Column("parent_id", ID))
    op.add_column("bb_jobs", sa.Column("awaited", sa.Boolean()))
    child = sa.text("parent_id IS NOT NULL")
    op.create_index("ix_bb_jobs_parent", "bb_jobs", ["parent_id"], sqlite_where=child, postgresql_where=child)
    op.create_table(
        "bb_waits",
        sa.Column("job_id", ID, primary_key=True),
        sa.Column("child_id", ID, primary_key=True),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_bb_waits_child", "bb_waits", ["child_id"])


def _create_folds() -> None:
    op.add_column("bb_streams", sa.Column("pruned", sa.BigInteger()))
    op.add_column("bb_channels", sa.Column("folded", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_index(
        "ix_bb_channels_unfolded",
        "bb_channels",
        ["job_id"],
        sqlite_where=sa.text("folded IS 0"),
        postgresql_where=sa.text("folded IS false"),
    )
    op.create_table(
        "bb_folds",
        sa.Column("job_id", ID, primary_key=True),
        sa.Column("last_seq", sa.Integer(), primary_key=True),
        sa.Column("first_seq", sa.Integer(), nullable=False),
        sa.Column("owner", NAME),
        sa.Column("first_position", sa.BigInteger()),
        sa.Column("last_position", sa.BigInteger()),
        sa.Column("places", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_bb_folds_owner",
        "bb_folds",
        ["owner", "last_position", "first_position"],
        sqlite_where=sa.text("owner IS NOT NULL"),
        postgresql_where=sa.text("owner IS NOT NULL"),
    )


def _create_budgets() -> None:
    op.add_column("bb_jobs", sa.Column("cost", sa.BigInteger()))
    op.create_table(
        "bb_buckets",
        sa.Column("model", NAME, primary_key=True),
        sa.Column("owner", NAME, primary_key=True),
        sa.Column("kind", sa.String(10), primary_key=True),
        sa.Column("per_minute", sa.BigInteger(), nullable=False),
        sa.Column("empty_at", sa.BigInteger(), nullable=False),
        sa.Column("booked_until", sa.BigInteger(), nullable=False),
        sa.Column("moved", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("gaps", sa.Text(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "bb_day_budgets",
        sa.Column("model", NAME, primary_key=True),
        sa.Column("owner", NAME, primary_key=True),
        sa.Column("kind", sa.String(10), primary_key=True),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "bb_reservations",
        sa.Column("job_id", ID, primary_key=True),
        sa.Column("step", sa.String(32), primary_key=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("model", NAME, nullable=False),
        sa.Column("owner", NAME, nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.Column("cost", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("places", sa.Text()),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "bb_model_pauses",
        sa.Column("model", NAME, primary_key=True),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "bb_job_usage",
        sa.Column("job_id", ID, primary_key=True),
        sa.Column("model", NAME, primary_key=True),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cost", sa.BigInteger()),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "bb_usage_days",
        sa.Column("owner", NAME, primary_key=True),
        sa.Column("day", sa.Integer(), primary_key=True),
        sa.Column("model", NAME, primary_key=True),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cost", sa.BigInteger()),
        sqlite_with_rowid=False,
    )


def _create_questions() -> None:
    op.create_table(
        "bb_questions",
        sa.Column("token", ID, primary_key=True),
        sa.Column("job_id", ID, nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("occurrence", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(32), nullable=False),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("shape", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger()),
        sa.Column("answer", sa.Text()),
        sa.Column("answered_at", sa.BigInteger()),
    )
    op.create_index("ix_bb_questions_job", "bb_questions", ["job_id", "name", "occurrence"], unique=True)


def _create_timings() -> None:
    op.add_column("bb_workers", sa.Column("concurrency", sa.Integer()))
    op.create_table(
        "bb_timings",
        sa.Column("task", NAME, primary_key=True),
        sa.Column("jobs", sa.Double(), nullable=False),
        sa.Column("ran", sa.Double(), nullable=False),
        sa.Column("sized", sa.Double(), nullable=False),
        sa.Column("size", sa.Double(), nullable=False),
        sa.Column("squares", sa.Double(), nullable=False),
        sa.Column("products", sa.Double(), nullable=False),
        sa.Column("sized_ran", sa.Double(), nullable=False),
        sa.Column("ran_squares", sa.Double(), nullable=False),
        sqlite_with_rowid=False,
    )


def _create_batches() -> None:
    member = sa.text("batch_id IS NOT NULL")
    op.create_index("ix_bb_jobs_batch", "bb_jobs", ["batch_id", "id"], sqlite_where=member, postgresql_where=member)
    op.create_table(
        "bb_batches",
        sa.Column("id", ID, primary_key=True),
        sa.Column("title", NAME, nullable=False),
        sa.Column("owner", NAME),
        sa.Column("notify", sa.Boolean(), nullable=False),
        sa.Column("callback", sa.Text()),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("remaining", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger()),
    )
    op.create_index("ix_bb_batches_owner", "bb_batches", ["owner", "id"])


def _create_shares() -> None:
    op.add_column("bb_jobs", sa.Column("execution_id", ID))
    shared = sa.text("execution_id IS NOT NULL")
    op.create_index(
        "ix_bb_jobs_execution", "bb_jobs", ["execution_id", "id"], sqlite_where=shared, postgresql_where=shared
    )
    op.create_table(
        "bb_works",
        sa.Column("work", ID, primary_key=True),
        sa.Column("execution_id", ID, nullable=False),
        sa.Column("lead", NAME),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_bb_works_execution", "bb_works", ["execution_id"])
    op.create_table(
        "bb_shares",
        sa.Column("job_id", ID, primary_key=True),
        sa.Column("work", ID, nullable=False),
        sa.Column("lasts", sa.BigInteger(), nullable=False),
        sa.Column("everyone", sa.Boolean(), nullable=False),
        sa.Column("words", sa.Text()),
        sqlite_with_rowid=False,
    )
