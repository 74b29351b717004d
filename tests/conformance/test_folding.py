from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backburner.delivery.log import JobLog, OwnerLog
from backburner.domain.events import Event
from backburner.domain.ids import new_id
from backburner.domain.operations import (
    Chore,
    Erase,
    Execution,
    FoldTexts,
    JobEvents,
    JobSnapshot,
    OpenChores,
    OwnerEvents,
    Retry,
    Tails,
)
from backburner.ports import Store
from backburner.store import folding, logs
from tests.support.clock import pass_time
from tests.support.making import claim, complete, fail, keep, kinds, log_of, register, say, start

TEN_MINUTES = 600.0


def fold(store: Store) -> None:
    while store.write_sync(FoldTexts()):
        pass


def story(store: Store, owner: str | None = None, words: int = 5) -> str:
    """A job that wrote some words and has ended."""
    execution = start(store, owner=owner)
    for number in range(words):
        say(store, execution, f"词{number} ")
    complete(store, execution)
    return execution.job


def in_events(store: Store, job: str) -> int:
    """How many text events are single rows."""
    raw = store.database.open_reader()  # type: ignore[attr-defined]
    try:
        query = f"SELECT count(*) FROM bb_events WHERE job_id = '{job}' AND kind = 'text.delta'"
        return int(raw.execute(query).fetchone()[0])
    finally:
        store.database.close(raw)  # type: ignore[attr-defined]


def pages(store: Store, query: Any, name: str, after: int, size: int) -> list[Event]:
    """The log from a cursor on, page by page, as a client reads it."""
    log = JobLog(name) if query is JobEvents else OwnerLog(name)
    found: list[Event] = []
    while page := store.read_sync(query(name, after=after, limit=size)):
        found += page
        after = log.number(page[-1])
    return found


def lines(events: list[Event], query: Any, name: str) -> list[bytes]:
    """What goes over the line."""
    log = JobLog(name) if query is JobEvents else OwnerLog(name)
    return [log.entry(event).text for event in events]


def test_a_text_is_folded_ten_minutes_after_the_end_and_reads_as_before(store: Store) -> None:
    job = story(store, owner="ann")
    before, stream = log_of(store, job), store.read_sync(OwnerEvents("ann"))
    pass_time(store, TEN_MINUTES - 5)
    assert store.read_sync(OpenChores()) & {Chore.FOLD} == set()
    fold(store)
    assert in_events(store, job) == 5
    pass_time(store, 6)
    assert Chore.FOLD in store.read_sync(OpenChores())
    fold(store)
    assert Chore.FOLD not in store.read_sync(OpenChores())
    assert in_events(store, job) == 0
    assert log_of(store, job) == before
    assert store.read_sync(OwnerEvents("ann")) == stream
    assert store.read_sync(Tails((job,), ("ann",))) == ({job: 8}, {"ann": 8})


def test_a_snapshot_shows_a_folded_text(store: Store) -> None:
    job = story(store)
    pass_time(store, TEN_MINUTES + 1)
    fold(store)
    snapshot = store.read_sync(JobSnapshot(job))
    assert snapshot is not None
    assert snapshot.texts == {"main": "词0 词1 词2 词3 词4 "}


def test_running_and_waiting_jobs_are_not_folded(store: Store) -> None:
    running, waiting = start(store), start(store)
    for execution in (running, waiting):
        say(store, execution, "a")
        say(store, execution, "b")
    fail(store, waiting, retry_after=10_000)
    pass_time(store, TEN_MINUTES + 1)
    fold(store)
    assert (in_events(store, running.job), in_events(store, waiting.job)) == (2, 2)


def test_a_folded_job_that_is_run_again_continues_its_log_and_is_folded_again(store: Store) -> None:
    execution = start(store, owner="ann")
    say(store, execution, "first")
    say(store, execution, " try")
    fail(store, execution)
    job = execution.job
    pass_time(store, TEN_MINUTES + 1)
    fold(store)
    store.write_sync(Retry(job, None))
    (again,) = claim(store, register(store))
    second = Execution(job, again.attempt)
    for word in ("second", " try", "!"):
        say(store, second, word)
    complete(store, second)
    before = log_of(store, job)
    assert [event.seq for event in before] == list(range(1, len(before) + 1))
    assert kinds(store, job).count("text.delta") == 5
    assert in_events(store, job) == 3
    pass_time(store, TEN_MINUTES + 1)
    fold(store)
    assert in_events(store, job) == 0
    assert log_of(store, job) == before
    snapshot = store.read_sync(JobSnapshot(job))
    assert snapshot is not None
    assert snapshot.texts == {"main": "second try!"}


def test_the_tail_of_a_stream_is_read_without_a_look_at_folds(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        story(store, owner="ann")
    pass_time(store, TEN_MINUTES + 1)
    fold(store)
    end = store.read_sync(Tails((), ("ann",)))[1]["ann"]
    monkeypatch.setattr(logs, "unpack", lambda *_: pytest.fail("a fold was loaded"))
    assert store.read_sync(OwnerEvents("ann", after=end)) == ()
    assert [event.kind for event in store.read_sync(OwnerEvents("ann", after=end - 1))] == ["job.completed"]


def test_a_page_of_a_long_log_reads_only_the_folds_it_needs(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "MOST_EVENTS", 5)
    job = story(store, owner="ann", words=30)
    pass_time(store, TEN_MINUTES + 1)
    fold(store)
    loaded: list[Any] = []
    unpack = folding.unpack
    monkeypatch.setattr(logs, "unpack", lambda *packed: loaded.append(packed) or unpack(*packed))
    assert [event.seq for event in store.read_sync(JobEvents(job, after=12, limit=3))] == [13, 14, 15]
    assert len(loaded) <= 2
    loaded.clear()
    assert [event.position for event in store.read_sync(OwnerEvents("ann", after=12, limit=3))] == [13, 14, 15]
    assert len(loaded) <= logs.FOLDS_AT_ONCE


@pytest.mark.parametrize("size", [1, 10, 500])
def test_texts_of_many_jobs_at_once_are_read_in_the_order_of_the_stream(store: Store, size: int) -> None:
    running = [start(store, owner="ann") for _ in range(2 * logs.FOLDS_AT_ONCE + 1)]
    for number in range(4):
        for execution in running[number:]:
            say(store, execution, str(number))
    for execution in running:
        complete(store, execution)
    before = list(store.read_sync(OwnerEvents("ann")))
    pass_time(store, TEN_MINUTES + 1)
    fold(store)
    assert sum(in_events(store, execution.job) for execution in running) <= len(running)
    assert pages(store, OwnerEvents, "ann", 0, size) == before


def test_what_a_fold_cannot_hold_as_text_is_escaped(store: Store) -> None:
    execution = start(store)
    for word in ("a\0b", "\r\n\u2028", "😀", '"\\'):
        say(store, execution, word)
    complete(store, execution)
    before = log_of(store, execution.job)
    pass_time(store, TEN_MINUTES + 1)
    fold(store)
    assert in_events(store, execution.job) == 0
    assert log_of(store, execution.job) == before


def test_long_texts_are_folded_in_parts(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "MOST_TEXT", 10)
    execution = start(store)
    for word in ("x" * 6, "y" * 6, "z" * 30, "a", "b"):
        say(store, execution, word)
    complete(store, execution)
    before = log_of(store, execution.job)
    pass_time(store, TEN_MINUTES + 1)
    fold(store)
    assert in_events(store, execution.job) == 0
    assert log_of(store, execution.job) == before


def test_erasing_a_folded_job_leaves_the_others_in_the_stream(store: Store) -> None:
    jobs = [story(store, owner="ann") for _ in range(3)]
    pass_time(store, TEN_MINUTES + 1)
    fold(store)
    before = store.read_sync(OwnerEvents("ann"))
    store.write_sync(Erase(jobs[1], None))
    assert store.read_sync(OwnerEvents("ann")) == tuple(event for event in before if event.job != jobs[1])
    assert store.read_sync(JobEvents(jobs[1])) == ()


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("start"), st.sampled_from(["ann", "ann", "bob", None])),
        st.tuples(st.just("say"), st.integers(0, 3), st.sampled_from(["main", "notes"]), st.text(max_size=4)),
        st.tuples(st.just("say"), st.integers(0, 3), st.just("main"), st.sampled_from(["雪", "a", "bc"])),
        st.tuples(st.just("keep"), st.integers(0, 3)),
        st.tuples(st.just("again"), st.integers(0, 3)),
        st.tuples(st.just("end"), st.integers(0, 3)),
        st.tuples(st.just("retry"), st.integers(0, 3)),
        st.tuples(st.just("fold")),
    ),
    min_size=5,
    max_size=40,
)


class Told:
    """What happened in one example, on a store that has seen others."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.prefix = new_id()[-12:]
        self.worker = register(store)
        self.running: list[Execution] = []
        self.ended: list[str] = []
        self.owners: dict[str, str | None] = {}
        self.log: dict[str, dict[int, Event]] = defaultdict(dict)

    def do(self, action: str, *given: Any) -> None:
        match action:
            case "start":
                (owner,) = given
                execution = start(self.store, owner=owner and f"{owner}-{self.prefix}", max_tries=99)
                self.owners[execution.job] = owner and f"{owner}-{self.prefix}"
                self.running.append(execution)
            case "say" if self.running:
                number, channel, text = given
                say(self.store, self.running[number % len(self.running)], text.replace("\0", " "), channel)
            case "keep" if self.running:
                keep(self.store, self.running[given[0] % len(self.running)], new_id(), channels=("main",))
            case "again" if self.running:
                execution = self.running.pop(given[0] % len(self.running))
                fail(self.store, execution, retry_after=0)
                self.take()
            case "end" if self.running:
                execution = self.running.pop(given[0] % len(self.running))
                fail(self.store, execution)
                self.ended.append(execution.job)
            case "retry" if self.ended:
                self.store.write_sync(Retry(self.ended.pop(given[0] % len(self.ended)), None))
                self.take()
            case "fold":
                self.remember()
                pass_time(self.store, TEN_MINUTES + 1)
                self.store.write_sync(FoldTexts())

    def take(self) -> None:
        (job,) = claim(self.store, self.worker)
        self.running.append(Execution(job.id, job.attempt))

    def remember(self) -> None:
        """Each event as it was when it was first read."""
        for job in self.owners:
            for event in self.store.read_sync(JobEvents(job, limit=10_000)):
                self.log[job].setdefault(event.seq, event)

    def finish(self) -> None:
        for execution in self.running:
            complete(self.store, execution)
        self.remember()
        pass_time(self.store, TEN_MINUTES + 1)
        fold(self.store)


@given(script=ACTIONS, size=st.sampled_from([1, 2, 3, 7, 128]))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_cursor_resumes_as_if_nothing_had_been_folded(
    store: Store, script: list[tuple[Any, ...]], size: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folding, "MOST_EVENTS", 4)
        patch.setattr(logs, "FOLDS_AT_ONCE", 2)
        told = Told(store)
        for action in script:
            told.do(*action)
        told.finish()
        streams: dict[str, list[Event]] = defaultdict(list)
        for job, events in told.log.items():
            whole = list(events.values())
            assert [event.seq for event in whole] == list(range(1, len(whole) + 1))
            for after in range(len(whole) + 1):
                read = pages(store, JobEvents, job, after, size)
                assert lines(whole[after:], JobEvents, job) == lines(read, JobEvents, job)
            if (owner := told.owners[job]) is not None:
                streams[owner] += whole
        for owner, stream in streams.items():
            stream.sort(key=lambda event: event.position or 0)
            assert [event.position for event in stream] == list(range(1, len(stream) + 1))
            for after in range(len(stream) + 1):
                read = pages(store, OwnerEvents, owner, after, size)
                assert lines(stream[after:], OwnerEvents, owner) == lines(read, OwnerEvents, owner)
