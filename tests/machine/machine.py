"""A store is driven at random, as two processes at once would, beside the model; both must always agree."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from backburner.domain.job import KeptStep
from backburner.domain.operations import (
    Cancel,
    ExpireWaiting,
    FailUnknown,
    FoldCounts,
    FreeBlocked,
    KeepStep,
    Limit,
    PauseQueue,
    RaiseOld,
    Reclaim,
    Renew,
    Rescue,
    Retire,
    Retry,
    SetProgress,
)
from backburner.store import awaiting, tables
from backburner.store.batch import insert_all
from backburner.store.connection import Statement
from backburner.store.submitting import insert_jobs
from tests.support.open_transactions import transaction

from .choices import (
    LIMITS,
    OUTCOMES,
    QUEUE_LIMITS,
    STORE,
    WHICH,
    alone,
    with_ended,
    with_executions,
    with_jobs,
    with_parked,
    with_workers,
)
from .driving import CAP, LEASE, OWNERS, QUEUES, TASKS
from .model import SECOND, Model
from .purse import Purse
from .spending import Spending
from .tying import Tying

UNANNOUNCED = Statement(insert_all(tables.unannounced, "job_id"))


class Machine(Tying, Spending):
    @initialize(
        tasks=st.fixed_dictionaries(dict.fromkeys(TASKS, LIMITS)),
        queues=st.fixed_dictionaries({"q": QUEUE_LIMITS}),
        purse=st.builds(Purse, st.integers(1, 3), st.none() | st.integers(1, 2), st.just(200)),
    )
    def begin(self, tasks: dict[str, Limit], queues: dict[str, Limit], purse: Purse) -> None:
        self.model = Model(tasks, queues, self.field.clock.now)
        self.purse = purse
        for store in (0, 1):
            self.sign_on(store, TASKS)
        for owner in ("ann", "ann", "bob"):
            self.enter(0, task="a", queue="q", owner=owner)

    # Gathered operations are written at once: most share one transaction.

    @alone
    @rule(store=STORE)
    def gather_operations(self, store: int) -> None:
        self.gather(store)

    @precondition(lambda self: self.gathered is not None)
    @rule()
    def write_what_was_gathered(self) -> None:
        self.write_gathered()

    # Whoever submits and owns jobs.

    @rule(
        store=STORE,
        task=st.sampled_from(TASKS),
        queue=st.sampled_from(QUEUES),
        owner=st.sampled_from(OWNERS),
        priority=st.sampled_from([5, 5, 1, 9, 10]),
        key=st.sampled_from([None, None, "k", "l"]),
        reject=st.booleans(),
        delay=st.sampled_from([0.0, 0.0, 0.0, 10.0]),
        expires=st.sampled_from([None, None, 0.0, 15.0]),
    )
    def submit(self, store: int, reject: bool, **more: Any) -> None:
        self.enter(store, reject=reject and more["key"] is not None, **more)

    @alone
    @rule(
        store=STORE,
        task=st.sampled_from(TASKS),
        owner=st.sampled_from(OWNERS),
        delay=st.sampled_from([0.0, 10.0]),
        expires=st.sampled_from([None, 0.0]),
    )
    def submit_in_a_transaction_of_the_application(self, store: int, **more: Any) -> None:
        job = self.new_job(**more)
        with transaction(self.stores[store]) as batch:
            insert_jobs(batch.connection, [job], batch.now, seq=0)
            batch.connection.run(UNANNOUNCED, job_id=job.id)
        self.model.insert(job)

    @with_jobs
    @rule(store=STORE, which=WHICH)
    def cancel(self, store: int, which: int) -> None:
        job = self.pick(list(self.model.jobs), which)
        if self.costs_no_turn(job):
            return
        expected = self.model.cancel(job)
        self.do(store, Cancel(job, None), expected, lambda record: (record.status, record.cancel_requested))

    @with_ended
    @rule(store=STORE, which=WHICH)
    def retry(self, store: int, which: int) -> None:
        job = self.pick(self.ended(), which)
        self.do(store, Retry(job, None), self.model.retry(job), lambda record: record.status)

    @with_parked
    @alone
    @rule(store=STORE, which=WHICH)
    def wake(self, store: int, which: int) -> None:
        job = self.model.jobs[self.pick(self.parked(), which)].new
        with transaction(self.stores[store]) as batch:
            assert awaiting.wake(batch, job.id, job.owner, job.task, job.queue, job.priority)
        self.model.wake(job.id)

    @rule(store=STORE, queue=st.sampled_from(QUEUES), paused=st.booleans())
    def pause(self, store: int, queue: str, paused: bool) -> None:
        (self.model.line.paused.add if paused else self.model.line.paused.discard)(queue)
        self.do(store, PauseQueue(queue, paused), None)

    # Workers.

    @rule(store=STORE, tasks=st.sampled_from([TASKS, TASKS, ("a",)]))
    def register(self, store: int, tasks: tuple[str, ...]) -> None:
        self.sign_on(store, tasks)

    @with_workers
    @rule(which=WHICH, count=st.integers(1, 4))
    def claim(self, which: int, count: int) -> None:
        self.claim_for(self.pick(list(self.model.workers), which), count)

    @with_workers
    @rule(which=WHICH, outcome=OUTCOMES)
    def run_one(self, which: int, outcome: Any) -> None:
        """Claim, talk and settle, so that jobs have a past."""
        for execution in self.claim_for(self.pick(list(self.model.workers), which), 1):
            for delta in ("abc", "de"):
                self.speak(execution, "main", delta, None)
            self.settle_as(execution, outcome)

    @with_workers
    @alone
    @rule(which=WHICH)
    def renew(self, which: int) -> None:
        name = self.pick(list(self.model.workers), which)
        worker = self.model.workers[name]
        worker.expires_at = self.model.now + LEASE * SECOND
        self.do(worker.store, Renew(name, LEASE), True)

    @with_executions
    @rule(which=WHICH, percent=st.sampled_from([0.0, 50.0]))
    def progress(self, which: int, percent: float) -> None:
        execution = self.execution(which)
        self.do(self.store_of(execution), SetProgress(execution, percent, ""), self.model.progress(execution))

    @with_executions
    @rule(
        which=WHICH, channel=st.sampled_from(["main", "side"]), delta=st.sampled_from(["", "abc"]), again=st.booleans()
    )
    def say(self, which: int, channel: str, delta: str, again: bool) -> None:
        execution = self.execution(which)
        self.speak(execution, channel, delta, 0 if again else None)  # one whose answer was lost is written again

    @with_executions
    @rule(
        which=WHICH,
        name=st.sampled_from(["one", "two"]),
        value=st.sampled_from(["1", "2"]),
        channels=st.sampled_from([(), ("main",)]),
    )
    def keep(self, which: int, name: str, value: str, channels: tuple[str, ...]) -> None:
        execution = self.execution(which)
        expected = self.model.keep(execution, name, value, channels)
        self.do(self.store_of(execution), KeepStep(execution, KeptStep(name, 0, "k", value), channels), expected)

    @with_executions
    @rule(which=WHICH, outcome=OUTCOMES)
    def settle(self, which: int, outcome: Any) -> None:
        self.settle_as(self.execution(which), outcome)

    @with_workers
    @rule(which=WHICH)
    def retire(self, which: int) -> None:
        name = self.pick(list(self.model.workers), which)
        self.model.give_back(name)
        self.do(self.model.workers.pop(name).store, Retire(name), None)

    @with_workers
    @rule(which=WHICH, forget=st.booleans())
    def reclaim(self, which: int, forget: bool) -> None:
        name = self.pick(list(self.model.workers), which)
        held = [job for job, each in self.model.jobs.items() if each.worker == name]
        known = tuple(held[1:] if forget else held)
        self.do(self.model.workers[name].store, Reclaim(name, known), self.model.give_back(name, known))

    # What goes wrong.

    @with_workers
    @rule(which=WHICH)
    def a_worker_dies(self, which: int) -> None:
        name = self.pick(list(self.model.workers), which)
        self.do(1 - self.model.workers[name].store, Rescue((name,), False, CAP), self.model.rescue([name], False, CAP))

    @with_workers
    @rule(which=WHICH, outcome=OUTCOMES)
    def a_worker_comes_back_late(self, which: int, outcome: Any) -> None:
        """Its jobs are with another by then."""
        late = self.pick(list(self.model.workers), which)
        lost = self.claim_for(late, 1)
        self.a_worker_dies(list(reversed(self.model.workers)).index(late))
        self.claim_for(self.sign_on(0, TASKS), 4)
        for execution in lost:
            self.speak(execution, "main", "late", None)
            self.settle_as(execution, outcome)

    @alone
    @rule(store=STORE)
    def a_process_dies(self, store: int) -> None:
        self.stores[store].close()
        self.stores[store] = self.field.open()
        lost = tuple(name for name, worker in self.model.workers.items() if worker.store == store)
        self.do(1 - store, Rescue(lost, False, CAP), self.model.rescue(lost, False, CAP))

    @rule(store=STORE)
    def rescue_expired(self, store: int) -> None:
        self.do(store, Rescue((), True, CAP), self.model.rescue((), True, CAP))

    @alone
    @rule(seconds=st.sampled_from([1, 9, 15, 40, 3600, -5, -3600]))
    def time_passes_or_the_clock_jumps(self, seconds: int) -> None:
        self.move_time(seconds)

    # Chores.

    @rule(store=STORE)
    def expire_waiting(self, store: int) -> None:
        if any(self.costs_no_turn(name) for name, job in self.model.jobs.items() if job.deadline):
            return
        self.do(store, ExpireWaiting(), self.model.expire_waiting())

    @alone
    @rule(store=STORE, patience=st.sampled_from([5.0, 600.0]))
    def raise_old(self, store: int, patience: float) -> None:
        self.do(store, RaiseOld(patience, tuple(self.model.jobs)), self.model.line.raise_old(patience))

    @rule(store=STORE)
    def free_blocked(self, store: int) -> None:
        self.do(store, FreeBlocked(), self.model.line.free_blocked())

    @alone
    @rule(store=STORE)
    def fail_unknown(self, store: int) -> None:
        self.do(store, FailUnknown(600.0), self.model.fail_unknown(600.0))

    @rule(store=STORE)
    def fold_counts(self, store: int) -> None:
        self.do(store, FoldCounts(), False)

    @invariant()
    def all_promises_are_kept(self) -> None:
        if self.gathered is None and hasattr(self, "model"):
            self.check()
