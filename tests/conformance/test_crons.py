from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from backburner.domain.crons import Cron, Missed
from backburner.domain.operations import DeclareCrons, FireCrons, ForgetCron, ListCrons, ListJobs, NextTick
from backburner.ports import Hint, Store
from backburner.schedule import CronSchedule
from tests.support.clock import pass_time
from tests.support.making import kinds, new_job

from .conftest import Open

HOUR = 3600.0


def cron(expression: str = "0 * * * *", name: str = "c", task: str = "t", missed: Missed = "once") -> Cron:
    return Cron(name, task, CronSchedule(expression, "UTC"), missed, lambda: new_job(task))


def fire(store: Store, *crons: Cron) -> int:
    return store.write_sync(FireCrons(tuple((each, each.make_job()) for each in crons)))


def declared(store: Store, *crons: Cron) -> None:
    store.write_sync(DeclareCrons(crons))


def jobs(store: Store) -> int:
    return len(store.read_sync(ListJobs(limit=1000)))


def test_a_cron_fires_when_its_tick_has_come(store: Store) -> None:
    hourly = cron()
    declared(store, hourly)
    wait = store.read_sync(NextTick((hourly,)))
    assert wait is not None
    assert 0 < wait <= HOUR
    assert fire(store, hourly) == 0
    pass_time(store, wait + 1)
    assert (store.read_sync(NextTick((hourly,))) or 1) <= 0
    assert fire(store, hourly) == 1
    assert fire(store, hourly) == 0
    assert 0 < (store.read_sync(NextTick((hourly,))) or 0) <= HOUR
    (record,) = store.read_sync(ListCrons())
    (job,) = store.read_sync(ListJobs())
    assert (record.name, record.task, record.expression, record.zone) == ("c", "t", "0 * * * *", "UTC")
    assert record.last_job == job.id
    assert kinds(store, job.id) == ["job.submitted"]
    assert record.last_at is not None
    assert record.next_at is not None
    assert record.next_at - record.last_at == HOUR * 1e6
    assert datetime.fromtimestamp(record.next_at / 1e6, UTC).minute == 0


def test_a_tick_fires_once_however_many_watch(open_store: Open) -> None:
    stores = [open_store() for _ in range(4)]
    every = tuple(cron(name=f"c{number}") for number in range(5))
    declared(stores[0], *every)
    barrier = threading.Barrier(len(stores))

    def watch(store: Store) -> int:
        pass_time(store, HOUR)
        barrier.wait()
        return sum(fire(store, *every) for _ in range(3))

    with ThreadPoolExecutor(len(stores)) as pool:
        assert sum(pool.map(watch, stores)) == len(every)
    assert jobs(stores[0]) == len(every)


def test_ticks_that_all_workers_missed_make_one_job(store: Store) -> None:
    declared(store, cron())
    pass_time(store, 10.5 * HOUR)
    declared(store, cron())
    assert fire(store, cron()) == 1
    assert fire(store, cron()) == 0
    (record,) = store.read_sync(ListCrons())
    assert record.last_at is not None
    assert record.next_at is not None
    assert record.next_at - record.last_at == HOUR * 1e6


def test_missed_ticks_are_skipped_where_the_cron_says_so(store: Store) -> None:
    skipping = cron("0 0 1 1 *", missed="skip")
    declared(store, skipping)
    pass_time(store, (store.read_sync(NextTick((skipping,))) or 0) + 300)
    assert fire(store, skipping) == 0
    assert jobs(store) == 0
    wait = store.read_sync(NextTick((skipping,)))
    assert wait is not None
    assert wait > 364 * 24 * HOUR
    pass_time(store, wait + 5)
    assert fire(store, skipping) == 1


def test_a_changed_schedule_takes_effect_and_the_old_one_fires_no_more(store: Store) -> None:
    old, new = cron("0 * * * *"), cron("0 0 1 1 *")
    declared(store, old)
    declared(store, new)
    assert store.read_sync(NextTick((old,))) is None
    (record,) = store.read_sync(ListCrons())
    assert record.expression == "0 0 1 1 *"
    wait = store.read_sync(NextTick((new,)))
    assert wait is not None
    pass_time(store, wait + 1)
    assert fire(store, old) == 0
    assert fire(store, new) == 1


def test_a_schedule_declared_again_as_it_is_keeps_what_is_due(store: Store) -> None:
    declared(store, cron())
    pass_time(store, 2 * HOUR)
    declared(store, cron(missed="skip"))
    declared(store, cron(missed="once", task="other"))
    assert fire(store, cron(task="other")) == 1
    (record,) = store.read_sync(ListCrons())
    assert (record.missed, record.task) == ("once", "other")


def test_only_crons_that_the_worker_knows_are_fired(store: Store) -> None:
    known, removed = cron(name="known"), cron(name="removed")
    declared(store, known, removed)
    pass_time(store, HOUR)
    assert fire(store, known) == 1
    assert [each.name for each in store.read_sync(ListCrons())] == ["known", "removed"]
    assert store.write_sync(ForgetCron("removed")) is True
    assert store.write_sync(ForgetCron("removed")) is False
    assert [each.name for each in store.read_sync(ListCrons())] == ["known"]


def test_a_tick_wakes_the_workers(open_store: Open) -> None:
    heard: list[Hint] = []
    store = open_store(heard.append)
    declared(store, cron())
    pass_time(store, HOUR)
    fire(store, cron())
    assert heard[-1].work
