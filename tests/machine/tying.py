"""Rules of jobs that are bound to others: children, batches, questions; and of what is left of ended ones."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
from hypothesis.stateful import rule

from backburner.domain.batches import NewBatch
from backburner.domain.notifications import Notice
from backburner.domain.operations import (
    Answer,
    Ask,
    CancelMembers,
    Erase,
    EraseMembers,
    Parked,
    SubmitBatch,
    SubmitStep,
)

from .choices import (
    OUTCOMES,
    STORE,
    WHICH,
    alone,
    with_batches,
    with_ended,
    with_executions,
    with_questions,
    with_workers,
)
from .driving import OWNERS, TASKS, Driver

ASKING = st.sampled_from(["which", "whether"])


class Tying(Driver):
    @with_executions
    @rule(which=WHICH, task=st.sampled_from(TASKS), count=st.integers(1, 2), park=st.booleans())
    def submit_children(self, which: int, task: str, count: int, park: bool) -> None:
        execution = self.execution(which)
        children = tuple(self.new_job(task=task, queue="q", parent=execution.job) for _ in range(count))
        expected = self.model.ties.submit_step(execution, "child", children)
        self.do(
            self.store_of(execution),
            SubmitStep(execution, "child", 0, "k", children),
            expected,
            lambda answer: dict(answer.instead) or None,
        )
        if park:
            self.wait_for_children(which, None)

    @with_executions
    @rule(which=WHICH, seconds=st.sampled_from([None, None, 30.0]))
    def wait_for_children(self, which: int, seconds: float | None) -> None:
        execution = self.execution(which)
        children = [name for name, job in self.model.jobs.items() if job.new.parent == execution.job]
        self.settle_as(execution, Parked("child", seconds, tuple(children[-2:])))

    @alone
    @with_executions
    @rule(which=WHICH, other=WHICH, outcome=OUTCOMES, first=st.booleans())
    def wait_for_one_that_ends_at_once(self, which: int, other: int, outcome: Any, first: bool) -> None:
        """Both settle in one transaction, as they do when one process runs them."""
        live = [each for each in self.model.executions if self.model.held(each)]
        if len(live) < 2:
            return
        parent, child = sorted((self.pick(live, which), self.pick(live[1:], other)), key=lambda each: each.job)
        self.gather(self.store_of(parent))
        if not first:
            self.settle_as(child, outcome)
        self.settle_as(parent, Parked("child", None, (child.job,) if child != parent else ()))
        if first and child != parent:
            self.settle_as(child, outcome)
        if self.gathered is not None:
            self.write_gathered()

    @with_executions
    @rule(which=WHICH, other=WHICH)
    def wait_for_any_job(self, which: int, other: int) -> None:
        execution = self.execution(which)
        younger = [name for name in self.model.jobs if name > execution.job]
        self.settle_as(execution, Parked("child", None, (self.pick(younger, other),) if younger else ()))

    @with_workers
    @rule(which=WHICH, outcome=OUTCOMES)
    def run_a_family(self, which: int, outcome: Any) -> None:
        """Claim, submit a child, wait for it, and run whatever is there."""
        name = self.pick(list(self.model.workers), which)
        for execution in self.claim_for(name, 1):
            self.submit_children(self.turn_of(execution), "a", 1, park=True)
            for child in self.claim_for(name, 2):
                self.settle_as(child, outcome)

    # Batches.

    @alone
    @rule(
        store=STORE,
        owner=st.sampled_from(OWNERS),
        notify=st.booleans(),
        callback=st.booleans(),
        members=st.lists(st.tuples(st.sampled_from(TASKS), st.sampled_from([None, None, "k"])), max_size=3),
    )
    def submit_batch(self, store: int, owner: str | None, notify: bool, callback: bool, members: Any) -> None:
        own = {"owner": owner, "queue": "q"}
        batch = NewBatch(self.new_id(), "Together", owner, notify, self.new_job(task="a", **own) if callback else None)
        jobs = tuple(self.new_job(task=task, key=key, batch=batch.id, **own) for task, key in members)
        expected = self.model.ties.submit_batch(batch, jobs)
        self.do(store, SubmitBatch(batch, jobs), expected, lambda answer: [
            getattr(answer.instead.get(job.id), "id", job.id) for job in jobs
        ])  # fmt: skip

    @with_batches
    @rule(store=STORE, which=WHICH)
    def cancel_a_batch(self, store: int, which: int) -> None:
        batch = self.pick(list(self.model.ties.batches), which)
        if not any(self.costs_no_turn(job.new.id) for job in self.model.ties.members(batch)):
            self.do(store, CancelMembers(batch, None), self.model.ties.cancel_members(batch))

    @with_batches
    @alone
    @rule(store=STORE, which=WHICH)
    def erase_a_batch(self, store: int, which: int) -> None:
        batch = self.pick(list(self.model.ties.batches), which)
        self.do(store, EraseMembers(batch, None), self.model.ties.erase_members(batch))

    # Questions.

    @with_executions
    @rule(
        which=WHICH,
        name=ASKING,
        key=st.sampled_from(["k", "k", "l"]),
        timeout=st.sampled_from([None, None, 15.0]),
        told=st.booleans(),
        park=st.booleans(),
    )
    def ask(self, which: int, name: str, key: str, timeout: float | None, told: bool, park: bool) -> None:
        execution = self.execution(which)
        token, notice = self.new_id(), Notice("A question") if told else None
        expected = self.model.ties.ask(execution, name, key, token, timeout, told)
        self.do(self.store_of(execution), Ask(execution, name, 0, key, token, "?", "{}", timeout, notice), expected)
        if park:
            self.wait_for_answers(which)

    @with_executions
    @rule(which=WHICH)
    def wait_for_answers(self, which: int) -> None:
        execution = self.execution(which)
        tokens = [token for token, each in self.model.ties.questions.items() if each.job == execution.job]
        self.settle_as(execution, Parked("answer", None, (), tuple(tokens)))

    @with_questions
    @rule(store=STORE, which=WHICH, value=st.sampled_from(["1", "1", "2"]))
    def answer(self, store: int, which: int, value: str) -> None:
        token = self.pick(list(self.model.ties.questions), which)
        self.do(store, Answer(token, value), self.model.ties.answer(token, value))

    @with_workers
    @rule(which=WHICH, store=STORE, again=st.sampled_from(["1", "2"]))
    def be_answered(self, which: int, store: int, again: str) -> None:
        for execution in self.claim_for(self.pick(list(self.model.workers), which), 1):
            self.ask(self.turn_of(execution), "which", "k", None, told=False, park=True)
            for value in ("1", again):
                self.answer(store, 0, value)

    # What has ended.

    @with_ended
    @rule(store=STORE, which=WHICH)
    def erase(self, store: int, which: int) -> None:
        job = self.pick(self.ended(), which)
        self.forget(job)
        self.do(store, Erase(job, None), self.model.erase(job))

    @alone
    @rule(store=STORE, later=st.booleans())
    def fold(self, store: int, later: bool) -> None:
        if later:
            self.move_time(601)
        self.fold_texts(store)
        self.check_reading(store)
