"""A task is a registered function; a submit of it makes a job."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

from . import given
from .domain.errors import AnswerTimeout, ConfigurationError, DuplicateStep, Fail, InvalidArguments, JobTimeout, Retry
from .domain.ids import new_id
from .domain.job import SHARED_FAILURE, JobRecord, NewJob, SharedWork, fresh, unseen
from .domain.json import decode, encode, fingerprint, storable
from .domain.notifications import Notice, default_notice, proper
from .domain.operations import GetJob, Limit, Submit, Submitted
from .given import argument
from .job import Job
from .options import NAME, SubmitOptions, TaskOptions, known_name
from .parameters import Parameters
from .run import Run, current_run

if TYPE_CHECKING:
    from .app import Backburner
    from .sync_run import SyncRun

log = logging.getLogger("backburner.task")

P = ParamSpec("P")
R = TypeVar("R")

HOPELESS = (AnswerTimeout, Fail, InvalidArguments, DuplicateStep, ConfigurationError)
"""Trying again cannot help."""
OURS = (Retry, JobTimeout)
"""What ``retry_on`` does not have to name: the task asked for it, or its ``timeout`` did."""


class Task(Generic[P, R]):
    """Made by ``@bb.task``. Submitting has the parameters of the function, and the job its return type."""

    def __init__(
        self, bb: Backburner, name: str, function: Callable[..., Any], is_async: bool, options: TaskOptions
    ) -> None:
        self.name = known_name("task", name)
        self.function = function
        self.is_async = is_async
        self.options = options
        self.parameters = Parameters(function, name)
        self._bb = bb
        if options.cache is not None and options.cache.args is not None:
            unknown = set(options.cache.args).difference(self.parameters.names)
            if unknown:
                raise ConfigurationError(
                    f"cache_args of task {name} has {sorted(unknown)}: name parameters of the function"
                )

    @property
    def backburner(self) -> Backburner:
        """The one that it is registered with."""
        return self._bb

    @property
    def timeout(self) -> float | None:
        return self.options.timeout

    @property
    def limit(self) -> Limit:
        return self.options.limit

    @property
    def queue(self) -> str:
        return self.options.queue

    def using(
        self,
        *,
        owner: str | None = None,
        priority: int | None = None,
        delay: float | timedelta = 0,
        run_at: datetime | None = None,
        key: str | None = None,
        queue: str | None = None,
        expires: float | timedelta | None = None,
        size: float | None = None,
        detached: bool | None = None,
    ) -> Submission[P, R]:
        """The task with options for one submit.

        ``delay`` is in seconds, ``run_at`` needs a time zone. ``key``: while a job of this owner and task with the same
        key lives, no second one is made (see ``on_duplicate``). ``expires``: seconds after which the job fails if it
        was not started. ``size``: how much work it is, in units of the task's own, for the estimate of its duration.
        ``detached``: submitted inside a run, it is not cancelled with it. Raises `InvalidArguments`.
        """
        if priority is not None:
            given.whole(argument, "priority", priority, "choose 1 (last) to 10 (first)", 1, 10)
        at = _micros(run_at)
        later = given.seconds(argument, "delay", delay, "choose 0 s to 100 years", -1e-9)
        patience = None if expires is None else given.seconds(argument, "expires", expires, "choose more than 0 s")
        for name, value in (("owner", owner), ("key", key), ("queue", queue)):
            if value is not None:
                given.text(argument, name, value)
        if key is not None and not storable(key, "key"):
            raise InvalidArguments("the key is empty: leave it out, or name the work", {"key": "empty"})
        if queue is not None and not NAME.fullmatch(queue):
            raise InvalidArguments(f"{queue!r} is no name for a queue", {"queue": "letters, digits, and . _ : -"})
        if size is not None:
            size = given.number(argument, "size", size, "choose 0 or more")
        if detached is not None:
            given.truth(argument, "detached", detached)
        return Submission(self, SubmitOptions(owner, priority, later, at, key, queue, patience, size, detached))

    async def submit(self, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """Returns when the job is on disk. Raises `InvalidArguments`, `StoreUnavailable`."""
        return await Submission(self, SubmitOptions()).submit(*args, **kwargs)

    def submit_sync(self, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """The same for threads without an event loop."""
        return Submission(self, SubmitOptions()).submit_sync(*args, **kwargs)

    async def submit_many(self, calls: Iterable[Mapping[str, Any] | tuple[Any, ...]]) -> list[Job[R]]:
        """Put a job for each call on disk, all in one transaction or none.

        A call is a mapping of arguments, as in ``[{"text": "a"}, {"text": "b"}]``, or a tuple of positional ones.
        Raises `InvalidArguments` naming the call.
        """
        return await Submission(self, SubmitOptions()).submit_many(calls)

    def submit_many_sync(self, calls: Iterable[Mapping[str, Any] | tuple[Any, ...]]) -> list[Job[R]]:
        """The same for threads without an event loop."""
        return Submission(self, SubmitOptions()).submit_many_sync(calls)

    def new_job(self, args: dict[str, Any], options: SubmitOptions) -> NewJob:
        run = current_run.get()
        detached = self.options.detached if options.detached is None else options.detached
        owner = options.owner if options.owner is not None or run is None else run.owner
        body = encode(args, "the arguments")
        return NewJob(
            id=new_id(),
            task=self.name,
            args=body,
            owner=owner,
            queue=options.queue or self.options.queue,
            priority=options.priority or self.options.priority,
            max_tries=self.options.retries + 1,
            delay=options.delay,
            run_at=options.run_at,
            key=options.key,
            reject=self.options.on_duplicate == "reject",
            expires=options.expires if options.expires is not None else self.options.expires,
            size=options.size,
            parent=None if run is None or detached or not self._bb.runs(run) else run.job_id,
            shared=self._shared(args, body, owner, options),
        )

    def _shared(self, args: dict[str, Any], body: str, owner: str | None, options: SubmitOptions) -> SharedWork | None:
        """What makes the work of a submit the same as another's. One that is to run later has work of its own."""
        cache = self.options.cache
        if cache is None or options.delay or options.run_at is not None:
            return None
        whole = self.parameters.complete(args)
        named = whole if cache.args is None else {name: whole.get(name) for name in cache.args}
        work = fingerprint([self.name, named], "the arguments")
        return SharedWork(work, cache.seconds, cache.everyone, self._words(owner, body))

    def _words(self, owner: str | None, args: str) -> str | None:
        """What its notifications will say: who executes the work does not know these arguments."""
        if owner is None or not self.options.notify:
            return None
        if self.options.words is None:
            return encode(dict.fromkeys(sorted(self.options.notify)))
        said = {
            kind: self.notice(kind, owner, args, SHARED_FAILURE.detail if kind == "failed" else None)
            for kind in sorted(self.options.notify - {"progress", "asked"})
        }
        usual = dict.fromkeys({"progress", "asked"} & self.options.notify)
        return encode({**{kind: notice for kind, notice in said.items() if notice is not None}, **usual})

    def retry_after(self, error: BaseException, tries: int) -> float | None:
        if isinstance(error, (*HOPELESS, *self.options.give_up_on)):
            return None
        if self.options.retry_on is not None and not isinstance(error, (*OURS, *self.options.retry_on)):
            return None
        if isinstance(error, Retry) and error.after is not None:
            return error.after
        return self.options.backoff.delay(tries)

    def notice(self, kind: str, owner: str | None, args: str, detail: str | None) -> Notice | None:
        if owner is None or kind not in self.options.notify:
            return None
        if self.options.words is None:
            return default_notice(self.name, kind, detail)
        try:
            notice = self.options.words(kind, decode(args), detail)
            return None if notice is None else proper(notice)
        except Exception:
            log.exception("the words of task %s failed; the notification gets plain ones", self.name)
            return default_notice(self.name, kind, detail)

    def __call__(self, run: Run | SyncRun, /, *args: P.args, **kwargs: P.kwargs) -> Any:
        """The function itself, for tests; an async one's answer is to be awaited."""
        return self.function(run, *args, **kwargs)


class Submission(Generic[P, R]):
    """A task with the options of one submit."""

    def __init__(self, task: Task[P, R], options: SubmitOptions) -> None:
        self.task = task
        self.options = options

    async def submit(self, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """Returns when the job is on disk."""
        bb, new = self.task._bb, self.new_job(args, kwargs)
        run = current_run.get()
        if run is None:
            record = record_of(new, await bb.store.write(Submit((new,))))
        else:
            record = await _submit_in_run(run, bb, new)
        return Job(bb, record, self.task)

    def submit_sync(self, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        bb, new = self.task._bb, self.new_job(args, kwargs)
        run = current_run.get()
        if run is None:
            record = record_of(new, bb.store.write_sync(Submit((new,))))
        else:
            record = run.wait_sync(_submit_in_run(run, bb, new))
        return Job(bb, record, self.task)

    async def submit_many(self, calls: Iterable[Mapping[str, Any] | tuple[Any, ...]]) -> list[Job[R]]:
        """See `Task.submit_many`."""
        from .batches import submit_many

        return await submit_many(self, calls)

    def submit_many_sync(self, calls: Iterable[Mapping[str, Any] | tuple[Any, ...]]) -> list[Job[R]]:
        from .batches import submit_many_sync

        return submit_many_sync(self, calls)

    def new_job(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> NewJob:
        """The job that a submit with these arguments would put on disk. Raises `InvalidArguments`."""
        return self.task.new_job(self.task.parameters.bind(args, kwargs), self.options)


def _micros(run_at: datetime | None) -> int | None:
    """Since the epoch. Raises `InvalidArguments`."""
    if run_at is None:
        return None
    if not isinstance(run_at, datetime) or run_at.tzinfo is None:
        raise InvalidArguments("run_at has no time zone: pass datetime(…, tzinfo=UTC)", {"run_at": "no time zone"})
    return int(run_at.timestamp() * 1e6)


def record_of(new: NewJob, submitted: Submitted) -> JobRecord:
    """The job that a submit came to: its own, or another that stands for it."""
    return submitted.instead.get(new.id) or fresh(new, submitted.at)


async def _submit_in_run(run: Run, bb: Backburner, new: NewJob) -> JobRecord:
    """As a step: a run that is resumed submits nothing twice."""
    request = [new.task, new.args]
    name = f"submit {new.task[:150]} {fingerprint(request)[:8]}"
    if not bb.runs(run):
        new = replace(new, id=await run.keep(name, request, _id_of(new)))
        return record_of(new, await bb.store.write(Submit((new,))))
    (id,), submitted = await run.submit(name, request, [new])
    if submitted is not None:
        return record_of(new, submitted)
    return await bb.store.read(GetJob(id)) or replace(unseen(id), task=new.task)


def _id_of(new: NewJob) -> Callable[[], Awaitable[tuple[str, None]]]:
    """In another Backburner's run the job's id is kept first, so that it is the same job when it is submitted again."""

    async def make() -> tuple[str, None]:
        return new.id, None

    return make
