"""A job as those see it who have submitted it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from .domain.errors import (
    JobCancelled,
    JobFailed,
    JobNotFound,
    ResultTimeout,
)
from .domain.events import Event
from .domain.job import JobRecord, Status
from .domain.json import decode
from .domain.operations import (
    Answer,
    Cancel,
    GetJob,
    GetResult,
    JobEvents,
    JobQuestions,
    Outlooks,
)
from .domain.operations import Retry as RetryJob
from .domain.outlook import UNKNOWN, Outlook
from .domain.questions import Question, choose
from .given import Duration, argument, seconds
from .run import Run, current_run
from .shapes import fit

if TYPE_CHECKING:
    from .app import Backburner
    from .outcomes import Ending
    from .task import Task

R = TypeVar("R")


class Job(Generic[R]):
    """A submitted job. ``record`` is how it stood when it was last looked at."""

    def __init__(self, bb: Backburner, record: JobRecord, task: Task[Any, R] | None = None) -> None:
        self._bb = bb
        self._task = task
        self.record = record

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def status(self) -> Status:
        """As of the last look; see `refresh`."""
        return self.record.status

    async def refresh(self) -> JobRecord:
        """Look again. Raises `JobNotFound` when the job was erased."""
        self.record = self._found(await self._bb.store.read(GetJob(self.id)))
        return self.record

    def refresh_sync(self) -> JobRecord:
        self.record = self._found(self._bb.store.read_sync(GetJob(self.id)))
        return self.record

    async def outlook(self) -> Outlook:
        """The job's place in the line and when it is likely to have ended, as of now."""
        return (await self._bb.store.read(Outlooks((self.id,)))).get(self.id, UNKNOWN)

    def outlook_sync(self) -> Outlook:
        return self._bb.store.read_sync(Outlooks((self.id,))).get(self.id, UNKNOWN)

    async def result(self, timeout: Duration | None = None) -> R:
        """Wait for the end and return what the function returned.

        Raises `JobFailed`, `JobCancelled`, and `ResultTimeout` after ``timeout`` seconds (the job goes on). Inside a
        run it is a step, and a wait of more than a moment frees the run's slot: the function is called again from its
        top when the job has ended.
        """
        run = self._run()
        timeout = _patience(timeout)
        if run is not None:
            return self._told(await run.outcomes.ending(self.id, timeout))
        await self.wait(timeout)
        return self._outcome(await self._bb.store.read(GetResult(self.id)))

    def result_sync(self, timeout: Duration | None = None) -> R:
        """The same for threads without an event loop."""
        run = self._run()
        timeout = _patience(timeout)
        if run is not None:
            return self._told(run.wait_sync(run.outcomes.ending(self.id, timeout)))
        self.wait_sync(timeout)
        return self._outcome(self._bb.store.read_sync(GetResult(self.id)))

    async def wait(self, timeout: Duration | None = None) -> JobRecord:
        """Wait until the job has ended, however it ended; inside a run as `result` does."""
        run = self._run()
        timeout = _patience(timeout)
        if run is not None:
            self.record = await run.outcomes.record(self.id, timeout)
            return self.record
        try:
            async with asyncio.timeout(timeout):
                self.record = await self._bb.watcher.wait(self.id, lambda record: record.status.finished)
        except TimeoutError:
            raise ResultTimeout(f"job {self.id} has not ended within {timeout:g} s; it goes on") from None
        return self.record

    def wait_sync(self, timeout: Duration | None = None) -> JobRecord:
        run = self._run()
        timeout = _patience(timeout)
        if run is not None:
            self.record = run.wait_sync(run.outcomes.record(self.id, timeout))
            return self.record
        self.record = self._bb.watcher.wait_sync(self.id, lambda record: record.status.finished, timeout)
        return self.record

    def events_sync(self, after: int = 0) -> Iterator[Event]:
        """The job's log behind the ``seq`` ``after``, event by event as they come, until the job has ended."""
        place = after

        def is_news(record: JobRecord) -> bool:
            return record.seq > place or record.status.finished

        while True:
            record = self._bb.watcher.wait_sync(self.id, is_news, None)
            events = self._bb.store.read_sync(JobEvents(self.id, place))
            yield from events
            if events:
                place = events[-1].seq
            elif record.status.finished:
                return

    async def cancel(self) -> JobRecord:
        """Ask for an end; a pending job is cancelled at once, a running one as soon as it listens."""
        self.record = await self._bb.store.write(Cancel(self.id, None))
        return self.record

    def cancel_sync(self) -> JobRecord:
        """The same for threads without an event loop."""
        self.record = self._bb.store.write_sync(Cancel(self.id, None))
        return self.record

    async def retry(self) -> JobRecord:
        """Run a failed or cancelled job again from its first unfinished step. Raises `IllegalTransition`."""
        self.record = await self._bb.store.write(RetryJob(self.id, None))
        return self.record

    def retry_sync(self) -> JobRecord:
        """The same for threads without an event loop."""
        self.record = self._bb.store.write_sync(RetryJob(self.id, None))
        return self.record

    async def answer(self, value: Any, *, token: str | None = None) -> JobRecord:
        """Answer what the job has asked; ``token`` says which question where it has asked several, or
        gives the right where everyone shares the work.

        The same answer again changes nothing. Raises `InvalidArguments` naming what does not fit, `AlreadyAnswered`,
        and `IllegalTransition` where nobody waits for an answer.
        """
        question = choose(await self.questions(), self.id, token)
        await self._bb.store.write(Answer(question.token, fit(question, value)))
        return await self.refresh()

    def answer_sync(self, value: Any, *, token: str | None = None) -> JobRecord:
        """The same for threads without an event loop."""
        question = choose(self.questions_sync(), self.id, token)
        self._bb.store.write_sync(Answer(question.token, fit(question, value)))
        return self.refresh_sync()

    async def questions(self) -> tuple[Question, ...]:
        """What the job has asked, with the tokens: whoever is given one may answer. Where everyone shares the work,
        that is the only way."""
        return await self._bb.store.read(JobQuestions(self.id))

    def questions_sync(self) -> tuple[Question, ...]:
        """The same for threads without an event loop."""
        return self._bb.store.read_sync(JobQuestions(self.id))

    def _run(self) -> Run | None:
        """The execution that this is called in, if it is one of this Backburner's."""
        run = current_run.get()
        return run if run is not None and self._bb.runs(run) else None

    def _told(self, ending: Ending) -> R:
        self.record = replace(self.record, status=ending.status, error=ending.error)
        return self._outcome(ending.result)

    def _found(self, record: JobRecord | None) -> JobRecord:
        if record is None:
            raise JobNotFound(f"there is no job {self.id}")
        return record

    def _outcome(self, result: str | None) -> R:
        record = self.record
        if record.status is Status.CANCELLED:
            raise JobCancelled(f"job {self.id} was cancelled")
        if record.status is Status.FAILED:
            error = record.error
            detail = f"{error.title}: {error.detail}" if error else "no reason is known"
            raise JobFailed(
                f"job {self.id} ({record.task}) failed: {detail}",
                {"type": error.type, "title": error.title, "detail": error.detail} if error else None,
            )
        value = decode(result) if result is not None else None
        return cast(R, self._task.parameters.revive_result(value) if self._task is not None else value)

    def __repr__(self) -> str:
        return f"<Job {self.id} {self.record.task} {self.record.status}>"


def _patience(timeout: Duration | None) -> float | None:
    """Seconds. Raises `InvalidArguments`."""
    if timeout is None:
        return None
    return seconds(argument, "timeout", timeout, "choose seconds, 0 or more, or None to wait for ever", -1e-9)
