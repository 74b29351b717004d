"""How another job ended, as a running function is told of it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass

from .domain.errors import JobNotFound, ResultTimeout, StoreUnavailable
from .domain.job import JobError, JobRecord, KeptStep, Status
from .domain.json import decode, encode
from .domain.operations import GetJob, GetResult, Parked
from .ports import Store
from .waiting import Waiting

IN_PLACE = 0.25
"""Seconds that a function waits for another job before it gives up its slot: parking costs more than a short wait."""
FIRST_LOOK = 0.01
SLOWEST_LOOK = 1.0


@dataclass(frozen=True, slots=True)
class Ending:
    """``result`` is the JSON text of what a completed job returned."""

    status: Status
    error: JobError | None
    result: str | None


class Outcomes:
    """What one execution has learned of the ends of others.

    An outcome is kept with the steps: a job that is erased, or run again, later does not change a replay.
    """

    def __init__(
        self,
        store: Store,
        waiting: Waiting,
        find: Callable[[str], KeptStep | None],
        keep: Callable[[str, str, str], Awaitable[None]],
    ) -> None:
        """``find(name)`` answers what is kept, ``keep(name, key, value)`` keeps it."""
        self._store = store
        self._waiting = waiting
        self._find = find
        self._keep = keep

    async def ending(self, job: str, timeout: float | None) -> Ending:
        """How the job ended. Parks the execution while that takes long. Raises `JobNotFound`, `ResultTimeout`."""
        kept = self._find(f"result {job}")
        if kept is None:
            with self._waiting.working():
                kept = await self._keep_ending(await self._wait(job, timeout))
        status = Status(kept.key)
        if status is Status.COMPLETED:
            return Ending(status, None, kept.value)
        error = decode(kept.value)
        return Ending(status, JobError(**error) if error is not None else None, None)

    async def record(self, job: str, timeout: float | None) -> JobRecord:
        """The job once it has ended. Raises as `ending` does."""
        with self._waiting.working():
            return await self._wait(job, timeout)

    async def _wait(self, job: str, timeout: float | None) -> JobRecord:
        record = await self._look(job)
        if record.status.finished:
            return record
        if timeout is None:
            return await self._waiting.until(self._poll(job), Parked("child", None, (job,)), IN_PLACE)
        left = await self._deadline(job, timeout) - time.time()
        if left > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    return await self._waiting.until(self._poll(job), Parked("child", left, (job,)), IN_PLACE)
        raise ResultTimeout(f"job {job} has not ended within {timeout:g} s; it goes on")

    async def _keep_ending(self, record: JobRecord) -> KeptStep:
        if record.status is Status.COMPLETED:
            value = await self._store.read(GetResult(record.id)) or "null"
        else:
            value = encode(asdict(record.error) if record.error is not None else None)
        await self._keep(f"result {record.id}", record.status.value, value)
        return KeptStep(f"result {record.id}", 0, record.status.value, value)

    async def _deadline(self, job: str, timeout: float) -> float:
        """Counted from the first call: a park must not give another ``timeout``."""
        name = f"timeout {job}"
        kept = self._find(name)
        if kept is not None:
            return float(kept.value)
        deadline = time.time() + timeout
        await self._keep(name, "", encode(deadline))
        return deadline

    async def _poll(self, job: str) -> JobRecord:
        pause = FIRST_LOOK
        while True:
            await asyncio.sleep(pause)
            pause = min(pause * 2, SLOWEST_LOOK)
            try:
                record = await self._look(job)
            except StoreUnavailable:
                continue
            if record.status.finished:
                return record

    async def _look(self, job: str) -> JobRecord:
        record = await self._store.read(GetJob(job))
        if record is None:
            raise JobNotFound(f"there is no job {job}")
        return record
