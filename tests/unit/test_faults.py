"""Faults in the engine's own threads: whoever waits is answered, and the thread lives on."""

from __future__ import annotations

import itertools
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import literal, select

from backburner.domain.errors import StoreUnavailable
from backburner.domain.job import Status
from backburner.domain.operations import CountJobs, SetProgress, Submit
from backburner.ports import Hint
from backburner.signals.local import Doorbell
from backburner.store import handlers
from backburner.store.connection import Statement, _written, rehearse
from backburner.store.lanes import Lanes
from backburner.store.sqlite import SQLite
from backburner.store.store import SQLStore
from backburner.worker.looking import Looker
from tests.support.making import look, new_job, start

PATIENCE = 20.0


class Broken(Exception):
    """A mistake of the engine's own."""


@pytest.fixture
def uncompilable() -> Iterator[Statement]:
    """Written as others are, and wrong."""

    def build(insert: Any) -> Any:
        raise Broken("no such clause")

    statement = Statement(build)
    yield statement
    _written.remove(weakref.ref(statement))


def answered(function: Callable[[], Any]) -> Any:
    """What it answers or raises; whoever waits for ever fails the test."""
    done: Future[Any] = Future()

    def call() -> None:
        try:
            done.set_result(function())
        except BaseException as error:
            done.set_result(error)

    threading.Thread(target=call, daemon=True).start()
    return done.result(PATIENCE)


def submitted(store: SQLStore) -> str:
    job = new_job()
    found = answered(lambda: store.write_sync(Submit((job,))))
    assert not isinstance(found, BaseException), found
    return job.id


def test_a_statement_that_cannot_be_compiled_fails_who_needs_it_and_nobody_else(
    uncompilable: Statement, database: SQLite, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = SQLStore(database, lambda hint: None)
    try:
        execution = start(store, submitted(store))
        monkeypatch.setitem(handlers.ONE, SetProgress, lambda batch, operation: batch.connection.run(uncompilable))
        monkeypatch.delitem(handlers.MANY, SetProgress, raising=False)
        assert isinstance(answered(lambda: store.write_sync(SetProgress(execution, 1, ""))), Broken)
        assert Status.PENDING is look(store, submitted(store)).status
    finally:
        store.close()
    assert any("no such clause" in str(record.exc_info and record.exc_info[1]) for record in caplog.records)


@pytest.mark.parametrize(
    "part",
    ["begin", "commit", "roll_back", "is_lost", "open_writer", "translate", "turn", "repeatable"],
)
def test_a_fault_while_writing_leaves_nobody_waiting(
    database: SQLite, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    store = SQLStore(database, lambda hint: None)
    try:
        if part != "open_writer" and part != "turn":
            submitted(store)
        fail_once(monkeypatch, database, part)
        monkeypatch.setitem(handlers.ONE, SetProgress, failing)
        answered(lambda: store.write_sync(Submit((new_job(),))))
        answered(lambda: store.write_sync(SetProgress(None, 1, "")))  # type: ignore[arg-type]
        submitted(store)
    finally:
        store.close()


@pytest.mark.parametrize("part", ["take", "give_back", "pause_for_others"])
def test_a_fault_in_the_turn_leaves_nobody_waiting(
    database: SQLite, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    store = SQLStore(database, lambda hint: None)
    try:
        submitted(store)
        fail_once(monkeypatch, store._writer._turn, part)
        answered(lambda: store.write_sync(Submit((new_job(),))))
        submitted(store)
    finally:
        store.close()


def test_a_bell_that_cannot_be_rung_fails_no_write(database: SQLite, caplog: pytest.LogCaptureFixture) -> None:
    def ring(hint: Hint) -> None:
        raise Broken("no bell")

    store = SQLStore(database, ring)
    try:
        submitted(store)
        submitted(store)
    finally:
        store.close()
    assert any("no bell" in str(record.exc_info and record.exc_info[1]) for record in caplog.records)


@pytest.mark.parametrize("part", ["open_reader", "snapshot", "translate", "is_lost", "now"])
def test_a_fault_while_reading_leaves_nobody_waiting(
    store: SQLStore, database: SQLite, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    for _ in range(2):
        with monkeypatch.context() as patch:
            fail_once(patch, database, part)
            patch.setitem(handlers.READ, CountJobs, failing)
            assert isinstance(answered(lambda: store.read_sync(CountJobs(None))), Exception)
    assert not isinstance(answered(lambda: store.read_sync(CountJobs(None))), BaseException)


def test_a_closed_store_starts_no_further_lane(store: SQLStore) -> None:
    started = itertools.count()

    def begin() -> Any:
        next(started)
        raise Broken("it was started")

    lanes = Lanes(begin)
    lanes.close()
    with pytest.raises(StoreUnavailable):
        lanes.choose()
    assert 0 == next(started)


def test_a_look_goes_on_after_a_fault_in_the_pause_before_it() -> None:
    looked = threading.Event()

    class Pausing(Looker):
        name = "pausing"
        what = "nothing is looked at"
        pauses = 0

        def pause(self) -> float:
            self.pauses += 1
            if self.pauses == 1:
                raise Broken("no pause")
            return 0.0

        def look(self) -> None:
            looked.set()

    looker = Pausing()
    looker.start()
    try:
        assert looked.wait(PATIENCE)
    finally:
        looker.stop()


def test_a_bell_is_heard_after_a_fault_in_the_net_behind_it(tmp_path: Path) -> None:
    asked, heard = itertools.count(), threading.Event()

    def changed() -> bool:
        if next(asked) == 1:
            raise Broken("no net")
        return next(asked) > 3

    bell = Doorbell(str(tmp_path / "jobs.db"), changed)
    try:
        bell.subscribe(lambda hint: heard.set())
        assert heard.wait(PATIENCE)
    finally:
        bell.close()


def fail_once(patch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
    usual = getattr(owner, name)
    faults = itertools.count()

    def broken(*args: Any) -> Any:
        if next(faults) == 0:
            raise Broken(name)
        return usual(*args)

    patch.setattr(owner, name, broken)


def failing(*_: Any) -> Any:
    raise Broken("the operation itself")


def test_statements_that_another_thread_writes_do_not_disturb_a_rehearsal(database: SQLite) -> None:
    rehearse(database.language)
    kept: list[Statement] = []
    writing = threading.Thread(target=lambda: kept.extend(Statement(select(literal(1))) for _ in range(1000)))
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        writing.start()
        while writing.is_alive():
            rehearse(database.language)
    finally:
        sys.setswitchinterval(interval)
        writing.join()
