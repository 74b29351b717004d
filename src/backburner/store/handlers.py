"""Which function serves which operation and which query."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..domain import operations as op
from . import claiming, owning, reading, running, settling, submitting, unknown

MANY: dict[type, Callable[..., Any]] = {
    op.Submit: submitting.submit,
    op.Settle: settling.settle,
}
"""Operations that are cheaper together: the function takes all that stand side by side in a batch."""

ONE: dict[type, Callable[..., Any]] = {
    op.Cancel: owning.cancel,
    op.Retry: owning.retry,
    op.Erase: owning.erase,
    op.MarkRead: owning.mark_read,
    op.RegisterWorker: claiming.register,
    op.Renew: claiming.renew,
    op.Retire: claiming.retire,
    op.Rescue: claiming.rescue,
    op.FailUnknown: unknown.fail_unknown,
    op.Claim: claiming.claim,
    op.SetProgress: running.set_progress,
    op.Notify: running.notify,
    op.AppendText: running.append_text,
    op.KeepStep: running.keep_step,
}

READ: dict[type, Callable[..., Any]] = {
    op.GetJob: reading.get_job,
    op.GetResult: reading.get_result,
    op.ListJobs: reading.list_jobs,
    op.JobEvents: reading.job_events,
    op.OwnerEvents: reading.owner_events,
    op.Tails: reading.tails,
    op.JobSnapshot: reading.job_snapshot,
    op.OwnerSnapshot: reading.owner_snapshot,
    op.ListNotifications: reading.list_notifications,
    op.CountUnread: reading.count_unread,
    op.CancelRequests: reading.cancel_requests,
    op.ListWorkers: reading.list_workers,
}
