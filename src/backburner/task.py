"""A task is a registered function; a job is one submitted call of it."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec, TypeVar, cast

from .domain.backoff import Backoff
from .domain.errors import (
    AnswerTimeout,
    ConfigurationError,
    DuplicateStep,
    Fail,
    InvalidArguments,
    JobCancelled,
    JobFailed,
    JobNotFound,
    JobTimeout,
    ResultTimeout,
    Retry,
)
from .domain.events import Event
from .domain.ids import new_id
from .domain.job import SHARED_FAILURE, JobRecord, NewJob, SharedWork, Status, fresh, unseen
from .domain.json import decode, encode, fingerprint, storable
from .domain.notifications import Notice, default_notice, proper
from .domain.operations import (
    UNLIMITED,
    Answer,
    Cancel,
    GetJob,
    GetResult,
    JobEvents,
    JobQuestions,
    Limit,
    Outlooks,
    Submit,
    Submitted,
)
from .domain.operations import Retry as RetryJob
from .domain.outlook import UNKNOWN, Outlook
from .domain.questions import Question, choose, fit
from .domain.retention import NOTIFICATIONS, Retention, parse_retention
from .parameters import Parameters
from .run import Run, current_run

if TYPE_CHECKING:
    from .app import Backburner
    from .outcomes import Ending
    from .sync_run import SyncRun

log = logging.getLogger("backburner.task")

P = ParamSpec("P")
R = TypeVar("R")

Words = Callable[[str, dict[str, Any], str | None], Notice | None]
"""What a task says in the inbox: called with the kind of event, the job's arguments and the reason of a failure."""

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,254}")
LONGEST_DELAY = 100 * 366 * 86_400.0
HOPELESS = (AnswerTimeout, Fail, InvalidArguments, DuplicateStep, ConfigurationError)
"""Trying again cannot help."""
OURS = (Retry, JobTimeout)
"""What ``retry_on`` does not have to name: the task asked for it, or its ``timeout`` did."""


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """How a task's jobs run. ``timeout`` is in seconds for each attempt, ``retries`` the failures it may survive,
    ``priority`` 1 to 10 (10 first), ``detached`` whether it outlives the cancellation of the job that submitted it,
    ``limit`` what may run at once anywhere, ``on_duplicate`` what becomes of a submit
    whose key a live job has, ``expires`` the seconds after which a job that was not started fails."""

    timeout: float | None = 3600.0
    retries: int = 3
    priority: int = 5
    limit: Limit = UNLIMITED
    queue: str = "default"
    on_duplicate: Literal["return", "reject"] = "return"
    expires: float | None = None
    retry_on: tuple[type[Exception], ...] | None = None
    give_up_on: tuple[type[Exception], ...] = ()
    cache: Cache | None = None
    public: bool = False
    detached: bool = False
    process: bool = False
    backoff: Backoff = field(default_factory=Backoff)
    notify: frozenset[str] = frozenset({"asked", "completed", "failed"})
    words: Words | None = None
    retention: Retention = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 1 <= self.priority <= 10:
            raise ConfigurationError(f"priority is {self.priority}: choose 1 (last) to 10 (first)")
        if self.retries < 0:
            raise ConfigurationError(f"retries is {self.retries}: choose 0 or more")
        for name, kinds in (("retry_on", self.retry_on or ()), ("give_up_on", self.give_up_on)):
            if not all(isinstance(kind, type) and issubclass(kind, Exception) for kind in kinds):
                raise ConfigurationError(f"{name} is {kinds}: name classes of exceptions, as in (TimeoutError,)")
        if self.on_duplicate not in ("return", "reject"):
            raise ConfigurationError(f"on_duplicate is {self.on_duplicate!r}: choose 'return' or 'reject'")
        if self.expires is not None and not 0 < self.expires <= LONGEST_DELAY:
            raise ConfigurationError(f"expires is {self.expires}: choose seconds above 0, or None for no limit")
        if not NAME.fullmatch(self.queue):
            raise ConfigurationError(f"{self.queue!r} is no name for a queue: use letters, digits, and . _ : -")
        if self.timeout is not None and self.timeout <= 0:
            raise ConfigurationError(f"timeout is {self.timeout}: choose seconds above 0, or None for no limit")


@dataclass(frozen=True, slots=True)
class Cache:
    """How submits of the same work share it: a result answers others for ``seconds``, of the same owner or of
    ``everyone``; ``args`` are the arguments that make work the same, None is all of them."""

    seconds: float
    everyone: bool = False
    args: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class SubmitOptions:
    """For one submit. ``delay`` and ``expires`` in seconds, ``run_at`` in microseconds since the epoch; None is the
    task's own."""

    owner: str | None = None
    priority: int | None = None
    delay: float = 0.0
    run_at: int | None = None
    key: str | None = None
    queue: str | None = None
    expires: float | None = None
    size: float | None = None
    detached: bool | None = None


class Task(Generic[P, R]):
    """Made by ``@bb.task``. Submitting has the parameters of the function, and the job its return type."""

    def __init__(
        self, bb: Backburner, name: str, function: Callable[..., Any], is_async: bool, options: TaskOptions
    ) -> None:
        if not NAME.fullmatch(name):
            raise ConfigurationError(f"{name!r} is no name for a task: use letters, digits, and . _ : -")
        self.name = name
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
        if priority is not None and not 1 <= priority <= 10:
            raise InvalidArguments(f"priority is {priority}: choose 1 (last) to 10 (first)", {"priority": "1 to 10"})
        if run_at is not None and run_at.tzinfo is None:
            raise InvalidArguments("run_at has no time zone: pass datetime(…, tzinfo=UTC)", {"run_at": "no time zone"})
        seconds = delay.total_seconds() if isinstance(delay, timedelta) else float(delay)
        if not 0 <= seconds <= LONGEST_DELAY:
            raise InvalidArguments(f"delay is {seconds} s: choose 0 s to 100 years", {"delay": "0 s to 100 years"})
        at = int(run_at.timestamp() * 1e6) if run_at is not None else None
        patience = expires.total_seconds() if isinstance(expires, timedelta) else expires
        if patience is not None and not 0 < patience <= LONGEST_DELAY:
            raise InvalidArguments(f"expires is {patience} s: choose more than 0 s", {"expires": "more than 0 s"})
        if key is not None and not storable(key, "key"):
            raise InvalidArguments("the key is empty: leave it out, or name the work", {"key": "empty"})
        if queue is not None and not NAME.fullmatch(queue):
            raise InvalidArguments(f"{queue!r} is no name for a queue", {"queue": "letters, digits, and . _ : -"})
        if size is not None and not 0 <= size < float("inf"):
            raise InvalidArguments(f"size is {size}: choose 0 or more", {"size": "0 or more"})
        return Submission(self, SubmitOptions(owner, priority, seconds, at, key, queue, patience, size, detached))

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

    async def result(self, timeout: float | None = None) -> R:
        """Wait for the end and return what the function returned.

        Raises `JobFailed`, `JobCancelled`, and `ResultTimeout` after ``timeout`` seconds (the job goes on). Inside a
        run it is a step, and a wait of more than a moment frees the run's slot: the function is called again from its
        top when the job has ended.
        """
        run = self._run()
        if run is not None:
            return self._told(await run.outcomes.ending(self.id, timeout))
        await self.wait(timeout)
        return self._outcome(await self._bb.store.read(GetResult(self.id)))

    def result_sync(self, timeout: float | None = None) -> R:
        """The same for threads without an event loop."""
        run = self._run()
        if run is not None:
            return self._told(run.wait_sync(run.outcomes.ending(self.id, timeout)))
        self.wait_sync(timeout)
        return self._outcome(self._bb.store.read_sync(GetResult(self.id)))

    async def wait(self, timeout: float | None = None) -> JobRecord:
        """Wait until the job has ended, however it ended; inside a run as `result` does."""
        run = self._run()
        if run is not None:
            self.record = await run.outcomes.record(self.id, timeout)
            return self.record
        try:
            async with asyncio.timeout(timeout):
                self.record = await self._bb.watcher.wait(self.id, lambda record: record.status.finished)
        except TimeoutError:
            raise ResultTimeout(f"job {self.id} has not ended within {timeout:g} s; it goes on") from None
        return self.record

    def wait_sync(self, timeout: float | None = None) -> JobRecord:
        run = self._run()
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


def known_kinds(kinds: Iterable[str]) -> frozenset[str]:
    """Which events make a notification. Raises `ConfigurationError`."""
    chosen = frozenset(kinds)
    unknown = chosen - {"started", "progress", "asked", "completed", "failed"}
    if unknown:
        raise ConfigurationError(
            f"notify has {sorted(unknown)}: choose among started, progress, asked, completed, failed"
        )
    return chosen


def known_retention(given: float | timedelta | str | None) -> Retention:
    """How long a task's ended jobs are kept, by status. Raises `ConfigurationError`."""
    if given is None:
        return {}
    try:
        if isinstance(given, str):
            found = parse_retention(given)
        else:
            seconds = given.total_seconds() if isinstance(given, timedelta) else float(given)
            found = parse_retention(f"{seconds:f}")
        if NOTIFICATIONS in found:
            raise ValueError("notifications are kept alike for all tasks: set BACKBURNER_RETENTION")
    except ValueError as error:
        raise ConfigurationError(f"retention is {given!r}: {error}") from None
    return found


def known_cache(cache: timedelta | None, scope: str, args: Sequence[str] | None) -> Cache | None:
    """Raises `ConfigurationError` for a cache that makes no sense."""
    if scope not in ("owner", "everyone"):
        raise ConfigurationError(f"cache_scope is {scope!r}: choose 'owner' or 'everyone'")
    if cache is None:
        if args is not None or scope != "owner":
            raise ConfigurationError("cache_scope and cache_args mean nothing without cache: add cache=timedelta(…)")
        return None
    seconds = cache.total_seconds()
    if not 0 < seconds <= LONGEST_DELAY:
        raise ConfigurationError(f"cache is {cache}: choose a timedelta above 0, up to 100 years")
    if isinstance(args, str):
        raise ConfigurationError(f"cache_args is {args!r}: pass a tuple of names, as in ({args!r},)")
    return Cache(seconds, scope == "everyone", None if args is None else tuple(args))


def known_limit(concurrency: int | None, owner_concurrency: int | None, rate: tuple[int, float] | None) -> Limit:
    """Raises `ConfigurationError` for a limit that makes no sense."""
    for name, value in (("concurrency", concurrency), ("owner_concurrency", owner_concurrency)):
        if value is not None and value < 1:
            raise ConfigurationError(f"{name} is {value}: choose 1 or more, or None for no limit")
    if rate is not None and not (len(rate) == 2 and rate[0] >= 1 and rate[1] > 0):
        raise ConfigurationError(f"rate is {rate}: choose (starts, seconds), as in (10, 60.0)")
    return Limit(concurrency, owner_concurrency, rate)


def refuse_unknown(options: Iterable[str]) -> None:
    """Raises `ConfigurationError` for what `Backburner.task` does not know, with what it may have meant."""
    kept = {option.name for option in fields(TaskOptions)} - {"limit"}
    for name in set(options) - kept:
        known = sorted(kept | {"name", "concurrency", "owner_concurrency", "rate", "cache_scope", "cache_args"})
        near = get_close_matches(name, known, 1)
        meant = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known)}"
        raise ConfigurationError(f"bb.task has no option {name!r}: {meant}")
