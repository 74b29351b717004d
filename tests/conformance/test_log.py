from __future__ import annotations

import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

from backburner.domain.notifications import Notice
from backburner.domain.operations import Completed as Done
from backburner.domain.operations import (
    Execution,
    JobEvents,
    ListNotifications,
    OwnerEvents,
    Settle,
    Submit,
    Tails,
)
from backburner.ports import Store
from tests.support.making import claim, complete, log_of, new_job, register, say, start, submit

from .conftest import Open


def test_a_jobs_log_is_read_in_order_and_from_any_place(store: Store) -> None:
    execution = start(store)
    for number in range(5):
        say(store, execution, str(number))
    complete(store, execution)
    whole = store.read_sync(JobEvents(execution.job))
    assert [event.seq for event in whole] == list(range(1, 9))
    assert store.read_sync(JobEvents(execution.job, after=3)) == whole[3:]
    assert store.read_sync(JobEvents(execution.job, after=3, limit=2)) == whole[3:5]
    assert store.read_sync(JobEvents(execution.job, after=8)) == ()


def test_an_owners_stream_holds_all_jobs_and_nobody_elses(store: Store) -> None:
    mine = start(store, owner="ann")
    submit(store, owner="bob")
    submit(store)
    complete(store, mine)
    stream = store.read_sync(OwnerEvents("ann"))
    assert [(event.job, event.position) for event in stream] == [(mine.job, 1), (mine.job, 2), (mine.job, 3)]
    assert store.read_sync(OwnerEvents("ann", after=2)) == stream[2:]


def test_tails_say_where_the_logs_end(store: Store) -> None:
    execution = start(store, owner="ann")
    jobs, owners = store.read_sync(Tails([execution.job, "nothing"], ["ann", "bob"]))
    assert (jobs, owners) == ({execution.job: 2}, {"ann": 2})


def test_logs_are_free_of_gaps_while_two_stores_write_at_once(open_store: Open) -> None:
    """Each job and each owner's stream counts 1, 2, 3… and a job's order in its owner's stream is its own order."""
    stores = [open_store(), open_store()]
    owners = ["ann", "bob"]
    workers = [register(store) for store in stores]
    barrier = threading.Barrier(4)

    def live(number: int) -> None:
        store, worker = stores[number % 2], workers[number % 2]
        barrier.wait()
        for turn in range(10):
            store.write_sync(Submit(tuple(new_job(owner=owners[(turn + each) % 2]) for each in range(3))))
            for job in claim(store, worker, count=3):
                fence = Execution(job.id, job.attempt)
                say(store, fence, "雪")
                store.write_sync(Settle(fence, Done("1", Notice("Done"))))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(live, range(4)))
    for owner in owners:
        stream = stores[0].read_sync(OwnerEvents(owner, limit=10_000))
        assert [event.position for event in stream] == list(range(1, len(stream) + 1))
        seqs: dict[str, list[int]] = defaultdict(list)
        for event in stream:
            seqs[event.job].append(event.seq)
        for job, seen in seqs.items():
            assert seen == list(range(1, len(seen) + 1))
            assert len(log_of(stores[1], job)) == len(seen)


def test_a_reader_of_a_stream_never_sees_a_later_position_before_an_earlier_one(open_store: Open) -> None:
    writers, reader = [open_store(), open_store()], open_store()
    done = threading.Event()

    def write(store: Store) -> None:
        for _ in range(25):
            submit(store, owner="ann")

    def follow() -> list[int]:
        seen: list[int] = []
        while True:
            ended = done.is_set()
            new = reader.read_sync(OwnerEvents("ann", after=seen[-1] if seen else 0))
            seen += [event.position or 0 for event in new]
            if ended and not new:
                return seen

    with ThreadPoolExecutor(3) as pool:
        following = pool.submit(follow)
        list(pool.map(write, writers))
        done.set()
        assert following.result() == list(range(1, 51))


def test_a_notification_is_in_the_inbox_as_soon_as_its_event_is_in_the_log(open_store: Open) -> None:
    store, reader = open_store(), open_store()
    done = threading.Event()

    def follow() -> None:
        after = 0
        while not done.is_set():
            for event in reader.read_sync(OwnerEvents("ann", after=after)):
                after = event.position or 0
                if event.kind == "notification":
                    inbox = reader.read_sync(ListNotifications("ann", limit=1000))
                    assert event.data["id"] in {each.id for each in inbox}
                if event.kind == "job.completed":
                    assert [each.kind for each in log_of(reader, event.job)][-2] == "notification"

    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(follow)
        for _ in range(20):
            store.write_sync(Settle(start(store, owner="ann"), Done("1", Notice("Done"))))
        done.set()
        following.result()
