"""Which function serves which operation and which query."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..domain import operations as op
from . import (
    asked,
    asking,
    budgeting,
    claiming,
    counting,
    failing,
    folding,
    foreseeing,
    holding,
    limiting,
    logs,
    owning,
    pruning,
    reading,
    running,
    settling,
    submitting,
    tending,
    ticking,
    usage,
)

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
    op.RegisterWorker: holding.register,
    op.Renew: holding.renew,
    op.Retire: holding.retire,
    op.Rescue: holding.rescue,
    op.FailUnknown: failing.fail_unknown,
    op.Reclaim: holding.reclaim,
    op.ExpireWaiting: failing.expire_waiting,
    op.FreeBlocked: limiting.free_blocked,
    op.FoldTexts: folding.fold_texts,
    op.FoldCounts: counting.fold_counts,
    op.TakeChore: tending.take_chore,
    op.RaiseOld: tending.raise_old,
    op.PauseQueue: tending.pause_queue,
    op.DeclareRetention: pruning.declare_retention,
    op.Prune: pruning.prune,
    op.PruneNotifications: pruning.prune_notifications,
    op.PruneLine: pruning.prune_line,
    op.DeclareCrons: ticking.declare,
    op.FireCrons: ticking.fire,
    op.ForgetCron: ticking.forget,
    op.Claim: claiming.claim,
    op.SetProgress: running.set_progress,
    op.Notify: running.notify,
    op.AppendText: running.append_text,
    op.KeepStep: running.keep_step,
    op.Ask: asking.ask,
    op.Answer: asking.answer,
    op.SubmitStep: running.submit_step,
    op.ReserveBudget: budgeting.reserve,
    op.SettleBudget: budgeting.settle_budget,
    op.PauseModel: budgeting.pause_model,
    op.FreeBudgets: budgeting.free_budgets,
}

READ: dict[type, Callable[..., Any]] = {
    op.GetJob: reading.get_job,
    op.GetResult: reading.get_result,
    op.GetQuestion: asked.get_question,
    op.JobQuestions: asked.job_questions,
    op.ListJobs: reading.list_jobs,
    op.JobEvents: logs.job_events,
    op.OwnerEvents: logs.owner_events,
    op.Tails: reading.tails,
    op.JobSnapshot: reading.job_snapshot,
    op.OwnerSnapshot: reading.owner_snapshot,
    op.ListNotifications: reading.list_notifications,
    op.CountUnread: reading.count_unread,
    op.CancelRequests: reading.cancel_requests,
    op.ListWorkers: reading.list_workers,
    op.ListQueues: reading.list_queues,
    op.CountJobs: reading.count_jobs,
    op.Outlooks: foreseeing.outlooks,
    op.OpenChores: tending.open_chores,
    op.OldJobs: tending.old_jobs,
    op.FindPrunable: pruning.find_prunable,
    op.NextTick: ticking.next_tick,
    op.ListCrons: ticking.list_crons,
    op.UsageByDay: usage.usage_by_day,
    op.UsageOfJob: usage.usage_of_job,
}
