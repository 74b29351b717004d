"""The seat of the machine: it writes to the stores and to the model, and compares what they answer."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from hypothesis.stateful import RuleBasedStateMachine

from backburner.domain.job import NewJob
from backburner.domain.operations import (
    AppendText,
    Claim,
    Claims,
    Completed,
    Execution,
    FoldTexts,
    FreeBlocked,
    JobEvents,
    Operation,
    OwnerEvents,
    PauseQueue,
    RegisterWorker,
    Rescue,
    Settle,
    Submit,
)
from backburner.store import awaiting
from backburner.store.store import SQLStore
from tests.support.open_transactions import transaction

from .harness import Field, Fresh, number, write_at_once
from .job import Worker
from .likeness import check_likeness
from .model import SECOND, Model
from .promises import Seen, check_promises
from .purse import Purse
from .rows import read_rows

T = TypeVar("T")
View = Callable[[Any], Any]
TASKS, QUEUES, OWNERS = ("a", "b"), ("q", "r"), (None, "ann", "bob")
CAP = 3
LEASE = 30


class Driver(RuleBasedStateMachine):
    """``fresh`` is set by whoever runs it."""

    fresh: Fresh
    model: Model
    purse: Purse

    def __init__(self) -> None:
        super().__init__()
        self.exit = contextlib.ExitStack()
        self.field: Field = self.exit.enter_context(type(self).fresh())
        self.stores: list[SQLStore] = [self.field.open(), self.field.open()]
        self.raw = self.stores[0].database.open_reader()
        self.made = 0
        self.elapsed = 0
        self.put_back = False
        self.sound = True
        self.seen = Seen()
        self.begun: dict[str, list[int]] = defaultdict(list)
        self.gathered: list[tuple[Operation[Any], Any, View]] | None = None
        self.gathering = 0

    def gather(self, store: int) -> None:
        self.gathered, self.gathering = [], store
        self.model.line.drawn.clear()

    def do(self, store: int, operation: Operation[Any], expected: Any, view: View = lambda answer: answer) -> None:
        """While operations are gathered it waits for the others, unless the store would not keep them in order; what
        a transaction does last must not be seen by its other operations."""
        late = self.model.ties.follow_up()
        if self.gathered is not None:
            if not ((operation.apart or operation.alone) and self.stores[store].database.concurrent):
                self.gathered.append((operation, expected, view))
                if late or self._has_drawn_for_a_child():
                    self.write_gathered()
                return
            self.write_gathered()
        answer: Any
        try:
            answer = self.stores[store].write_sync(operation)
        except Exception as error:
            answer = error
        self._compare(operation, expected, answer, view)

    def write_gathered(self) -> None:
        gathered, self.gathered = self.gathered or [], None
        answers = write_at_once(self.stores[self.gathering], [operation for operation, *_ in gathered])
        for answer, (operation, expected, view) in zip(answers, gathered, strict=True):
            self._compare(operation, expected, answer, view)

    def check(self) -> None:
        rows = read_rows(self.raw)
        self.sound = False
        check_promises(rows, self.seen, self.model.line.tasks, self.model.line.queues)
        check_likeness(self.model, rows, self.stores[0])
        self.purse.check(rows)
        self.sound = True

    def new_id(self) -> str:
        self.made += 1
        return number(self.made)

    def new_job(self, **more: Any) -> NewJob:
        return NewJob(self.new_id(), args="{}", max_tries=3, **more)

    def pick(self, choices: Sequence[T], which: int) -> T:
        return choices[-1 - which % len(choices)]

    def ended(self) -> list[str]:
        return [name for name, job in self.model.jobs.items() if job.status.finished]

    def parked(self) -> list[str]:
        return [name for name, job in self.model.jobs.items() if job.place == "parked"]

    def execution(self, which: int) -> Execution:
        """One that was ever given to a worker, so a lost one too; the live ones are likelier."""
        live = [each for each in self.model.executions if self.model.held(each)]
        return self.pick([*self.model.executions[-3:], *live], which)

    def turn_of(self, execution: Execution) -> int:
        """The number by which `execution` picks it."""
        return next(which for which in range(len(self.model.executions) + 3) if self.execution(which) == execution)

    def store_of(self, execution: Execution) -> int:
        job = self.model.jobs.get(execution.job)
        return self.model.workers[job.worker].store if job and job.worker else 0

    def sign_on(self, store: int, tasks: tuple[str, ...]) -> str:
        name = self.new_id()
        self.model.workers[name] = Worker(store, tasks, self.model.now + LEASE * SECOND)
        self.do(store, RegisterWorker(name, LEASE, tasks), None)
        return name

    def enter(self, store: int, **more: Any) -> None:
        job = self.new_job(**more)
        expected = self.model.submit(job)
        self.do(store, Submit((job,)), expected, lambda answer: getattr(answer.instead.get(job.id), "id", job.id))

    def speak(self, execution: Execution, channel: str, delta: str, offset: int | None) -> None:
        expected = self.model.say(execution, channel, delta, offset)
        self.do(self.store_of(execution), AppendText(execution, channel, delta, offset), expected)

    def costs_no_turn(self, job: str) -> bool:
        """Whether it enters and leaves the line in one transaction, if that is what gathering makes of it."""
        return self.gathered is not None and job in self.model.line.drawn

    def _has_drawn_for_a_child(self) -> bool:
        """It would leave the line again with its parent."""
        jobs = self.model.jobs
        return any(name in jobs and jobs[name].new.parent for name in self.model.line.drawn)

    def claim_for(self, name: str, count: int) -> list[Execution]:
        worker, line = self.model.workers[name], self.model.line
        picked = self.model.claim(name, count)
        assert isinstance(picked, list)
        for job in picked:
            self._note_start(job.new.task)
        expected = [(job.new.id, job.attempt, job.tries, sorted(job.steps)) for job in picked], self._next_look()
        tasks = {task: line.tasks[task] for task in worker.tasks}
        self.do(worker.store, Claim(name, tasks, count, line.queues), expected, view_of_claims)
        return [Execution(job.new.id, job.attempt) for job in picked]

    def settle_as(self, execution: Execution, outcome: Any) -> None:
        job, line = self.model.jobs.get(execution.job), self.model.line
        limited = job is not None and (bool(line.tasks[job.new.task]) or bool(line.queues.get(job.new.queue)))
        expected = self.model.settle(execution, outcome, limited)
        self.do(self.store_of(execution), Settle(execution, outcome, limited), expected)

    def forget(self, name: str) -> None:
        """A job is about to be erased."""
        job = self.model.jobs[name]
        if job.new.owner is not None and job.status.finished:
            self.seen.unseen[job.new.owner] += len(job.log) - len(self.seen.logs.get(name, []))

    def fold_texts(self, store: int) -> None:
        while self.stores[store].write_sync(FoldTexts()):
            pass

    def check_reading(self, store: int) -> None:
        """From wherever somebody reads on, the events are those that were there before."""
        self.sound = False
        read = self.stores[store].read_sync
        for name, log in self.seen.logs.items():
            if name in self.model.jobs:
                for after in range(0, len(log), 3):
                    assert list(read(JobEvents(name, after))) == log[after:], f"{name} reads otherwise after {after}"
        for owner in {owner for owner, _ in self.seen.places}:
            log = [each for name, log in self.seen.logs.items() for each in log if self._belongs(name, owner)]
            log.sort(key=lambda each: each.position or 0)
            for after in (0, len(log) // 2):
                first = log[after - 1].position if after else 0
                assert list(read(OwnerEvents(owner, first or 0))) == log[after:], (
                    f"{owner} reads otherwise after {first}"
                )
        self.sound = True

    def _belongs(self, name: str, owner: str) -> bool:
        job, batch = self.model.jobs.get(name), self.model.ties.batches.get(name)
        return owner == (job.new.owner if job else batch.new.owner if batch else None)

    def drained(self) -> None:
        """Everything has come to its end."""

    def move_time(self, seconds: int) -> None:
        self.model.now += seconds * SECOND
        self.field.clock.now = self.model.now
        self.elapsed += max(seconds, 0)
        self.put_back |= seconds < 0

    def teardown(self) -> None:
        try:
            if hasattr(self, "model") and self.sound:
                self._drain()
        finally:
            self.stores[0].database.close(self.raw)
            for store in self.stores:
                store.close()
            self.exit.close()

    def _compare(self, operation: Operation[Any], expected: Any, answer: Any, view: View) -> None:
        self.sound = False
        if isinstance(expected, type) and issubclass(expected, Exception):
            assert isinstance(answer, expected), f"{operation} must be refused with {expected}, not {answer!r}"
        elif isinstance(answer, BaseException):
            raise AssertionError(f"{operation} failed") from answer
        else:
            found = view(answer)
            assert expected == found, f"{operation}: the model says {expected}, the store {found}"
        self.sound = True

    def _next_look(self) -> float | None:
        due = self.model.line.next_due()
        waits = [self.model.line.rate_wait, None if due is None else max(due - self.model.now, 0) / 1e6]
        return min((wait for wait in waits if wait is not None), default=None)

    def _note_start(self, task: str) -> None:
        """A rate holds in the time that really passed, however the clock jumps."""
        self.begun[task].append(self.elapsed)
        rate = self.model.line.tasks[task].rate
        if rate is not None:
            assert sum(at > self.elapsed - rate[1] for at in self.begun[task]) <= rate[0], f"{task} is over its rate"

    def _drain(self) -> None:
        """Whatever was accepted comes to its end."""
        if self.gathered is not None:
            self.write_gathered()
            self.check()
        for queue in QUEUES:
            self.model.line.paused.discard(queue)
            self.do(0, PauseQueue(queue, False), None)
        lost = tuple(self.model.workers)
        self.do(1, Rescue(lost, False, CAP), self.model.rescue(lost, False, CAP))
        with transaction(self.stores[0]) as batch:
            for new in [self.model.jobs[name].new for name in self.parked() if not self.model.jobs[name].waits]:
                awaiting.wake(batch, new.id, new.owner, new.task, new.queue, new.priority)
                self.model.wake(new.id)
        worker = self.sign_on(0, TASKS)
        for _ in range(10 + 3 * len(self.model.jobs)):
            if all(job.status.finished for job in self.model.jobs.values()):
                break
            self.move_time(61 + max((self.model.line.next_due() or 0) - self.model.now, 0) // SECOND)
            self.do(0, FreeBlocked(), self.model.line.free_blocked())
            for execution in self.claim_for(worker, 20):
                self.settle_as(execution, Completed("1"))
        left = [name for name, job in self.model.jobs.items() if not job.status.finished]
        assert not left, f"jobs that nobody can bring to their end: {left}"
        self.check()
        self.drained()
        self.move_time(601)
        self.fold_texts(1)
        self.check_reading(1)
        self.check()


def view_of_claims(claims: Claims) -> tuple[list[Any], float | None]:
    jobs = [(job.id, job.attempt, job.tries, sorted(step.name for step in job.steps)) for job in claims.jobs]
    return jobs, claims.wait
