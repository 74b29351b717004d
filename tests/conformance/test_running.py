from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from backburner.domain.errors import InvalidArguments, LeaseLost, TooLarge
from backburner.domain.events import apply_text
from backburner.domain.job import KeptStep, Status
from backburner.domain.json import MAX_BYTES
from backburner.domain.notifications import Notice
from backburner.domain.operations import (
    AppendText,
    Cancel,
    Completed,
    Execution,
    JobSnapshot,
    KeepStep,
    ListNotifications,
    Notify,
    Released,
    Rescue,
    SetProgress,
    Settle,
    Transact,
    Usage,
)
from backburner.ports import Store
from tests.support.making import claim, fail, keep, kinds, log_of, look, refusal, register, say, start, submit

STEP = KeptStep("s", 0, "k", "1")
WRITES: dict[str, Callable[[Execution], Any]] = {
    "progress": lambda fence: SetProgress(fence, 50.0, "half", Notice("Half")),
    "notify": lambda fence: Notify(fence, "started", Notice("Started")),
    "text": lambda fence: AppendText(fence, "main", "more"),
    "step": lambda fence: KeepStep(fence, STEP, ("main",), Usage("m", 1, 2)),
    "transaction": lambda fence: Transact(fence, "s", 0, "k", lambda session: "1"),
    "settle": lambda fence: Settle(fence, Completed("1", Notice("Done"))),
    "release": lambda fence: Settle(fence, Released()),
}


def lose_to_another_attempt(store: Store) -> tuple[Execution, Execution | None]:
    job = submit(store, owner="ann")
    worker = register(store)
    claim(store, worker)
    say(store, Execution(job, 1), "first")
    store.write_sync(Rescue((worker,), expired=False, cap=5))
    (again,) = claim(store, register(store))
    return Execution(job, 1), Execution(job, again.attempt)


def lose_to_nobody(store: Store) -> tuple[Execution, Execution | None]:
    execution = start(store, owner="ann")
    fail(store, execution, retry_after=3600.0)
    return execution, None


def lose_by_a_cancel_of_what_waits(store: Store) -> tuple[Execution, Execution | None]:
    execution = start(store, owner="ann")
    fail(store, execution, retry_after=0)
    store.write_sync(Cancel(execution.job, None))
    return execution, None


@pytest.mark.parametrize("lose", [lose_to_another_attempt, lose_to_nobody, lose_by_a_cancel_of_what_waits])
@pytest.mark.parametrize("write", WRITES)
def test_every_write_of_a_stale_attempt_is_refused_and_changes_nothing(store: Store, lose: Any, write: str) -> None:
    stale, current = lose(store)
    before = (look(store, stale.job), log_of(store, stale.job), store.read_sync(JobSnapshot(stale.job)))
    assert refusal(lambda: store.write_sync(WRITES[write](stale))) is LeaseLost
    after = (look(store, stale.job), log_of(store, stale.job), store.read_sync(JobSnapshot(stale.job)))
    assert after == before
    assert store.read_sync(ListNotifications("ann")) == ()
    if current is not None:
        store.write_sync(WRITES[write](current))


@pytest.mark.parametrize("write", WRITES)
def test_a_job_that_never_ran_cannot_be_written_to(store: Store, write: str) -> None:
    job = submit(store)
    assert refusal(lambda: store.write_sync(WRITES[write](Execution(job, 0)))) is LeaseLost
    assert refusal(lambda: store.write_sync(WRITES[write](Execution("nothing", 1)))) is LeaseLost


def test_a_transaction_of_a_stale_attempt_is_not_called(store: Store) -> None:
    stale, _ = lose_to_another_attempt(store)
    called: list[bool] = []
    assert refusal(lambda: store.write_sync(Transact(stale, "s", 0, "k", lambda session: called.append(True)))) is (  # type: ignore[arg-type,return-value]
        LeaseLost
    )
    assert called == []


def test_progress_is_kept_and_logged(store: Store) -> None:
    execution = start(store)
    store.write_sync(SetProgress(execution, 40.0, "reading"))
    record = look(store, execution.job)
    assert (record.percent, record.message) == (40.0, "reading")
    assert log_of(store, execution.job)[-1].data == {"percent": 40.0, "message": "reading"}


def test_a_notification_of_progress_stands_in_the_inbox(store: Store) -> None:
    execution = start(store, owner="ann")
    store.write_sync(SetProgress(execution, 40.0, "reading", Notice("On the way")))
    store.write_sync(Notify(execution, "started", Notice("Off we go")))
    assert [each.title for each in store.read_sync(ListNotifications("ann"))] == ["Off we go", "On the way"]
    seqs = [event.seq for event in log_of(store, execution.job)]
    assert seqs == [1, 2, 3, 4, 5]


def test_progress_whose_answer_was_lost_is_not_told_twice(store: Store) -> None:
    execution = start(store, owner="ann")
    said = SetProgress(execution, 40.0, "reading", Notice("On the way"))
    first = store.write_sync(said)
    assert first == store.write_sync(said.repeated())
    other = store.write_sync(SetProgress(execution, 60.0, "writing", after=first))
    back = SetProgress(execution, 40.0, "reading", after=other)
    assert store.write_sync(back.repeated()) > other, "said before, and once more since: this one was not on disk yet"
    assert ["On the way"] == [each.title for each in store.read_sync(ListNotifications("ann"))]
    told = [event.data["percent"] for event in log_of(store, execution.job) if event.kind == "job.progress"]
    assert [40.0, 60.0, 40.0] == told
    assert 40.0 == look(store, execution.job).percent


def test_progress_of_an_earlier_attempt_does_not_stand_for_that_of_a_later_one(store: Store) -> None:
    execution = start(store)
    store.write_sync(SetProgress(execution, 40.0, "reading"))
    fail(store, execution, retry_after=0.0)
    (again,) = claim(store, register(store))
    store.write_sync(SetProgress(Execution(again.id, again.attempt), 40.0, "reading").repeated())
    assert 2 == kinds(store, execution.job).count("job.progress")


def test_a_notification_whose_answer_was_lost_is_not_made_twice(store: Store) -> None:
    execution = start(store, owner="ann")
    said = Notify(execution, "started", Notice("Off we go", data={"a": [1]}))
    store.write_sync(said)
    store.write_sync(said.repeated())
    store.write_sync(Notify(execution, "started", Notice("Off we go again")).repeated())
    titles = [each.title for each in store.read_sync(ListNotifications("ann"))]
    assert ["Off we go again", "Off we go"] == titles


def test_offsets_count_code_points_within_each_channel(store: Store) -> None:
    execution = start(store)
    for channel, delta in [("main", "雪🌨"), ("side", "a"), ("main", "é!"), ("side", "bc")]:
        say(store, execution, delta, channel)
    texts = [event.data for event in log_of(store, execution.job) if event.kind == "text.delta"]
    assert [(each["channel"], each["offset"], each["delta"]) for each in texts] == [
        ("main", 0, "雪🌨"), ("side", 0, "a"), ("main", 2, "é!"), ("side", 1, "bc"),
    ]  # fmt: skip
    snapshot = store.read_sync(JobSnapshot(execution.job))
    assert snapshot is not None
    assert snapshot.texts == {"main": "雪🌨é!", "side": "abc"}


def test_text_whose_answer_was_lost_is_not_written_twice(store: Store) -> None:
    execution = start(store)
    say(store, execution, "été ")
    store.write_sync(AppendText(execution, "main", "été ", offset=0))
    store.write_sync(AppendText(execution, "main", "été en", offset=0))
    store.write_sync(AppendText(execution, "main", " fin", offset=6))
    texts = [event.data for event in log_of(store, execution.job) if event.kind == "text.delta"]
    assert [(each["offset"], each["delta"]) for each in texts] == [(0, "été "), (4, "en"), (6, " fin")]


def test_a_new_attempt_keeps_the_text_of_finished_steps_and_voids_the_rest(store: Store) -> None:
    execution = start(store, max_tries=3)
    say(store, execution, "kept ")
    say(store, execution, "aside", "side")
    keep(store, execution, "one", channels=("main",))
    say(store, execution, "lost")
    fail(store, execution, retry_after=0)
    (again,) = claim(store, register(store))
    assert again.steps == (KeptStep("one", 0, "key", '"v"', {"main": 5}),)
    reset = log_of(store, execution.job)[-1]
    assert (reset.kind, reset.data) == ("attempt.reset", {"attempt": 2, "channels": {"main": 5, "side": 0}})
    say(store, Execution(execution.job, 2), "new")
    snapshot = store.read_sync(JobSnapshot(execution.job))
    assert snapshot is not None
    assert snapshot.texts == {"main": "kept new", "side": ""}
    assert log_of(store, execution.job)[-1].data["offset"] == 5
    texts: dict[str, str] = {}
    for event in log_of(store, execution.job):
        apply_text(texts, event)
    assert texts == snapshot.texts


def test_an_attempt_without_lost_text_is_not_reset(store: Store) -> None:
    execution = start(store, max_tries=3)
    say(store, execution, "all")
    keep(store, execution, "one", channels=("main",))
    fail(store, execution, retry_after=0)
    claim(store, register(store))
    assert "attempt.reset" not in kinds(store, execution.job)


def test_tokens_add_up(store: Store) -> None:
    execution = start(store)
    for number in range(2):
        step = KeptStep("call", number, "k", "1")
        store.write_sync(KeepStep(execution, step, usage=Usage("m", 10, 3)))
    record = look(store, execution.job)
    assert (record.input_tokens, record.output_tokens) == (20, 6)
    assert log_of(store, execution.job)[-1].data["usage"] == {"model": "m", "input_tokens": 10, "output_tokens": 3}


def test_a_step_kept_again_replaces_the_old_one(store: Store) -> None:
    execution = start(store, max_tries=2)
    store.write_sync(KeepStep(execution, KeptStep("s", 0, "old", "1")))
    store.write_sync(KeepStep(execution, KeptStep("s", 0, "new", "2"), again=True))
    assert log_of(store, execution.job)[-1].data["again"] is True
    fail(store, execution, retry_after=0)
    (again,) = claim(store, register(store))
    assert again.steps == (KeptStep("s", 0, "new", "2"),)


def test_a_transaction_that_raises_leaves_nothing(store: Store) -> None:
    execution = start(store)
    before = log_of(store, execution.job)
    calls: list[int] = []

    def work(session: Any) -> str:
        calls.append(1)
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        store.write_sync(Transact(execution, "s", 0, "k", work))
    assert (calls, log_of(store, execution.job)) == ([1], before)


def test_the_errors_of_a_transactions_function_come_through_as_they_are(store: Store) -> None:
    """An `OSError` of the application must not be taken for a broken database, which would be waited for."""
    execution = start(store)

    def work(session: Any) -> str:
        raise FileNotFoundError("notes.txt")

    with pytest.raises(FileNotFoundError, match="notes"):
        store.write_sync(Transact(execution, "s", 0, "k", work))


def test_a_kept_transaction_is_not_called_again(store: Store) -> None:
    execution = start(store)
    assert store.write_sync(Transact(execution, "s", 0, "k", lambda session: "1")) == "1"
    assert store.write_sync(Transact(execution, "s", 0, "k", lambda session: "2")) == "1"
    assert store.write_sync(Transact(execution, "s", 0, "other", lambda session: "3")) == "3"


def test_a_write_from_inside_a_transaction_is_refused_and_not_waited_for(store: Store) -> None:
    execution = start(store)
    seen: list[type[BaseException] | None] = []

    def work(session: Any) -> str:
        seen.append(refusal(lambda: store.write_sync(Cancel(execution.job, None))))
        return "1"

    store.write_sync(Transact(execution, "s", 0, "k", work))
    assert seen != [None]


@pytest.mark.parametrize(
    ("write", "error"),
    [
        (lambda fence: AppendText(fence, "main", "x" * (MAX_BYTES + 1)), TooLarge),
        (lambda fence: AppendText(fence, "main", "\udc80"), InvalidArguments),
        (lambda fence: SetProgress(fence, float("nan"), "", Notice("Half")), InvalidArguments),
        (lambda fence: SetProgress(fence, 1.0, "\udc80", Notice("Half")), InvalidArguments),
        (lambda fence: Notify(fence, "started", Notice("x", data={"x": object()})), InvalidArguments),
    ],
    ids=["huge text", "broken text", "progress", "message", "notice"],
)
def test_what_cannot_be_stored_is_refused_and_leaves_nothing_half_written(
    store: Store, write: Callable[[Execution], Any], error: type[Exception]
) -> None:
    execution = start(store, owner="ann")
    before = (look(store, execution.job), log_of(store, execution.job))
    assert refusal(lambda: store.write_sync(write(execution))) is error
    assert (look(store, execution.job), log_of(store, execution.job)) == before
    assert store.read_sync(ListNotifications("ann")) == ()
    say(store, execution, "next")
    last = log_of(store, execution.job)[-1]
    assert (last.seq, last.data["offset"]) == (3, 0)
    store.write_sync(Settle(execution, Completed("1")))
    assert look(store, execution.job).status is Status.COMPLETED
