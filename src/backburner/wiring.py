"""The only module that sees everything: it builds the parts and connects them."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from .delivery.hubs import Hubs
from .domain.budgets import LlmRules
from .domain.crons import Cron
from .domain.errors import ConfigurationError
from .domain.job import Claimed, NewJob
from .domain.operations import DeclareCrons, ExpireWaiting, Limit, Submitted
from .handler import AsyncHandler, ProcessHandler, ThreadHandler
from .meter import RunMeter, Sweeps
from .ports import Handler, Observer, Signal
from .processes.children import Children
from .run import Run
from .settings import Settings
from .signals.local import Doorbell
from .store.database import Database
from .store.sqlite import SQLite
from .store.store import SQLStore
from .watcher import Watcher
from .worker.chores import Chores
from .worker.thread import Stop, WorkerThread
from .worker.timetable import Timetable
from .worker.worker import Limits, Worker

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

    from .llm.client import Llm
    from .llm.pool import ClientPool
    from .llm.settings import ModelSettings
    from .task import Task


class Parts:
    """What an open `Backburner` consists of."""

    def __init__(self, url: str) -> None:
        self.database = open_database(url)
        self.signal = open_signal(self.database)
        try:
            self.store = SQLStore(self.database, self.signal.ring)
        except BaseException:
            self.signal.close()
            raise
        self._workers: WeakSet[Worker] = WeakSet()
        self.watcher = Watcher(self.store, self.signal)
        self.hubs = Hubs(self.store, self.signal)
        self._sweeps = Sweeps()

    @cached_property
    def model_clients(self) -> ClientPool:
        from .llm.pool import ClientPool

        return ClientPool()

    def make_llm(self, run: Run, model: ModelSettings, rules: LlmRules) -> Llm:
        from .llm.client import Llm

        return Llm(run, model, self.model_clients, RunMeter(run, rules, self._sweeps) if rules else None)

    def create_engine(self, read_only: bool) -> Engine:
        return self.database.create_engine(read_only)

    def create_async_engine(self, read_only: bool) -> AsyncEngine:
        return self.database.create_async_engine(read_only)

    def submit_through(self, given: Any, job: NewJob) -> Submitted:
        from .store.joining import submit_through

        return submit_through(given, job, self.database, self.signal)

    async def submit_through_async(self, given: Any, job: NewJob) -> Submitted:
        from .store.joining import submit_through_async

        return await submit_through_async(given, job, self.database, self.signal)

    def make_children(self, settings: Settings, model: Callable[[], ModelSettings | None]) -> Children:
        return Children(self.store, settings, model)

    def make_worker(
        self,
        tasks: Mapping[str, Task[Any, Any]],
        queues: Mapping[str, Limit],
        crons: Iterable[Cron],
        settings: Settings,
        make_llm: Callable[[Run], Llm],
        children: Children,
        observer: Observer | None = None,
    ) -> Worker:
        def prepare(job: Claimed) -> Handler:
            task = tasks[job.task]
            run = Run(job, task, self.store, make_llm)
            if task.is_async:
                return AsyncHandler(task, run, job.args)
            if task.options.process:
                return ProcessHandler(task, run, job, children)
            return ThreadHandler(task, run, job.args)

        limits = Limits(settings.concurrency, settings.lease, settings.poll, settings.grace)
        own = {name: task.options.retention for name, task in tasks.items()}
        task_limits = {name: task.options.limit for name, task in tasks.items()}
        chores = Chores(self.store, settings.ageing, settings.kept, own, task_limits, queues)
        beside = (chores, Timetable(self.store, crons)) if observer is None else ()
        worker = Worker(self.store, self.signal, tasks, prepare, limits, queues, beside, observer)
        self._workers.add(worker)
        return worker

    def set_clock(self, shift: int, stands_at: int | None) -> None:
        """Whoever waits for a time of the database's clock, in this process, looks again."""
        self.database.shift, self.database.stands_at = shift, stands_at
        for worker in list(self._workers):
            worker.clock_moved()

    def declare(self, crons: Collection[Cron]) -> None:
        """Their ticks are counted from now on."""
        self.store.write_sync(DeclareCrons(tuple(crons)))

    def tend(self, crons: Collection[Cron]) -> None:
        """Once and now, what workers do by the clock: fire crons, fail what was not started in time."""
        if crons:
            Timetable(self.store, crons).look()
        while self.store.write_sync(ExpireWaiting()):
            pass

    def close(self) -> None:
        self.hubs.close()
        self.watcher.close()
        self.store.close()
        self.signal.close()


def open_database(url: str) -> Database:
    """The database behind a URL. Raises `ConfigurationError` for one that is not known."""
    scheme = url.partition(":")[0].partition("+")[0]
    if scheme == "sqlite":
        return SQLite(sqlite_path(url))
    if scheme in ("postgresql", "postgres"):
        try:
            from .store.postgres import Postgres
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                f"PostgreSQL needs the package {error.name}: install backburner[postgres]"
            ) from None
        return Postgres(f"postgresql:{url.partition(':')[2]}")
    raise ConfigurationError(
        f"{scheme!r} databases are not supported by this version: use sqlite:///jobs.db or postgresql://…"
    )


def open_signal(database: Database) -> Signal:
    if isinstance(database, SQLite):
        return Doorbell(database.path, database.watch())
    from .signals.postgres import Notifications

    return Notifications(database.address)


def database_exists(url: str) -> bool:
    """Whether there is something to open; a server is asked when it is opened."""
    return not url.startswith("sqlite") or os.path.exists(sqlite_path(url))


def make_worker_thread(run: Callable[[Callable[[Stop], None]], Coroutine[Any, Any, None]]) -> WorkerThread:
    return WorkerThread(run)


def model_in(settings: Settings) -> ModelSettings | None:
    """The model that the settings name, None where they name none."""
    from .llm.settings import resolve_model

    return resolve_model(settings.model, settings.openai_base_url, settings.openai_api_key)


def sqlite_path(url: str) -> str:
    """The file of ``sqlite:///file``. Raises `ConfigurationError`."""
    prefix = "sqlite:///"
    if not url.startswith(prefix):
        scheme = url.split(":", 1)[0]
        raise ConfigurationError(f"{scheme!r} is no address of a file: write sqlite:///jobs.db")
    return url[len(prefix) :].split("?", 1)[0]
