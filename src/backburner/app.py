"""`Backburner`: tasks are registered with it, jobs submitted through it, applications served by it."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, TypeVar, overload

from .crons import CronDecorator
from .domain.backoff import Backoff
from .domain.budgets import ANY, LlmBudget, LlmRules, Price
from .domain.crons import Cron, Missed
from .domain.errors import ConfigurationError, StoreUnreachable, UnknownTask
from .domain.job import NewJob, fresh, unseen
from .domain.json import storable
from .domain.operations import Limit, PauseQueue, Submitted
from .given import argument, configuration, shown, text
from .job import Job
from .opening import Stop, open_in_time
from .options import (
    TaskOptions,
    Words,
    known_cache,
    known_kinds,
    known_limit,
    known_name,
    known_retention,
    refuse_unknown,
)
from .ports import Observer, Signal, Store
from .processes.address import refuse_unless_importable
from .run import Run
from .settings import Settings, load_settings
from .sync_run import SyncRun
from .task import Submission, Task
from .watcher import Watcher

if TYPE_CHECKING:
    import sqlite3
    from zoneinfo import ZoneInfo

    import psycopg
    from fastapi import APIRouter
    from sqlalchemy import Connection, Engine
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_scoped_session
    from sqlalchemy.orm import Session, scoped_session
    from starlette.requests import HTTPConnection

    from .batches import Batch
    from .delivery.hubs import Hubs
    from .domain.identity import Identity
    from .http.callers import Callers, Identify
    from .llm.client import Llm
    from .llm.settings import ModelSettings
    from .wiring import Parts

    SyncTransaction = Session | scoped_session[Any] | Connection | sqlite3.Connection | psycopg.Connection[Any]
    AsyncTransaction = AsyncSession | async_scoped_session[Any] | AsyncConnection | psycopg.AsyncConnection[Any]

P = ParamSpec("P")
R = TypeVar("R")

AsyncFunction = Callable[Concatenate[Run, P], Awaitable[R]]
SyncFunction = Callable[Concatenate[SyncRun, P], R]


class Decorator:
    """What ``bb.task(…)`` returns."""

    def __init__(self, bb: Backburner, name: str | None, options: TaskOptions) -> None:
        self._bb = bb
        self._name = name
        self._options = options

    @overload
    def __call__(self, function: AsyncFunction[P, R], /) -> Task[P, R]: ...
    @overload
    def __call__(self, function: SyncFunction[P, R], /) -> Task[P, R]: ...
    def __call__(self, function: Any, /) -> Any:
        return self._bb.register(function, self._name, self._options)


class Backburner:
    """Put slow work on the back burner.

    Opens itself at its first use, and may be used from several event loops and threads at once, and on both sides of a
    fork. ``database_url`` overrides `BACKBURNER_DATABASE_URL`; other settings come from the environment, or from
    ``settings``. ``identify(request)``, async or not, says on whose behalf an HTTP request comes, instead of
    `BACKBURNER_AUTH`: the owner's name or an `Identity`, None for somebody unknown (401).
    """

    def __init__(
        self,
        database_url: str | None = None,
        *,
        settings: Settings | None = None,
        identify: Identify | None = None,
    ) -> None:
        settings = settings or load_settings()
        if database_url is not None and not isinstance(database_url, str):
            raise ConfigurationError(f"the database is {shown(database_url)}: give a URL, as in sqlite:///jobs.db")
        if database_url is not None:
            settings = settings.model_copy(update={"database_url": database_url})
        self.settings = settings
        self.tasks: dict[str, Task[Any, Any]] = {}
        self.queues: dict[str, Limit] = {}
        self.crons: dict[str, Cron] = {}
        self.has_lifespan = False
        """Whether an application has entered `lifespan`: without it there is no worker beside the application."""
        self._lock = threading.RLock()
        self._parts: Parts | None = None
        self._opening: Parts | None = None
        self._process = os.getpid()
        self._inherited: list[Parts | None] = []
        self._on_open: list[Callable[[Backburner], None]] = []
        self._on_close: list[Callable[[], None]] = []
        self._model: ModelSettings | None = None
        self.llm_rules = LlmRules(settings.llm_budgets, settings.llm_prices)
        self.clock: tuple[int, int | None] = (0, None)
        """What `set_clock` was told."""
        self._through: Callable[[Store], Store] | None = None
        self._identify = identify

    @overload
    def task(self, function: AsyncFunction[P, R], /) -> Task[P, R]: ...
    @overload
    def task(self, function: SyncFunction[P, R], /) -> Task[P, R]: ...
    @overload
    def task(
        self,
        /,
        *,
        name: str | None = None,
        timeout: float | timedelta | None = 3600.0,
        retries: int = 3,
        priority: int = 5,
        concurrency: int | None = None,
        owner_concurrency: int | None = None,
        rate: tuple[int, float] | None = None,
        queue: str = "default",
        public: bool = False,
        detached: bool = False,
        on_duplicate: Literal["return", "reject"] = "return",
        expires: float | timedelta | None = None,
        retry_on: type[Exception] | tuple[type[Exception], ...] | None = None,
        give_up_on: type[Exception] | tuple[type[Exception], ...] = (),
        cache: timedelta | None = None,
        cache_scope: Literal["owner", "everyone"] = "owner",
        cache_args: Sequence[str] | None = None,
        process: bool = False,
        backoff: Backoff | None = None,
        notify: Iterable[str] = ("asked", "completed", "failed"),
        words: Words | None = None,
        retention: float | timedelta | str | None = None,
    ) -> Decorator: ...
    def task(
        self,
        function: Any = None,
        /,
        *,
        notify: Iterable[str] = ("asked", "completed", "failed"),
        name: str | None = None,
        backoff: Backoff | None = None,
        concurrency: int | None = None,
        owner_concurrency: int | None = None,
        rate: tuple[int, float] | None = None,
        retention: float | timedelta | str | None = None,
        cache: timedelta | None = None,
        cache_scope: Literal["owner", "everyone"] = "owner",
        cache_args: Sequence[str] | None = None,
        **options: Any,
    ) -> Any:
        """Register a function, ``async def f(run: Run, …)`` or ``def f(run: SyncRun, …)``, as a task.

        ``timeout``: seconds, or a timedelta, that an attempt may take. ``retries``: failures a job survives;
        ``retry_on`` names the errors that are worth another try where not all are, ``give_up_on`` those that are not.
        ``priority``: 1 to 10, 10 first. ``concurrency``: how many of its jobs may run at once, on all workers
        together, ``owner_concurrency`` how many of one owner's, ``rate=(n, seconds)`` how many may start in a period
        of at most a year. ``on_duplicate``: whether a submit
        whose key a live job has answers with that job (``return``) or raises `DuplicateJob` (``reject``). ``expires``:
        seconds after which a job that was not started fails. ``detached``: submitted inside a run, its jobs are not
        cancelled with that. ``cache``: submits of the same work share one execution, and its result answers further
        ones at once for that long; the same are those of one owner, or with ``cache_scope="everyone"`` of anybody (the
        run has no owner then), that agree in ``cache_args`` (names of arguments; None is all). One with a delay runs by
        itself. What the model calls of shared work took is counted once, to the owner who began it. ``public``: it may
        be submitted over HTTP. ``process``: an ordinary function runs in a child process, which timeout and cancel
        kill; for work that keeps the processor busy. ``notify``: which of started, progress, asked, completed, failed
        put a notification into the owner's inbox, and ``words(kind, args, reason)`` what it says. ``retention``: how
        long ended jobs are kept where that is not as `BACKBURNER_RETENTION` says, in seconds or as
        there (``"completed=1h,failed=forever"``). The name is the function's unless given.
        """
        limit = known_limit(concurrency, owner_concurrency, rate)
        kept = known_retention(retention)
        refuse_unknown(options)
        shared = known_cache(cache, cache_scope, cache_args)
        chosen = TaskOptions(
            notify=known_kinds(notify),
            backoff=Backoff() if backoff is None else backoff,
            limit=limit,
            retention=kept,
            cache=shared,
            **options,
        )
        decorator = Decorator(self, name, chosen)
        return decorator if function is None else decorator(function)

    def queue(self, name: str, *, concurrency: int | None = None, owner_concurrency: int | None = None) -> str:
        """Limit a named line of jobs: how many of them may run at once, and how many of one owner's.

        Answers the name, for ``bb.task(queue=…)``. Raises `ConfigurationError`.
        """
        self.queues[known_name("queue", name)] = known_limit(concurrency, owner_concurrency, None)
        return name

    def cron(
        self,
        expression: str,
        *,
        tz: str | ZoneInfo = "UTC",
        args: Mapping[str, Any] | None = None,
        name: str | None = None,
        missed: Missed = "once",
        owner: str | None = None,
        priority: int | None = None,
    ) -> CronDecorator:
        """Submit a task by the clock; stands above ``@bb.task``, or is called with a task.

        ``expression``: minute, hour, day of month, month, day of week, as in ``"0 3 * * *"`` (a sixth field in front
        is seconds), on the database's clock in the time zone ``tz``. A tick makes one job however many workers watch.
        ``missed``: ticks during which no worker was there make one job together (``once``) or none (``skip``).
        ``args``: the task's arguments; ``name``: what the cron is called, the task's name unless given. Only workers
        whose code has the cron fire it, and the one that was started last knows the schedule. Raises
        `ConfigurationError`.
        """
        return CronDecorator(self.crons, expression, tz, args or {}, name, missed, owner, priority)

    async def pause_queue(self, name: str) -> None:
        """Take no more jobs from a queue, on any worker, until `resume_queue`; what runs goes on."""
        await self.store.write(PauseQueue(known_name("queue", name), paused=True))

    async def resume_queue(self, name: str) -> None:
        await self.store.write(PauseQueue(known_name("queue", name), paused=False))

    def llm_budget(
        self,
        model: str | None = None,
        /,
        *,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        owner_requests_per_minute: int | None = None,
        owner_tokens_per_minute: int | None = None,
        owner_tokens_per_day: int | None = None,
        owner_cost_per_day: float | None = None,
    ) -> None:
        """Limit what `Run.llm` takes of a model, on all workers together; None as the model: of all models together.

        See `LlmBudget`. With no limit at all the model's calls still wait together when its endpoint asks for that.
        Replaces what was set for that model before, also by `BACKBURNER_LLM_BUDGETS`. Raises `ConfigurationError`.
        """
        if model is not None:
            text(configuration, "the model", model)
        budget = LlmBudget(
            requests_per_minute,
            tokens_per_minute,
            owner_requests_per_minute,
            owner_tokens_per_minute,
            owner_tokens_per_day,
            owner_cost_per_day,
        )
        self.llm_rules.limit(ANY if model is None else model, budget)

    def llm_price(self, model: str, /, *, input_per_million: float, output_per_million: float) -> None:
        """What a million tokens of a model cost, in a currency of your choice: usage then says its cost.

        ``"*"`` is every model without a price of its own. Raises `ConfigurationError`.
        """
        text(configuration, "the model", model)
        self.llm_rules.price(model, Price(input_per_million, output_per_million))

    def register(self, function: Callable[..., Any], name: str | None, options: TaskOptions) -> Task[Any, Any]:
        """What the decorator does. Raises `ConfigurationError` for a name that is taken."""
        if not callable(function) or inspect.isclass(function):
            raise ConfigurationError(f"bb.task is given {shown(function)}: it stands above a function")
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise ConfigurationError(
                f"{function.__name__} yields: a task returns its result, and says text by run.text"
            )
        name = str(getattr(function, "__name__", type(function).__name__)) if name is None else name
        is_async = inspect.iscoroutinefunction(function)
        if options.process:
            refuse_unless_importable(name, function, is_async)
        if name in self.tasks and self.tasks[name].function is not function:
            raise ConfigurationError(f"two tasks are called {name!r}: give one of them another name")
        task: Task[Any, Any] = Task(self, name, function, is_async, options)
        self.tasks[name] = task
        return task

    def find_task(self, name: str) -> Task[Any, Any]:
        """Raises `UnknownTask`."""
        try:
            return self.tasks[name]
        except KeyError:
            raise UnknownTask(
                f"there is no task {name!r}; known are {', '.join(sorted(self.tasks)) or 'none'}"
            ) from None

    def batch(
        self,
        title: str,
        *,
        owner: str | None = None,
        on_complete: Task[..., Any] | Submission[..., Any] | None = None,
        notify: bool = True,
    ) -> Batch:
        """Jobs that belong together: ``async with bb.batch("Translate", owner="ann") as batch: batch.add(task, …)``.

        At the end of the block all of them are on disk, in one transaction. They make one notification (``notify``)
        instead of one each, and when all have ended for the first time the task ``on_complete`` is submitted with the
        id of the batch as its argument. ``with`` does the same without an event loop. ``owner`` is theirs where a job
        brings none.
        """
        from .batches import new_batch

        return new_batch(self, title, owner, on_complete, notify)

    def find_batch(self, id: str) -> Batch:
        """A batch by its id, to be looked at, waited for, cancelled."""
        from .batches import found_batch

        return found_batch(self, storable(text(argument, "batch", id), "batch"))

    def runs(self, run: Run) -> bool:
        """Whether it is an execution of a task of this Backburner."""
        return self.tasks.get(run.task) is run.spec

    def submit_in(
        self,
        transaction: SyncTransaction,
        task: Task[P, R] | Submission[P, R],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Job[R]:
        """Insert a job through the application's own transaction: it exists exactly if that commits.

        ``transaction`` is a SQLAlchemy session or connection on the same database (with the standard ``sqlite3`` driver
        on SQLite; `create_engine` gives one), or a bare connection of ``sqlite3`` or psycopg; another one is refused
        with `ConfigurationError`. ``task`` may be ``task.using(owner=…)``; inside a run (`Run.transaction`) the owner
        is the run's. A key is held until the transaction ends: a submit with the same one waits for that. Raises
        `InvalidArguments`, `DuplicateJob`.
        """
        submission = self.own(task)
        new = submission.new_job(args, kwargs)
        return _entered(self, new, self._open().submit_through(transaction, new), submission.task)

    async def submit_in_async(
        self,
        transaction: AsyncTransaction,
        task: Task[P, R] | Submission[P, R],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Job[R]:
        """The same for an ``AsyncSession`` or ``AsyncConnection`` of SQLAlchemy's, or psycopg's ``AsyncConnection``."""
        submission = self.own(task)
        new = submission.new_job(args, kwargs)
        parts = await asyncio.to_thread(self._open)
        return _entered(self, new, await parts.submit_through_async(transaction, new), submission.task)

    def own(self, task: Task[P, R] | Submission[P, R]) -> Submission[P, R]:
        """For the engine. Raises `InvalidArguments` for what is no task of this Backburner."""
        if not isinstance(task, Task | Submission):
            raise argument("the task", task, "give a task, or task.using(…), and its arguments behind it")
        submission = task if isinstance(task, Submission) else task.using()
        if submission.task.backburner is not self:
            raise argument("the task", submission.task.name, "give a task of this Backburner")
        return submission

    def create_engine(self, *, read_only: bool = False) -> Engine:
        """A SQLAlchemy engine on the same database for the application's own tables.

        Its commits are fully durable, and on SQLite its write transactions take their turn with backburner's; a
        ``read_only`` one waits for nobody. A database that cannot be used is `StoreUnavailable`. Dispose of it when
        done.
        """
        return self._open().create_engine(read_only)

    def create_async_engine(self, *, read_only: bool = False) -> AsyncEngine:
        """The same for asyncio: by way of aiosqlite on SQLite, of psycopg on PostgreSQL."""
        return self._open().create_async_engine(read_only)

    def on_open(self, prepare: Callable[[Backburner], None]) -> None:
        """Call ``prepare(bb)`` whenever the store has been opened, before it is used: the place for an application's
        own migrations. Processes that open one database at the same time take turns at it."""
        self._on_open.append(prepare)

    def on_close(self, release: Callable[[], None]) -> None:
        """Call ``release()`` before the store is closed: the place to dispose of engines made by `create_engine`."""
        self._on_close.append(release)

    @property
    def model(self) -> ModelSettings:
        """The model behind `Run.llm`. Raises `ConfigurationError` when none is set."""
        from .wiring import model_in

        found = self._model or model_in(self.settings)
        if found is None:
            raise ConfigurationError(
                "no model is set: set OPENAI_API_KEY, or OPENAI_BASE_URL for another OpenAI-compatible endpoint, and "
                "BACKBURNER_MODEL"
            )
        return found

    def use_model(self, model: ModelSettings | None) -> ModelSettings | None:
        """Answer `Run.llm` with this model instead of the one in the settings, which None brings back.

        Answers what was used before.
        """
        before, self._model = self._model, model
        return before

    def set_clock(self, shift: int, stands_at: int | None = None) -> None:
        """For `backburner.testing.FakeClock`: put the database's clock ``shift`` microseconds ahead, or stop it.

        For this process only. Whoever waits for a time looks again.
        """
        with self._lock:
            self.clock = (shift, stands_at)
            if self._parts is not None:
                self._parts.set_clock(shift, stands_at)

    def route_store(self, through: Callable[[Store], Store] | None) -> Callable[[Store], Store] | None:
        """For `backburner.testing.inline`: what is written from outside of runs goes to ``through(store)``.

        Answers what was set before.
        """
        before, self._through = self._through, through
        return before

    @property
    def parts(self) -> Parts:
        """What it consists of while it is open. For the engine and `backburner.testing`."""
        return self._open()

    @property
    def store(self) -> Store:
        store = self._open().store
        return store if self._through is None else self._through(store)

    @property
    def signal(self) -> Signal:
        return self._open().signal

    @property
    def watcher(self) -> Watcher:
        return self._open().watcher

    @property
    def hubs(self) -> Hubs:
        """Those who read the log for open event streams, one for each event loop."""
        return self._open().hubs

    @cached_property
    def router(self) -> APIRouter:
        """Everything under ``/backburner``, for ``app.include_router``."""
        from .http.router import make_router

        return make_router(self)

    @property
    def authenticates(self) -> bool:
        """Whether it tells users apart; else there is one, at this machine."""
        return self._identify is not None or self.settings.auth != "off"

    @cached_property
    def callers(self) -> Callers:
        """Who finds out on whose behalf a request comes. Raises `ConfigurationError`."""
        from .http.callers import Callers

        return Callers(self, self._identify)

    async def identify(self, request: HTTPConnection) -> Identity:
        """On whose behalf an HTTP request comes, for an application's own routes.

        Raises an error that `ProblemRoute` turns into a 401 or 403 where it may not be served.
        """
        return await self.callers.caller(request)

    def owner_of(self, request: HTTPConnection) -> str:
        """The owner that `identify` finds, for routes that are ordinary functions."""
        return self.callers.caller_sync(request).owner

    @contextlib.asynccontextmanager
    async def lifespan(self, app: Any = None) -> AsyncIterator[None]:
        """For ``FastAPI(lifespan=bb.lifespan)``, or inside a lifespan of your own.

        Opens the store, waiting for a database server that cannot be reached yet, and, unless
        `BACKBURNER_EMBEDDED_WORKER` is off, runs a worker beside the application. At the end open event streams are
        closed and the worker is drained.
        """
        from .http.shutdown import on_signals, streams_end_on_signals

        self.has_lifespan = True
        stop = Stop()
        with on_signals(stop):
            await open_in_time(self._open, stop.told)
        stop_worker = self.start_worker() if self.settings.embedded_worker and self.tasks else None
        try:
            with streams_end_on_signals(self):
                yield
        finally:
            if stop_worker is not None:
                await asyncio.to_thread(stop_worker)
            await asyncio.to_thread(self.close)

    def start_worker(self) -> Callable[[], None]:
        """Work on the registered tasks on a thread of its own, beside whatever this process does.

        Call the answer to drain the worker; it returns when that has ended.
        """
        from .wiring import make_worker_thread

        worker = make_worker_thread(self.run_worker)
        worker.start()
        return worker.stop

    async def run_worker(
        self,
        stopper: Callable[[Callable[[], None]], None] | None = None,
        *,
        settings: Settings | None = None,
        observer: Observer | None = None,
    ) -> None:
        """Work on the registered tasks on this event loop until stopped, then drain. A database server that cannot be
        reached yet is waited for.

        ``stopper`` is handed a function that stops the worker, from any thread; called a second time it hurries.
        ``settings`` replaces the Backburner's, ``observer`` is told when there is nothing to do: for
        `backburner.testing`.
        """
        stop = Stop()
        if stopper is not None:
            stopper(stop)
        try:
            parts = await open_in_time(self._open, stop.told)
        except StoreUnreachable:
            return  # it was told to stop before there was anything to do
        settings = settings or self.settings
        children = parts.make_children(settings, lambda: self._model)
        worker = parts.make_worker(
            self.tasks, self.queues, self.crons.values(), settings, self._make_llm, children, observer
        )
        stop.passes_to(worker.stop)
        try:
            await worker.run()
        finally:
            await children.aclose()
            await parts.model_clients.aclose()

    def handle(self, job: str) -> Job[Any]:
        """A job by its id, to be refreshed before it is looked at. Raises `InvalidArguments` for what is no id."""
        return Job(self, unseen(storable(text(argument, "job", job), "job")))

    def open(self) -> None:
        """Open the store now instead of at the first use: migrate the database, run the applications' own `on_open`.

        Raises `ConfigurationError`, `SchemaOutdated`, `StoreUnavailable`.
        """
        self._open()

    def database_exists(self) -> bool:
        """Whether there is a database to open; opening makes one where there is none."""
        from .wiring import database_exists

        return database_exists(self.settings.database_url)

    def close(self) -> None:
        """Write what waits and release everything. The next use opens it again."""
        if self._process != os.getpid():
            self._forget_parent()
        with self._lock:
            parts, self._parts = self._parts, None
        if parts is not None:
            for release in self._on_close:
                release()
            parts.close()

    def _open(self) -> Parts:
        if self._process != os.getpid():
            self._forget_parent()
        return self._parts or self._open_first()

    def _forget_parent(self) -> None:
        """After a fork: the threads are gone, and the connections are the parent's, which must not even be closed."""
        self._inherited.append(self._parts or self._opening)
        self._lock = threading.RLock()
        self._parts = self._opening = None
        self._process = os.getpid()

    def _open_first(self) -> Parts:
        """Other threads see the store when it is ready; `on_open` may already use it on this one."""
        from .wiring import Parts

        with self._lock:
            opened = self._parts or self._opening
            if opened is not None:
                return opened
            self._opening = parts = Parts(self.settings.database_url)
            parts.set_clock(*self.clock)
            try:
                if self._on_open:
                    with parts.database.preparing():
                        for prepare in self._on_open:
                            prepare(self)
            except BaseException:
                for release in self._on_close:
                    release()
                parts.close()
                raise
            finally:
                self._opening = None
            self._parts = parts
            return parts

    def _make_llm(self, run: Run) -> Llm:
        return self._open().make_llm(run, self.model, self.llm_rules)


def _entered(bb: Backburner, new: NewJob, submitted: Submitted, task: Task[Any, R]) -> Job[R]:
    """The job of somebody's transaction: not announced yet, or one that stands for it."""
    instead = submitted.instead.get(new.id)
    return Job(bb, instead or replace(fresh(new, submitted.at), seq=0), task)
