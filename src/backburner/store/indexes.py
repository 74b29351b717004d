"""By what the tables are looked up. Only a schema needs to know: a partial index makes SQLAlchemy load all the dialects
it is written for."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Index

from .tables import (
    batches,
    blocked,
    channels,
    deadlines,
    events,
    folds,
    jobs,
    leases,
    metadata,
    notifications,
    questions,
    ready,
    scheduled,
    tokens,
    waits,
    works,
)


def where(condition: ColumnElement[bool]) -> dict[str, Any]:
    return {"sqlite_where": condition, "postgresql_where": condition}


Index("ix_bb_jobs_owner", jobs.c.owner, jobs.c.id, **where(jobs.c.owner.is_not(None)))
Index("ix_bb_jobs_batch", jobs.c.batch_id, jobs.c.id, **where(jobs.c.batch_id.is_not(None)))
Index("ix_bb_jobs_parent", jobs.c.parent_id, **where(jobs.c.parent_id.is_not(None)))
Index("ix_bb_jobs_live", jobs.c.owner, jobs.c.id, **where(jobs.c.finished_at.is_(None)))
Index("ix_bb_jobs_finished", jobs.c.finished_at, **where(jobs.c.finished_at.is_not(None)))
Index("ix_bb_jobs_execution", jobs.c.execution_id, jobs.c.id, **where(jobs.c.execution_id.is_not(None)))
Index("ix_bb_works_execution", works.c.execution_id)
Index("ix_bb_ready_job", ready.c.job_id, unique=True)
Index("ix_bb_blocked_job", blocked.c.job_id, unique=True)
Index("ix_bb_waits_child", waits.c.child_id)
Index("ix_bb_batches_owner", batches.c.owner, batches.c.id)
Index("ix_bb_questions_job", questions.c.job_id, questions.c.name, questions.c.occurrence, unique=True)
Index("ix_bb_tokens_job", tokens.c.job_id, **where(tokens.c.job_id.is_not(None)))
Index("ix_bb_tokens_expires_at", tokens.c.expires_at)
Index("ix_bb_deadlines_at", deadlines.c.at)
Index("ix_bb_scheduled_run_at", scheduled.c.run_at)
Index("ix_bb_leases_task", leases.c.task, leases.c.owner, **where(leases.c.limited.is_(True)))
Index("ix_bb_leases_queue", leases.c.queue, leases.c.owner, **where(leases.c.limited.is_(True)))
Index("ix_bb_leases_cancelled", leases.c.worker_id, **where(leases.c.cancel_requested.is_(True)))
Index("ix_bb_channels_unfolded", channels.c.job_id, **where(channels.c.folded.is_(False)))
Index("ix_bb_events_owner", events.c.owner, events.c.position, unique=True, **where(events.c.owner.is_not(None)))
Index(
    "ix_bb_folds_owner",
    folds.c.owner,
    folds.c.last_position,
    folds.c.first_position,
    **where(folds.c.owner.is_not(None)),
)
Index("ix_bb_notifications_owner", notifications.c.owner, notifications.c.id)
Index("ix_bb_notifications_job", notifications.c.job_id)

SCHEMA = metadata
"""The tables with their indexes: what a database is migrated to."""
