"""Rules of what running jobs do beside their own rows: transactions of the application, budgets of model calls."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
from hypothesis.stateful import rule
from sqlalchemy import text

from backburner.domain.budgets import Bucket, DayBudget
from backburner.domain.operations import (
    Execution,
    FreeBudgets,
    PauseModel,
    Rescue,
    Reservation,
    ReserveBudget,
    SettleBudget,
    Transact,
)
from backburner.store.bucket import LATE

from .choices import STORE, WHICH, alone, with_executions, with_workers
from .driving import CAP, Driver
from .purse import MINUTE, SECOND
from .rows import read_reservations

MODEL = "m"
STEPS = st.sampled_from(["one", "two"])


class OwnError(Exception):
    """Of an application."""


class Spending(Driver):
    @with_executions
    @rule(which=WHICH, name=st.sampled_from(["save", "charge"]), fails=st.booleans())
    def transact(self, which: int, name: str, fails: bool) -> None:
        """What the application writes is there exactly if the step is."""
        execution = self.execution(which)

        def work(session: Any) -> str:
            row = {"job": execution.job, "name": name}
            session.execute(text("INSERT INTO app_rows (job, name) VALUES (:job, :name)"), row)
            if fails:
                raise OwnError
            return "1"

        expected = self.model.transact(execution, name, OwnError if fails else None)
        self.do(self.store_of(execution), Transact(execution, name, 0, "k", work), expected)

    @alone
    @with_executions
    @rule(which=WHICH, step=STEPS, tokens=st.sampled_from([1, 60, 100]))
    def reserve(self, which: int, step: str, tokens: int) -> None:
        execution = self.execution(which)
        if execution.job in self.model.jobs:
            self.reserve_for(self.store_of(execution), execution, step, tokens)

    @alone
    @with_workers
    @rule(which=WHICH, step=STEPS)
    def die_while_calling(self, which: int, step: str) -> None:
        name = self.pick(list(self.model.workers), which)
        for execution in self.claim_for(name, 1):
            self.reserve_for(self.store_of(execution), execution, step, 60)
        self.do(0, Rescue((name,), False, CAP), self.model.rescue([name], False, CAP))
        self.free_budgets(1)

    @alone
    @with_executions
    @rule(which=WHICH, step=STEPS, tokens=st.sampled_from([0, 50, 120]))
    def settle_a_call(self, which: int, step: str, tokens: int) -> None:
        execution = self.execution(which)
        told = SettleBudget(execution, step, tokens, 0)
        self.purse.settle(told, self.model.now)
        self.do(self.store_of(execution), told, None)

    @alone
    @rule(store=STORE, seconds=st.sampled_from([5.0, 90.0]))
    def pause_calls(self, store: int, seconds: float) -> None:
        self.purse.rest(seconds, self.model.now)
        self.do(store, PauseModel(MODEL, seconds), None)

    @alone
    @rule(store=STORE)
    def free_budgets(self, store: int) -> None:
        """What nobody uses any more is given back, an owner's at once."""
        over = [each for each in read_reservations(self.raw) if self._is_over(*each)]
        alike = [each for each in over if each[3] == over[0][3]]
        for job, step, _, _, waits in alike:
            if not waits:
                self.purse.give_back((job, step), self.model.now)
        self.do(store, FreeBudgets(), len(alike))

    def reserve_for(self, store: int, execution: Execution, step: str, tokens: int) -> Reservation:
        owner = self.model.jobs[execution.job].owner
        asked = ReserveBudget(
            execution,
            step,
            MODEL,
            owner,
            tokens,
            0,
            tuple(Bucket(MODEL, whose, "requests", most) for whose, most in self.purse.requests_of(owner)),
            (DayBudget(MODEL, owner, "tokens", self.purse.tokens_a_day),) if owner else (),
        )
        answer = self.stores[store].write_sync(asked)
        self.sound = False
        self.purse.reserve(asked, answer, self.model.now, self.elapsed * SECOND)
        self.sound = True
        return answer

    def drained(self) -> None:
        """Everything has come to its end: so have the calls, and nobody stands in the way of the next one."""
        while read_reservations(self.raw):
            before = len(read_reservations(self.raw))
            self.free_budgets(0)
            assert len(read_reservations(self.raw)) < before, "a reservation of a job that has ended stays"
        if self.put_back:  # what has passed since such a jump is not known before somebody looks
            self.do(0, PauseModel(MODEL, 0.0), None)
        for owner in ("ann", "bob"):
            last = [job for job in self.model.jobs.values() if job.owner == owner][-1:]
            for job in last:
                passed = self.elapsed * SECOND
                requests = self.purse.requests_of(owner)
                waits = [self.purse.bucket(whose, most, passed).when(passed) - passed for whose, most in requests]
                if self.put_back:  # a bucket does not count the time between its last change and such a jump
                    waits.append(MINUTE + LATE)
                self.move_time(1 + max(0, *waits, self.purse.pause - self.model.now) // SECOND)
                answer = self.reserve_for(0, Execution(job.new.id, job.attempt), "last", 0)
                assert not answer.wait, f"a line of nobody is in the way for {answer.wait} seconds"

    def _is_over(self, job: str, step: str, attempt: int, owner: str, waits: bool) -> bool:
        known = self.model.jobs.get(job)
        ended = known is None or known.status.finished
        return ended or (not waits and self.model.held(Execution(job, attempt)) is None)
