"""What binds the model's jobs to others: parents, batches, questions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backburner.domain.batches import NewBatch
from backburner.domain.errors import AlreadyAnswered, BatchNotFound, IllegalTransition, LeaseLost, QuestionNotFound
from backburner.domain.job import NewJob, Status
from backburner.domain.operations import Asked, Execution, Parked

if TYPE_CHECKING:
    from .job import Job
    from .model import Model, Refusal

SECOND = 1_000_000


@dataclass(slots=True)
class Batch:
    new: NewBatch
    total: int
    remaining: int
    finished: bool = False


@dataclass(slots=True)
class Question:
    job: str
    name: str
    key: str
    expires_at: int | None
    answer: str | None = None


class Ties:
    def __init__(self, model: Model) -> None:
        self._model = model
        self.batches: dict[str, Batch] = {}
        self.questions: dict[str, Question] = {}
        self.ended: list[Job] = []
        self.stirred = False

    def follow_up(self) -> bool:
        """What the ends of an operation bring about; answers whether there was anything that later ones would see."""
        ended, self.ended = self.ended, []
        for job in ended:
            for parent in [each for each in self._model.jobs.values() if job.new.id in each.waits]:
                parent.waits.discard(job.new.id)
                if not parent.waits or job.status is not Status.COMPLETED:
                    self.stirred |= self._model.wake(parent.new.id)
            self.move(job, -1)
        for batch in self.batches.values():
            if not batch.finished and batch.remaining == 0:
                batch.finished = self.stirred = True
                if batch.new.callback is not None:
                    self._model.submit(batch.new.callback)
        stirred, self.stirred = self.stirred, False
        return stirred

    def move(self, job: Job, change: int) -> None:
        """A batch that has ended has ended, whatever becomes of its jobs."""
        batch = self.batches.get(job.new.batch or "")
        if batch is not None and not batch.finished:
            batch.remaining += change

    def submit_step(self, execution: Execution, name: str, jobs: Sequence[NewJob]) -> Refusal | None:
        if (job := self._model.held(execution)) is None:
            return LeaseLost
        if name not in job.steps:
            for new in jobs:
                self._model.submit(new)
            job.steps[name] = "", job.attempt
            job.log.append("step.completed")
        return None

    def submit_batch(self, new: NewBatch, jobs: Sequence[NewJob]) -> list[str]:
        """Who stands for each of the jobs."""
        stand = [str(self._model.submit(job)) for job in jobs]
        own = sum(name == job.id for name, job in zip(stand, jobs, strict=True))
        self.batches[new.id] = Batch(new, own, own)
        return stand

    def members(self, batch: str) -> list[Job]:
        return [job for job in self._model.jobs.values() if job.new.batch == batch]

    def cancel_members(self, batch: str) -> bool | Refusal:
        if batch not in self.batches:
            return BatchNotFound
        waiting = [job for job in self.members(batch) if job.status is Status.PENDING]
        running = [job for job in self.members(batch) if job.status is Status.RUNNING]
        self.cancel_all(waiting or running)
        return bool(waiting)

    def erase_members(self, batch: str) -> bool | Refusal:
        if batch not in self.batches:
            return BatchNotFound
        if not all(job.status.finished for job in self.members(batch)):
            return IllegalTransition
        for job in self.members(batch):
            self._model.erase(job.new.id)
        del self.batches[batch]
        return False

    def cancel_all(self, jobs: Iterable[Job]) -> None:
        """What they have submitted is cancelled with them."""
        level = [job for job in jobs if not job.status.finished]
        found: dict[str, Job] = {}
        while level:
            found |= {job.new.id: job for job in level}
            level = [job for each in level for job in self.children(each) if job.new.id not in found]
        for job in found.values():
            self._model.stop(job)

    def children(self, parent: Job) -> list[Job]:
        """The unfinished ones."""
        jobs = self._model.jobs.values()
        return [job for job in jobs if job.new.parent == parent.new.id and not job.status.finished]

    def park(self, job: Job, outcome: Parked) -> bool:
        """False where there is nothing to wait for (any more)."""
        asked = [self.questions[token] for token in outcome.questions if token in self.questions]
        ends = [each.expires_at for each in asked if each.expires_at is not None]
        if len(asked) < len(outcome.questions) or any(each.answer is not None for each in asked):
            return False
        children = [self._model.jobs[name] for name in outcome.children if name in self._model.jobs]
        live = {child.new.id for child in children if not child.status.finished}
        bad = any(child.status in (Status.FAILED, Status.CANCELLED) for child in children)
        if min(ends, default=self._model.now + 1) <= self._model.now:
            return False
        if outcome.children and (bad or len(children) < len(outcome.children) or not live):
            return False
        if outcome.seconds is not None:
            ends.append(self._model.now + int(outcome.seconds * SECOND))
        job.place, job.waiting_for, job.waits, job.run_at = "parked", outcome.waiting_for, live, min(ends, default=None)
        return True

    def ask(
        self, execution: Execution, name: str, key: str, token: str, timeout: float | None, told: bool
    ) -> Asked | Refusal:
        if (job := self._model.held(execution)) is None:
            return LeaseLost
        now = self._model.now
        for known, question in self.questions.items():
            if (question.job, question.name) == (execution.job, name):
                if question.key == key:
                    late = question.expires_at is not None and question.expires_at <= now
                    return Asked(known, question.answer, question.answer is None and late)
                del self.questions[known]
                break
        expires_at = None if timeout is None else now + int(timeout * SECOND)
        self.questions[token] = Question(execution.job, name, key, expires_at)
        if told and job.new.owner is not None:
            job.log.append("notification")
        job.log.append("job.asked")
        return Asked(token, None, False)

    def answer(self, token: str, value: str) -> Refusal | None:
        question = self.questions.get(token)
        if question is None:
            return QuestionNotFound
        job = self._model.jobs[question.job]
        if question.answer is not None:
            return None if question.answer == value else AlreadyAnswered
        if job.status.finished or (question.expires_at is not None and question.expires_at <= self._model.now):
            return IllegalTransition
        question.answer = value
        job.steps[question.name] = value, job.attempt
        job.log.append("job.answered")
        self._model.wake(job.new.id)
        return None

    def forget_questions(self, job: str, answered: bool) -> None:
        """Those without an answer; with ``answered`` all."""
        self.questions = {
            token: each
            for token, each in self.questions.items()
            if each.job != job or (each.answer is not None and not answered)
        }
