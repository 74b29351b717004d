from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backburner.domain.errors import StoreUnavailable
from backburner.domain.job import Status
from backburner.domain.operations import AppendText, Operation, SetProgress, Submit, Transact
from backburner.store import writer as module
from backburner.store.schema import bring_up_to_date
from backburner.store.sqlite import SQLite
from backburner.store.store import SQLStore
from tests.support.making import complete, kinds, log_of, look, new_job, start, submit
from tests.support.migrated import copy_migrated


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def hold_the_writer(store: SQLStore) -> tuple[asyncio.Future[Any], Callable[[], None]]:
    """Keep the writing thread in a transaction, so that what is written meanwhile makes one batch."""
    execution = await asyncio.to_thread(start, store, "holder")
    inside, go = threading.Event(), threading.Event()

    def work(session: Any) -> str:
        inside.set()
        assert go.wait(20)
        return "1"

    held = store.write(Transact(execution, "hold", 0, "k", work))
    await asyncio.to_thread(inside.wait, 20)
    return held, go.set


async def test_what_waits_together_is_committed_together(store: SQLStore) -> None:
    held, let_go = await hold_the_writer(store)
    writes = [store.write(Submit((new_job(owner="ann"),))) for _ in range(20)]
    let_go()
    await asyncio.gather(held, *writes)
    assert len({write.result().at for write in writes}) == 1, "one transaction has one time"


async def test_a_long_batch_is_cut_and_nothing_of_it_lost_or_moved(
    store: SQLStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LONGEST_BATCH", 0.0)
    execution = await asyncio.to_thread(start, store, "writer", owner="ann")
    held, let_go = await hold_the_writer(store)
    writes: list[asyncio.Future[Any]] = []
    for number in range(20):
        writes.append(store.write(AppendText(execution, "main", str(number % 10))))
        writes.append(store.write(SetProgress(execution, float(number), "")))
    let_go()
    await asyncio.gather(held, *writes)
    events = log_of(store, execution.job)[2:]
    assert [event.kind for event in events] == ["text.delta", "job.progress"] * 20
    assert "".join(event.data["delta"] for event in events[::2]) == "01234567890123456789"
    assert [event.data["percent"] for event in events[1::2]] == [float(number) for number in range(20)]


async def test_operations_that_go_alone_keep_their_place(store: SQLStore) -> None:
    execution = await asyncio.to_thread(start, store, "writer")
    held, let_go = await hold_the_writer(store)
    store.write(AppendText(execution, "main", "a"))
    alone = store.write(Transact(execution, "one", 0, "k", lambda session: "1"))
    store.write(AppendText(execution, "main", "b"))
    last = store.write(Transact(execution, "two", 0, "k", lambda session: "2"))
    let_go()
    assert await asyncio.gather(held, alone, last) == ["1", "1", "2"]
    assert kinds(store, execution.job)[2:] == ["text.delta", "step.completed", "text.delta", "step.completed"]


async def test_a_future_that_nobody_waits_for_any_more_harms_nobody(store: SQLStore) -> None:
    held, let_go = await hold_the_writer(store)
    jobs = [new_job(), new_job()]
    given_up = store.write(Submit((jobs[0],)))
    waited = store.write(Submit((jobs[1],)))
    given_up.cancel()
    let_go()
    await asyncio.gather(held, waited)
    assert look(store, jobs[0].id).status is Status.PENDING


def test_an_event_loop_that_ended_while_its_write_waited_harms_nobody(store: SQLStore) -> None:
    inside, go = threading.Event(), threading.Event()
    execution = start(store, "holder")

    def work(session: Any) -> str:
        inside.set()
        assert go.wait(20)
        return "1"

    async def write_and_leave() -> None:
        store.write(Transact(execution, "hold", 0, "k", work))
        await asyncio.to_thread(inside.wait, 20)

    asyncio.run(write_and_leave())
    go.set()
    submit(store)


class Failing:
    """A connection whose commits fail for a while."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self.errors: list[Exception] = []

    def execute(self, sql: str, *args: Any) -> Any:
        if sql == "COMMIT" and self.errors:
            raise self.errors.pop(0)
        return self._raw.execute(sql, *args)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)


@pytest.fixture
def failing(store: SQLStore) -> Failing:
    submit(store)
    connection = store._writer._connection
    assert connection is not None
    failing = Failing(connection.raw)
    connection.raw = failing
    return failing


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (sqlite3.OperationalError("database or disk is full"), "is full or broken"),
        (sqlite3.OperationalError("disk I/O error"), "is full or broken"),
        (sqlite3.OperationalError("attempt to write a readonly database"), "is read-only"),
        (sqlite3.OperationalError("database is locked"), "locked by another program"),
        (sqlite3.DatabaseError("database disk image is malformed"), "cannot be used"),
    ],
)
def test_a_commit_that_fails_is_said_in_words_and_leaves_nothing(
    store: SQLStore, failing: Failing, error: Exception, words: str
) -> None:
    failing.errors = [error]
    job = new_job()
    with pytest.raises(StoreUnavailable, match=words):
        store.write_sync(Submit((job,)))
    assert failing.in_transaction is False
    store.write_sync(Submit((job,)))
    assert kinds(store, job.id) == ["job.submitted"]


def test_a_commit_that_fails_gives_the_turn_back(store: SQLStore, failing: Failing, database: SQLite) -> None:
    failing.errors = [sqlite3.OperationalError("database or disk is full")]
    with pytest.raises(StoreUnavailable):
        submit(store)
    other = database.turn()
    other.take()
    other.give_back()
    other.close()


def test_a_database_that_cannot_be_opened_costs_no_descriptors(
    database: SQLite, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring_up_to_date(database)
    store = SQLStore(database, lambda hint: None)

    def fail(*_: Any) -> Any:
        raise sqlite3.OperationalError("unable to open database file")

    with monkeypatch.context() as patch:
        patch.setattr(database, "open_writer", fail)
        before = descriptors()
        for _ in range(20):
            with pytest.raises(StoreUnavailable, match="cannot be opened"):
                submit(store)
        assert descriptors() < before + 20, "what other tests left may come and go"
    submit(store)
    store.close()


def test_a_lost_folder_of_locks_is_said_in_words(tmp_path: Path) -> None:
    copy_migrated(tmp_path / "jobs.db")
    store = SQLStore(SQLite(str(tmp_path / "jobs.db")), lambda hint: None)
    for file in (tmp_path / "jobs.db.locks").iterdir():
        file.unlink()
    (tmp_path / "jobs.db.locks").rmdir()
    with pytest.raises(StoreUnavailable, match=r"jobs\.db"):
        submit(store)
    store.close()


def test_an_unknown_operation_is_an_error_and_no_end(store: SQLStore) -> None:
    class Odd(Operation[None]):
        pass

    with pytest.raises(KeyError):
        store.write_sync(Odd())
    complete(store, start(store))
