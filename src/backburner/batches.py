"""Thousands of jobs in one transaction, and what they come to together."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from .bulk import retry_all
from .domain.batches import BatchRecord, NewBatch
from .domain.errors import BatchNotFound, ConfigurationError, InvalidArguments, ResultTimeout
from .domain.ids import new_id
from .domain.job import NewJob, Status, fresh, unseen
from .domain.json import fingerprint, storable
from .domain.operations import CancelMembers, EraseMembers, GetBatch, ListJobs, Submit, SubmitBatch, Submitted
from .given import argument, text
from .job import Job
from .run import Run, current_run
from .task import Submission, Task
from .threads import refuse_loop

if TYPE_CHECKING:
    from .app import Backburner

P = ParamSpec("P")
R = TypeVar("R")

MOST_JOBS = 100_000
"""In one transaction: everybody else waits while it is written."""
EVERYTHING = 2**31 - 1
CALLS = 'give mappings of arguments or tuples, as in [{"text": "a"}, ("b",)]'
LIVE = (Status.RUNNING, Status.PENDING)


class Batch:
    """Jobs that belong together: one progress, one notification, one callback, one cancel.

    Made by `Backburner.batch` and filled within ``async with`` (or ``with``): at its end everything is on disk, in one
    transaction, or nothing where the block raises.
    """

    def __init__(self, bb: Backburner, id: str, title: str, owner: str | None, on_complete: Any, notify: bool) -> None:
        self._bb = bb
        self.id = id
        self.title = title
        self.owner = owner
        self._on_complete: Submission[..., Any] | None = (
            on_complete.using() if isinstance(on_complete, Task) else on_complete
        )
        self._notify = notify
        self._new: list[NewJob] = []
        self._closed = False
        self.jobs: list[Job[Any]] = []
        """Those that were added here, in this order."""

    def add(self, task: Task[P, R] | Submission[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """Take a job into the batch; it is submitted when the block ends. Raises `InvalidArguments`."""
        self._refuse_late()
        submission = self._bb.own(task)
        if len(self._new) == MOST_JOBS:
            raise InvalidArguments(f"a batch has at most {MOST_JOBS} jobs: make several")
        new = submission.new_job(args, kwargs)
        owner = submission.options.owner if submission.options.owner is not None else self.owner
        new = replace(new, owner=owner, batch=self.id)
        job: Job[R] = Job(self._bb, fresh(new, 0), submission.task)
        self._new.append(new)
        self.jobs.append(job)
        return job

    async def __aenter__(self) -> Batch:
        self._refuse_late()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        if kind is not None:
            return
        run = current_run.get()
        if run is not None and self._bb.runs(run):
            await self._submit_in(run)
        else:
            self._take(await self._bb.store.write(SubmitBatch(self._row(), tuple(self._new))))

    def __enter__(self) -> Batch:
        self._refuse_late()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        if kind is not None:
            return
        run = current_run.get()
        if run is not None and self._bb.runs(run):
            run.wait_sync(self._submit_in(run))
        else:
            self._take(self._bb.store.write_sync(SubmitBatch(self._row(), tuple(self._new))))

    def _refuse_late(self) -> None:
        if self._closed:
            raise InvalidArguments(f"the block of batch {self.title!r} has ended, and its jobs with it: make another")

    async def look(self) -> BatchRecord:
        """How it stands now. Raises `BatchNotFound`."""
        return _found(await self._bb.store.read(GetBatch(self.id)), self.id)

    def look_sync(self) -> BatchRecord:
        return _found(self._bb.store.read_sync(GetBatch(self.id)), self.id)

    async def wait(self, timeout: float | None = None) -> BatchRecord:
        """Wait until all of its jobs have ended. Raises `ResultTimeout`; inside a run see `Job.wait`."""
        run = current_run.get()
        if run is not None and self._bb.runs(run):
            await asyncio.gather(*[job.wait(timeout) for job in await self._live()])
            return await self.look()
        try:
            async with asyncio.timeout(timeout):
                return await self._bb.watcher.until(self.look, lambda record: not record.live)
        except TimeoutError:
            raise ResultTimeout(f"batch {self.id} has not ended within {timeout:g} s; it goes on") from None

    def wait_sync(self, timeout: float | None = None) -> BatchRecord:
        """The same for threads without an event loop."""
        run = current_run.get()
        if run is not None:
            return run.wait_sync(self.wait(timeout))
        refuse_loop("await batch.wait()")
        return asyncio.run(self.wait(timeout))

    async def cancel(self) -> BatchRecord:
        """Cancel all jobs that wait, ask those that run to stop; in small transactions."""
        while await self._bb.store.write(CancelMembers(self.id, None)):
            pass
        return await self.look()

    async def retry(self) -> int:
        """Run its failed jobs again; answers how many. A callback that has been submitted is not submitted again.

        Raises `BatchNotFound`.
        """
        await self.look()
        query = ListJobs(status=Status.FAILED, batch=self.id)
        return await retry_all(self._bb.store, query, EVERYTHING)

    async def erase(self) -> None:
        """Remove it with its jobs. Raises `IllegalTransition` while one of them is live."""
        while await self._bb.store.write(EraseMembers(self.id, None)):
            pass

    async def _live(self) -> list[Job[Any]]:
        queries = [ListJobs(status=status, batch=self.id, limit=EVERYTHING) for status in LIVE]
        return [Job(self._bb, record) for query in queries for record in await self._bb.store.read(query)]

    def _row(self) -> NewBatch:
        callback = None
        if self._on_complete is not None:
            callback = self._on_complete.new_job((self.id,), {})
            owner = self._on_complete.options.owner if self._on_complete.options.owner is not None else self.owner
            callback = replace(callback, owner=owner, key=None, shared=None)
        return NewBatch(self.id, self.title, self.owner, self._notify, callback)

    async def _submit_in(self, run: Run) -> None:
        """As a step: a run that is resumed submits no second batch."""
        request = [self.title, [[new.task, new.args] for new in self._new]]
        name = f"batch {self.title[:100]} {fingerprint(request)[:8]}"
        ids, submitted = await run.submit(name, request, self._new, self._row())
        if submitted is not None:
            self._take(submitted)
            return
        self.id = ids.pop(0)
        for job, id in zip(self.jobs, ids, strict=True):
            job.record = replace(unseen(id), task=job.record.task, batch=self.id)

    def _take(self, submitted: Submitted) -> None:
        for job, new in zip(self.jobs, self._new, strict=True):
            job.record = submitted.instead.get(new.id) or fresh(new, submitted.at)

    def __repr__(self) -> str:
        return f"<Batch {self.id} {self.title!r}>"


def new_batch(bb: Backburner, title: str, owner: str | None, on_complete: Any, notify: bool) -> Batch:
    """Raises `ConfigurationError`, `InvalidArguments`."""
    run = current_run.get()
    owner = run.owner if owner is None and run is not None else owner
    storable(text(argument, "title", title), "title")
    if owner is not None:
        storable(text(argument, "owner", owner), "owner")
    batch = Batch(bb, new_id(), title, owner, on_complete, notify)
    if on_complete is not None:
        if not isinstance(on_complete, Task | Submission):
            raise ConfigurationError(f"on_complete is {on_complete!r}: give a task, or task.using(…)")
        batch._row()
    return batch


def found_batch(bb: Backburner, id: str) -> Batch:
    """One that was submitted before: nothing is added to it."""
    batch = Batch(bb, id, "", None, None, True)
    batch._closed = True
    return batch


async def submit_many(
    submission: Submission[P, R], calls: Iterable[Mapping[str, Any] | tuple[Any, ...]]
) -> list[Job[R]]:
    bb, new = submission.task._bb, _bind(submission, calls)
    run = current_run.get()
    if run is None or not bb.runs(run):
        return _jobs(submission, new, await bb.store.write(Submit(tuple(new))))
    return await _submit_many_in(run, submission, new)


def submit_many_sync(
    submission: Submission[P, R], calls: Iterable[Mapping[str, Any] | tuple[Any, ...]]
) -> list[Job[R]]:
    bb, new = submission.task._bb, _bind(submission, calls)
    run = current_run.get()
    if run is None or not bb.runs(run):
        return _jobs(submission, new, bb.store.write_sync(Submit(tuple(new))))
    return run.wait_sync(_submit_many_in(run, submission, new))


async def _submit_many_in(run: Run, submission: Submission[P, R], new: list[NewJob]) -> list[Job[R]]:
    request = [[each.task, each.args] for each in new]
    name = f"submit {submission.task.name[:150]} {fingerprint(request)[:8]}"
    ids, submitted = await run.submit(name, request, new)
    if submitted is not None:
        return _jobs(submission, new, submitted)
    bb = submission.task._bb
    return [Job(bb, replace(unseen(id), task=submission.task.name), submission.task) for id in ids]


def _bind(submission: Submission[P, R], calls: Iterable[Mapping[str, Any] | tuple[Any, ...]]) -> list[NewJob]:
    new: list[NewJob] = []
    if isinstance(calls, str | bytes | Mapping) or not isinstance(calls, Iterable):
        raise argument("calls", calls, CALLS)
    for number, call in enumerate(calls):
        if not isinstance(call, Mapping | tuple | list):
            raise argument(f"call {number}", call, CALLS)
        args, kwargs = ((), dict(call)) if isinstance(call, Mapping) else (tuple(call), {})
        try:
            new.append(submission.new_job(args, kwargs))
        except InvalidArguments as error:
            wrong = {f"{number}.{name}": reason for name, reason in error.fields.items()}
            raise type(error)(f"call {number}: {error}", wrong) from None
        if len(new) > MOST_JOBS:
            raise InvalidArguments(f"there are more than {MOST_JOBS} calls: submit them in parts")
    return new


def _jobs(submission: Submission[P, R], new: list[NewJob], submitted: Submitted) -> list[Job[R]]:
    records = [submitted.instead.get(each.id) or fresh(each, submitted.at) for each in new]
    return [Job(submission.task._bb, record, submission.task) for record in records]


def _found(record: BatchRecord | None, id: str) -> BatchRecord:
    if record is None:
        raise BatchNotFound(f"there is no batch {id}")
    return record
