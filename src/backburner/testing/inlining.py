"""Jobs that run while they are submitted."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ..domain.job import JobRecord, NewJob
from ..domain.operations import Answer, GetJob, Operation, Query, Retry, Submitted
from ..ports import Store
from .draining import drain, drain_sync

if TYPE_CHECKING:
    from ..app import Backburner

T = TypeVar("T")
MOVING = (Answer, Retry)
"""What lets a job go on, besides its submit."""


@contextlib.contextmanager
def inline(bb: Backburner, *, check: bool = False) -> Iterator[Backburner]:
    """Inside, a submit returns when the job, and whatever it has submitted, has ended or waits for a person; so does an
    answer, and a manual retry.

    No worker is needed, and none is started beside an application that is served meanwhile. Delays and retries take no
    time: the clock jumps over them. With ``check`` the submit raises `JobFailed` when a job has failed, caused by what
    it raised; otherwise `Job.result` does. Jobs of `Backburner.submit_in` are run by `drain`, after the commit.
    """
    settings = bb.settings
    bb.settings = settings.model_copy(update={"embedded_worker": False})
    before = bb.route_store(lambda store: InlineStore(bb, store, check))
    try:
        yield bb
    finally:
        bb.route_store(before)
        bb.settings = settings


class InlineStore:
    """A store whose submits are drained before they are answered."""

    def __init__(self, bb: Backburner, store: Store, check: bool) -> None:
        self._bb = bb
        self._store = store
        self._check = check

    @property
    def widest_claim(self) -> int:
        return self._store.widest_claim

    def write(self, operation: Operation[T]) -> asyncio.Future[T]:
        return asyncio.ensure_future(self._write(operation))

    async def _write(self, operation: Operation[T]) -> T:
        answer = await self._store.write(operation)
        if not isinstance(operation, MOVING) and not isinstance(answer, Submitted):
            return answer
        await drain(self._bb, with_scheduled=True, check=self._check, for_people=False)
        return cast(T, await asyncio.to_thread(self._as_it_stands, operation, answer))

    def write_sync(self, operation: Operation[T]) -> T:
        answer = self._store.write_sync(operation)
        if not isinstance(operation, MOVING) and not isinstance(answer, Submitted):
            return answer
        drain_sync(self._bb, with_scheduled=True, check=self._check, for_people=False)
        return cast(T, self._as_it_stands(operation, answer))

    def _as_it_stands(self, operation: Operation[Any], answer: Any) -> Any:
        if isinstance(answer, Submitted):
            return self._as_they_stand(operation, answer)
        return self._store.read_sync(GetJob(answer.id)) or answer if isinstance(answer, JobRecord) else answer

    def _as_they_stand(self, operation: Operation[Any], submitted: Submitted) -> Submitted:
        jobs: Sequence[NewJob] = getattr(operation, "jobs", ())
        instead = dict(submitted.instead)
        for job in jobs:
            record = self._store.read_sync(GetJob(instead[job.id].id if job.id in instead else job.id))
            if record is not None:
                instead[job.id] = record
        return replace(submitted, instead=instead)

    def read(self, query: Query[T]) -> asyncio.Future[T]:
        return self._store.read(query)

    def read_sync(self, query: Query[T]) -> T:
        return self._store.read_sync(query)

    def lock_worker(self, worker: str) -> Callable[[], None]:
        return self._store.lock_worker(worker)

    def dead_workers(self) -> tuple[str, ...]:
        return self._store.dead_workers()

    def close(self) -> None:
        self._store.close()
