"""Stores with a bug in them: the machine must find each, or it would not find those that nobody planted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import bindparam, false, null, select

from backburner.domain.events import Event
from backburner.domain.job import Status
from backburner.domain.operations import Execution
from backburner.store import asking, budgeting, cancelling, claiming, folding, following, holding, running, tables
from backburner.store.batch import Batch, Ended
from backburner.store.connection import Family, Statement
from backburner.store.limiting import Rooms

Break = Callable[[pytest.MonkeyPatch], None]


def the_fence_lets_any_attempt_pass(patch: pytest.MonkeyPatch) -> None:
    def hold(batch: Batch, execution: Execution) -> running.Held:
        row = batch.connection.one(running.READ_HELD, job=execution.job)
        return hold_properly(batch, execution) if row is None else running.Held(*row[1:])

    hold_properly = running.hold
    patch.setattr(running, "hold", hold)


def a_claim_does_not_count_what_it_takes_itself(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Rooms, "take", lambda rooms, head: None)


def a_new_attempt_keeps_words_that_no_step_stands_behind(patch: pytest.MonkeyPatch) -> None:
    channels = tables.channels
    nothing = Family(
        lambda among: select(channels.c.job_id, channels.c.name, channels.c.kept).where(
            among(channels.c.job_id), false()
        )
    )
    patch.setattr(claiming, "READ_VOID", nothing)


def the_counters_forget_who_was_cancelled(patch: pytest.MonkeyPatch) -> None:
    count = Batch.count

    def forget(batch: Batch, owner: Any, task: str, queue: str, status: str, *amounts: int) -> None:
        if status != "cancelled":
            count(batch, owner, task, queue, status, *amounts)

    patch.setattr(Batch, "count", forget)


def a_stream_leaves_places_for_events_that_never_come(patch: pytest.MonkeyPatch) -> None:
    advance = Batch._advance
    patch.setattr(Batch, "_advance", lambda batch, owner, count: advance(batch, owner, count + (count > 1)))


def a_rescue_forgets_the_jobs(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(holding, "_take_away", lambda batch, endings: None)


def a_cancelled_job_stays_in_the_line(patch: pytest.MonkeyPatch) -> None:
    kept = [each for each in cancelling.LEAVE_LINE if f"DELETE FROM {tables.ready.name}" not in str(each._clause)]
    patch.setattr(cancelling, "LEAVE_LINE", kept)


def a_batch_counts_an_end_twice(patch: pytest.MonkeyPatch) -> None:
    def move(batch: Batch) -> None:
        batch.batches.update({name: change for name, change in batch.batches.items() if change < 0})
        move_properly(batch)

    move_properly = following.move_batches
    patch.setattr(following, "move_batches", move)


def an_answer_is_taken_twice(patch: pytest.MonkeyPatch) -> None:
    columns = tables.questions.c
    open_still = [columns.name, columns.occurrence, columns.key, columns.prompt, null(), columns.expires_at]
    patch.setattr(asking, "READ_STATE", Statement(select(*open_still).where(columns.token == bindparam("token"))))


def a_fold_forgets_where_a_delta_stood(patch: pytest.MonkeyPatch) -> None:
    def pack(part: Sequence[Event]) -> dict[str, Any]:
        return pack_properly([replace(event, data={**event.data, "offset": 0}) for event in part])

    pack_properly = folding.pack
    patch.setattr(folding, "pack", pack)


def a_parent_is_woken_by_good_ends_only(patch: pytest.MonkeyPatch) -> None:
    def wake(batch: Batch, ended: Sequence[Ended]) -> None:
        wake_properly(batch, [each for each in ended if each.status is Status.COMPLETED])

    wake_properly = following.wake_parents
    patch.setattr(following, "wake_parents", wake)


def a_call_that_nobody_makes_any_more_stays_paid_for(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(budgeting, "_give_back", lambda batch, known, held, used: None)


BROKEN: dict[Break, str] = {
    the_fence_lets_any_attempt_pass: r"must be refused with .*LeaseLost.*, not None",
    a_claim_does_not_count_what_it_takes_itself: r"Claim.*: the model says|is over",
    a_new_attempt_keeps_words_that_no_step_stands_behind: r"the model logs .*attempt.reset",
    the_counters_forget_who_was_cancelled: r"the model counts .*CANCELLED",
    a_stream_leaves_places_for_events_that_never_come: r"the stream of .* has a gap",
    a_rescue_forgets_the_jobs: r"the model says",
    a_cancelled_job_stays_in_the_line: r"a job that is cancelled has rows in .*ready",
    a_batch_counts_an_end_twice: r"the model has the batches",
    an_answer_is_taken_twice: r"Answer.* must be refused with .*AlreadyAnswered",
    a_fold_forgets_where_a_delta_stood: r"reads otherwise after|a delta begins at",
    a_parent_is_woken_by_good_ends_only: r"the model has .*, the store",
    a_call_that_nobody_makes_any_more_stays_paid_for: r"has used",
}
"""What the machine says of each, as a pattern: a complaint of something else is no find."""
