"""What a store must do, in memory: one thing after the other, nothing on disk.

Every method is one operation; it answers what the store must answer, or the class of the refusal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from backburner.domain.errors import DuplicateJob, IllegalTransition, LeaseLost
from backburner.domain.job import NewJob, Status
from backburner.domain.operations import Completed, Execution, Failed, Interrupted, Limit, Outcome, Parked

from .job import Job, Worker
from .line import Line
from .ties import Ties

SECOND = 1_000_000
Refusal = type[Exception]


class Model:
    def __init__(self, tasks: dict[str, Limit], queues: dict[str, Limit], now: int) -> None:
        self.now = now
        self.jobs: dict[str, Job] = {}
        self.workers: dict[str, Worker] = {}
        self.keys: dict[tuple[str, str, str], str] = {}
        self.executions: list[Execution] = []
        self.unknown: dict[str, int] = {}
        self.app_rows: Counter[tuple[str, str]] = Counter()
        self.gone: Counter[tuple[str, str, Status]] = Counter()
        self.line = Line(self, tasks, queues)
        self.ties = Ties(self)

    def submit(self, new: NewJob) -> str | Refusal:
        """The id of the job that stands for the new one."""
        job = self._job(new)
        if job.key is not None:
            if job.key in self.keys:
                return DuplicateJob if new.reject else self.keys[job.key]
            self.keys[job.key] = new.id
        self.jobs[new.id] = job
        self._enter(job)
        return new.id

    def insert(self, new: NewJob) -> None:
        """As an application's own transaction does: nobody has been told."""
        job = self.jobs[new.id] = self._job(new)
        job.announced = False
        if job.run_at is not None:
            job.place = "scheduled"

    def announce(self) -> None:
        for job in self.jobs.values():
            if not job.announced:
                self._announce(job)
                self._enter(job)

    def claim(self, worker: str, count: int) -> list[Job] | Refusal:
        if worker not in self.workers:
            return LeaseLost
        self.announce()
        self.line.move_due()
        picked = self.line.pick(self.workers[worker].tasks, count, self.expire)
        for job in picked:
            job.status, job.place, job.worker, job.deadline = Status.RUNNING, "leases", worker, None
            job.attempt += 1
            job.log.append("job.started")
            if job.attempt > 1 and any(job.kept.get(name, 0) < len(text) for name, text in job.texts.items()):
                job.texts = {name: text[: job.kept.get(name, 0)] for name, text in job.texts.items()}
                job.log.append("attempt.reset")
            self.executions.append(Execution(job.new.id, job.attempt))
        return picked

    def held(self, execution: Execution) -> Job | None:
        job = self.jobs.get(execution.job)
        return job if job and job.status is Status.RUNNING and job.attempt == execution.attempt else None

    def progress(self, execution: Execution) -> Refusal | int:
        if (job := self.held(execution)) is None:
            return LeaseLost
        job.log.append("job.progress")
        return len(job.log)

    def say(self, execution: Execution, channel: str, delta: str, offset: int | None) -> Refusal | None:
        if (job := self.held(execution)) is None:
            return LeaseLost
        text = job.texts.get(channel)
        if offset is None or not text or len(text) < offset + len(delta):
            job.texts[channel] = (text or "") + delta
            job.log.append("text.delta")
        return None

    def keep(self, execution: Execution, name: str, value: str, channels: Sequence[str]) -> Refusal | None:
        if (job := self.held(execution)) is None:
            return LeaseLost
        if job.steps.get(name) == (value, job.attempt):
            return None
        job.steps[name] = value, job.attempt
        for channel in channels:
            if channel in job.texts:
                job.kept[channel] = len(job.texts[channel])
        job.log.append("step.completed")
        return None

    def transact(self, execution: Execution, name: str, error: Refusal | None) -> str | Refusal:
        if (job := self.held(execution)) is None:
            return LeaseLost
        if name not in job.steps:
            if error is not None:
                return error
            job.steps[name] = "1", job.attempt
            job.log.append("step.completed")
            self.app_rows[execution.job, name] += 1
        return "1"

    def settle(self, execution: Execution, outcome: Outcome, limited: bool) -> Status | Refusal:
        if (job := self.held(execution)) is None:
            return LeaseLost
        self.end(job, outcome)
        if limited:
            self.line.bring_back(Counter({(*job.line, job.owner): 1}))
        return job.status

    def end(self, job: Job, outcome: Outcome | str) -> None:
        job.place, job.worker = None, None
        if job.cancel_requested:
            outcome = Interrupted()
        job.cancel_requested = False
        match outcome:
            case Completed():
                self._finish(job, Status.COMPLETED)
            case Interrupted():
                self._finish(job, Status.CANCELLED)
                orphans = self.ties.children(job)
                self.ties.stirred |= bool(orphans)
                self.ties.cancel_all(orphans)
            case Failed(_, None):
                job.tries += 1
                self._finish(job, Status.FAILED)
            case "gave up":
                job.rescues += 1
                self._finish(job, Status.FAILED, told=True)
            case Failed(_, wait):
                job.tries += 1
                self._again(job, self.now + int((wait or 0) * SECOND), self.now)
            case Parked():
                self._back(job)
                if not self.ties.park(job, outcome):
                    self.line.enter(job, job.created_at, paid=True)
            case _:
                job.rescues += outcome == "rescued"
                self._again(job, self.now, job.created_at)

    def cancel(self, name: str) -> tuple[Status, bool]:
        job = self.jobs[name]
        self.ties.cancel_all([job])
        return job.status, job.cancel_requested

    def stop(self, job: Job) -> None:
        if job.status is Status.PENDING:
            self._announce(job)
            self._finish(job, Status.CANCELLED)
        elif job.status is Status.RUNNING:
            job.cancel_requested = True

    def erase(self, name: str) -> Refusal | None:
        job = self.jobs[name]
        if not job.status.finished:
            return IllegalTransition
        del self.jobs[name]
        self.gone[*job.line, job.status] += 1
        self.ties.forget_questions(name, answered=True)
        return None

    def retry(self, name: str) -> Status | Refusal:
        job = self.jobs[name]
        if not job.status.finished:
            return job.status
        if job.status is Status.COMPLETED or (job.key is not None and job.key in self.keys):
            return IllegalTransition
        if job.key is not None:
            self.keys[job.key] = name
        self._back(job)
        job.tries = job.rescues = 0
        job.expires_at = None
        self.ties.forget_questions(name, answered=False)
        self.ties.move(job, 1)
        self.line.enter(job, self.now)
        return job.status

    def wake(self, name: str) -> bool:
        job = self.jobs[name]
        if job.place != "parked":
            return False
        job.run_at = job.waiting_for = None
        job.waits.clear()
        self.line.enter(job, self.now, paid=True)
        return True

    def rescue(self, lost: Iterable[str], expired: bool, cap: int) -> int:
        late = {name for name, worker in self.workers.items() if worker.expires_at < self.now}
        gone = set(lost) | (late if expired else set())
        jobs = [job for job in self.jobs.values() if job.worker in gone]
        for job in jobs:
            self.end(job, "rescued" if job.rescues + 1 < cap else "gave up")
        self._free(jobs)
        for name in gone:
            self.workers.pop(name, None)
        return len(jobs)

    def give_back(self, worker: str, known: Iterable[str] = ()) -> int:
        """What a worker holds apart from the known ones."""
        jobs = [job for job in self.jobs.values() if job.worker == worker and job.new.id not in set(known)]
        for job in jobs:
            self.end(job, "released")
        self._free(jobs)
        return len(jobs)

    def expire(self, jobs: Iterable[Job]) -> int:
        failed = list(jobs)
        for job in failed:
            self._finish(job, Status.FAILED, told=True)
        return len(failed)

    def expire_waiting(self) -> int:
        late = [each for each in self.jobs.values() if each.deadline and each.deadline <= self.now]
        for job in late:
            self._announce(job)  # it fails before it has taken a turn
        self.announce()
        return self.expire(late)

    def fail_unknown(self, patience: float) -> int:
        """What is announced by this very look is left to the next one."""
        in_line = [job for job in self.jobs.values() if job.place == "ready"]
        self.announce()
        known = {task for worker in self.workers.values() if worker.expires_at >= self.now for task in worker.tasks}
        waiting = {job.new.task for job in in_line} - known
        self.unknown = {task: since for task, since in self.unknown.items() if task in waiting}
        failed = 0
        for task in sorted(waiting):
            if self.now - self.unknown.setdefault(task, self.now) >= patience * SECOND:
                failed += self.expire([job for job in in_line if job.new.task == task])
        return failed

    def counts(self) -> Counter[tuple[str, str, Status]]:
        """Those that were erased too."""
        return self.gone + Counter((*job.line, job.status) for job in self.jobs.values() if job.announced)

    def _job(self, new: NewJob) -> Job:
        job = Job(new, self.now)
        run_at = new.run_at if new.run_at is not None else self.now + int(new.delay * SECOND)
        job.run_at = run_at if run_at > self.now else None
        job.expires_at = job.deadline = None if new.expires is None else self.now + int(new.expires * SECOND)
        return job

    def _announce(self, job: Job) -> None:
        if not job.announced:
            job.announced = True
            job.log.append("job.submitted")

    def _enter(self, job: Job) -> None:
        if not job.log:
            job.log.append("job.submitted")
        if job.run_at is None:
            self.line.enter(job, self.now)
        else:
            job.place = "scheduled"

    def _finish(self, job: Job, status: Status, told: bool = False) -> None:
        job.status, job.place, job.run_at, job.waiting_for, job.deadline = status, None, None, None, None
        if job.key is not None:
            self.keys.pop(job.key, None)
        job.waits.clear()
        if told and job.new.owner is not None and job.new.batch is None:
            job.log.append("notification")
        job.log.append(f"job.{status}")
        self.ties.ended.append(job)

    def _back(self, job: Job) -> None:
        job.status = Status.PENDING
        job.log.append("job.retrying")

    def _again(self, job: Job, run_at: int, since: int) -> None:
        self._back(job)
        if run_at > self.now:
            job.place, job.run_at = "scheduled", run_at
        else:
            self.line.enter(job, since, paid=True)

    def _free(self, jobs: Iterable[Job]) -> None:
        self.line.bring_back(Counter((*job.line, job.owner) for job in jobs))
