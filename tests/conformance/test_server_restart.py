"""A store whose server was restarted while nobody looked."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from backburner.domain.errors import StoreUnavailable
from backburner.domain.job import Status
from backburner.domain.notifications import Notice
from backburner.domain.operations import Execution, Notify
from backburner.store import handlers, postgres
from backburner.store.batch import Batch
from backburner.store.postgres import Postgres
from backburner.store.store import SQLStore
from tests.support.making import look, register, start, submit
from tests.support.postgres import PrivatePostgres


@pytest.fixture
def open_one(server: PrivatePostgres) -> Iterator[Callable[[], SQLStore]]:
    opened: list[SQLStore] = []

    def open_one() -> SQLStore:
        opened.append(SQLStore(Postgres(server.url), lambda hint: None))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_the_first_read_and_the_first_write_after_a_restart_are_not_refused(
    server: PrivatePostgres, open_one: Callable[[], SQLStore], mode: str
) -> None:
    store = open_one()
    before = submit(store)
    server.restart(mode)
    after = submit(store)
    assert [Status.PENDING] * 2 == [look(store, job).status for job in (before, after)]
    server.restart(mode)
    start(store, "claimed beside")
    assert Status.PENDING is look(store, before).status


def test_a_connection_that_the_server_ends_in_a_transaction_says_why(
    server: PrivatePostgres, open_one: Callable[[], SQLStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_one()

    def notify(batch: Batch, operation: Notify) -> None:
        server.stop()
        batch.connection.ask("SELECT 1")

    monkeypatch.setitem(handlers.ONE, Notify, notify)
    operation = Notify(Execution("job", 1), "started", Notice("title"))
    with pytest.raises(StoreUnavailable, match="terminating connection due to administrator command"):
        store.write_sync(operation)
    with pytest.raises(StoreUnavailable, match="Connection refused"):
        submit(store)


def test_a_newcomer_takes_nobody_for_dead_who_has_yet_to_take_his_lock_again(
    server: PrivatePostgres, open_one: Callable[[], SQLStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_one()
    worker = register(store)
    store.lock_worker(worker)
    server.restart()
    newcomer = open_one()
    assert () == newcomer.dead_workers()
    monkeypatch.setattr(postgres, "SETTLING", 0.0)
    assert (worker,) == newcomer.dead_workers()
