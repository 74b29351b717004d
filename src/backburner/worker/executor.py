"""One execution: from the claimed job to its outcome."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from enum import Enum

from ..domain.errors import BackburnerError, JobTimeout, LeaseLost, words_of
from ..domain.job import Claimed, JobError
from ..domain.json import well_formed
from ..domain.operations import Completed, Execution, Failed, Interrupted, Outcome, Released
from ..domain.parking import Park
from ..ports import Handler, TaskSpec

log = logging.getLogger("backburner.worker")

LONGEST_DETAIL = 2000


class Stopped(Enum):
    """Why a running handler was interrupted."""

    CANCELLED = "cancelled"
    TIMED_OUT = "timed out"
    DRAINED = "drained"
    LOST = "lost"


@dataclass(slots=True, eq=False)
class Running:
    job: Claimed
    spec: TaskSpec
    handler: Handler
    task: asyncio.Task[None] | None = None
    stopped: Stopped | None = None
    interruptible: bool = False
    settled: bool = False
    execution: Execution = field(init=False)

    def __post_init__(self) -> None:
        self.execution = Execution(self.job.id, self.job.attempt)


async def execute(running: Running) -> Outcome | None:
    """Call the handler; None when the job is no longer ours to settle."""
    job = running.job
    try:
        result = await running.handler()
    except asyncio.CancelledError:
        return stopped_outcome(running)
    except Park as park:
        return park.outcome if running.stopped is None else stopped_outcome(running)
    except LeaseLost:
        log.info("job %s (%s): attempt %d lost its lease", job.id, job.task, job.attempt)
        return None
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return _failed(running, error) if running.stopped is None else stopped_outcome(running)
    if running.stopped is Stopped.LOST:
        return None
    return Completed(result, running.spec.notice("completed", job.owner, job.args, None))


def stopped_outcome(running: Running) -> Outcome | None:
    """What an interrupted execution comes to; None when the job is no longer ours to settle."""
    match running.stopped:
        case Stopped.CANCELLED:
            return Interrupted()
        case Stopped.TIMED_OUT:
            return _failed(running, JobTimeout(f"the job took longer than its limit of {running.spec.timeout:g} s"))
        case Stopped.DRAINED:
            return Released()
        case Stopped.LOST:
            return None
        case None:
            return _failed(running, BackburnerError("the task cancelled itself"))


def _failed(running: Running, error: BaseException) -> Failed:
    job, spec = running.job, running.spec
    tries = job.tries + 1
    retry_after = spec.retry_after(error, tries) if tries < job.max_tries else None
    record = describe(error)
    log.warning(
        "job %s (%s): attempt %d failed (%s), %s",
        job.id,
        job.task,
        job.attempt,
        record.detail,
        "for good" if retry_after is None else f"next try in {retry_after:.1f} s",
        exc_info=None if isinstance(error, BackburnerError) else error,
    )
    notice = spec.notice("failed", job.owner, job.args, record.detail) if retry_after is None else None
    return Failed(record, retry_after, notice)


def describe(error: BaseException) -> JobError:
    """The failure in words for the job's owner; the traceback stays in the log."""
    if isinstance(error, BackburnerError):
        return JobError(error.type, error.title, well_formed(error.detail[:LONGEST_DETAIL]))
    name = type(error).__name__
    words = words_of(error)
    detail = f"{name}: {words}" if words else name
    return JobError(name, "The job failed", well_formed(detail[:LONGEST_DETAIL]))
