"""Working on the line in a test, until nothing is ready."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ..domain.errors import JobFailed
from ..domain.job import Claimed, JobRecord, Status
from ..domain.operations import GetJob, ListJobs
from .clock import move_clock

if TYPE_CHECKING:
    from ..app import Backburner
    from ..ports import Handler

T = TypeVar("T")
MANY = 10_000


@dataclass(frozen=True, slots=True)
class Drained:
    """The jobs that were run, as they stand now, in the order of their submits."""

    jobs: tuple[JobRecord, ...]

    @property
    def completed(self) -> tuple[JobRecord, ...]:
        return self._of(Status.COMPLETED)

    @property
    def failed(self) -> tuple[JobRecord, ...]:
        return self._of(Status.FAILED)

    @property
    def cancelled(self) -> tuple[JobRecord, ...]:
        return self._of(Status.CANCELLED)

    @property
    def pending(self) -> tuple[JobRecord, ...]:
        """Those that were run and wait again: for another try, an answer, a job."""
        return self._of(Status.PENDING)

    def _of(self, status: Status) -> tuple[JobRecord, ...]:
        return tuple(job for job in self.jobs if job.status is status)

    def __len__(self) -> int:
        return len(self.jobs)


async def drain(
    bb: Backburner,
    *,
    max_jobs: int | None = None,
    with_scheduled: bool = False,
    check: bool = True,
    for_people: bool = True,
) -> Drained:
    """Work on the line, on this event loop, until nothing is ready and nothing runs.

    Crons that are due are fired first. ``with_scheduled`` goes on with what is ready only later (delays, another try
    after a failure, rates): the clock of the database, as this process sees it, jumps to each next time. ``max_jobs``
    attempts are begun at most, one after another. With ``for_people`` off the clock does not jump over the time that
    a person has to answer, where nothing else is due. Raises `JobFailed` naming each job that has failed, caused by the
    error of the first; with ``check`` off they are in the answer only.
    """
    drain = Drain(bb, max_jobs, with_scheduled, for_people)
    drained = await drain.run()
    if check and drained.failed:
        raise _failure(drained.failed, len(drained)) from drain.error_of(drained.failed[0])
    return drained


def drain_sync(
    bb: Backburner,
    *,
    max_jobs: int | None = None,
    with_scheduled: bool = False,
    check: bool = True,
    for_people: bool = True,
) -> Drained:
    """The same for tests without an event loop: the jobs run on a thread of their own."""

    async def work() -> Drained:
        return await drain(bb, max_jobs=max_jobs, with_scheduled=with_scheduled, check=check, for_people=for_people)

    return in_thread(lambda: asyncio.run(work()))


class Drain:
    """A worker that ends when it has nothing to do."""

    def __init__(self, bb: Backburner, max_jobs: int | None, with_scheduled: bool, for_people: bool) -> None:
        self._bb = bb
        self._left = max_jobs
        self._with_scheduled = with_scheduled
        self._for_people = for_people
        self._begun: dict[str, BaseException | None] = {}
        self._stop: Callable[[], None] | None = None

    async def run(self) -> Drained:
        if self._left != 0:
            await asyncio.to_thread(self._tend)
            concurrency = self._bb.settings.concurrency if self._left is None else 1
            settings = self._bb.settings.model_copy(update={"concurrency": concurrency})
            await self._bb.run_worker(self._take_stop, settings=settings, observer=self)
        store = self._bb.parts.store
        found = [await store.read(GetJob(job)) for job in sorted(self._begun)]
        return Drained(tuple(job for job in found if job is not None))

    def error_of(self, job: JobRecord) -> BaseException | None:
        return self._begun.get(job.id)

    def around(self, job: Claimed, handler: Handler) -> Handler:
        self._begun[job.id] = None
        if self._left is not None:
            self._left -= 1
            if self._left == 0:
                self._end()
        return cast("Handler", Overheard(handler, lambda error: self._begun.update({job.id: error})))

    async def idle(self, wait: float | None) -> None:
        if wait is None or not self._with_scheduled or not (self._for_people or await self._something_is_due()):
            self._end()
            return
        move_clock(self._bb, max(wait, 0.001))
        await asyncio.to_thread(self._tend)

    async def _something_is_due(self) -> bool:
        """Whether anything waits for a time that is not a person's to answer in."""
        waiting = await self._bb.parts.store.read(ListJobs(status=Status.PENDING, limit=MANY))
        return any(job.waiting_for not in ("answer", "child") for job in waiting)

    def _tend(self) -> None:
        self._bb.parts.tend(tuple(self._bb.crons.values()))

    def _take_stop(self, stop: Callable[[], None]) -> None:
        self._stop = stop

    def _end(self) -> None:
        if self._stop is not None:
            stop, self._stop = self._stop, None
            stop()


class Overheard:
    """A handler that tells what it raises."""

    def __init__(self, handler: Handler, tell: Callable[[BaseException], None]) -> None:
        self._handler = handler
        self._tell = tell

    async def __call__(self) -> str:
        try:
            return await self._handler()
        except Exception as error:
            self._tell(error)
            raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self._handler, name)


def in_thread(work: Callable[[], T]) -> T:
    """What ``work()`` comes to on a thread that has no event loop."""
    done: Future[T] = Future()

    def perform() -> None:
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    thread = threading.Thread(target=perform, name="backburner-drain")
    thread.start()
    thread.join()
    return done.result()


def _failure(failed: Sequence[JobRecord], run: int) -> JobFailed:
    lines = [f"  {job.task} {job.id}: {job.error.detail if job.error else 'no reason is known'}" for job in failed]
    text = f"{len(failed)} of the {run} jobs that were run failed (drain(check=False) lets them):\n" + "\n".join(lines)
    error = failed[0].error
    return JobFailed(text, {"type": error.type, "title": error.title, "detail": error.detail} if error else None)
