"""The only module that sees everything: it builds the parts and connects them."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .delivery.hubs import Hubs
from .domain.errors import ConfigurationError
from .domain.job import Claimed, NewJob
from .handler import AsyncHandler, ThreadHandler
from .ports import Handler
from .run import Run
from .settings import Settings
from .signals.local import Doorbell
from .store.sqlite import SQLite
from .store.store import SQLStore
from .watcher import Watcher
from .worker.thread import Stop, WorkerThread
from .worker.worker import Limits, Worker

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from .llm.client import Llm
    from .llm.pool import ClientPool
    from .llm.settings import ModelSettings
    from .task import Task


class Parts:
    """What an open `Backburner` consists of."""

    def __init__(self, url: str) -> None:
        self.database = SQLite(sqlite_path(url))
        self.signal = Doorbell(self.database.path, self.database.watch())
        try:
            self.store = SQLStore(self.database, self.signal.ring)
        except BaseException:
            self.signal.close()
            raise
        self.watcher = Watcher(self.store, self.signal)
        self.hubs = Hubs(self.store, self.signal)

    @cached_property
    def model_clients(self) -> ClientPool:
        from .llm.pool import ClientPool

        return ClientPool()

    def make_llm(self, run: Run, model: ModelSettings) -> Llm:
        from .llm.client import Llm

        return Llm(run, model, self.model_clients)

    def create_engine(self, read_only: bool) -> Engine:
        from .store.application import create_engine

        return create_engine(self.database, read_only)

    def insert_through(self, session: Any, job: NewJob) -> int:
        from .store.application import insert_through

        return insert_through(session, job, self.database, self.signal.ring)

    def make_worker(
        self, tasks: Mapping[str, Task[Any, Any]], settings: Settings, make_llm: Callable[[Run], Llm]
    ) -> Worker:
        def prepare(job: Claimed) -> Handler:
            task = tasks[job.task]
            run = Run(job, task, self.store, make_llm)
            if task.is_async:
                return AsyncHandler(task, run, job.args)
            return ThreadHandler(task, run, job.args)

        limits = Limits(settings.concurrency, settings.lease, settings.poll, settings.grace)
        return Worker(self.store, self.signal, tasks, prepare, limits)

    def close(self) -> None:
        self.hubs.close()
        self.watcher.close()
        self.store.close()
        self.signal.close()


def database_exists(url: str) -> bool:
    return os.path.exists(sqlite_path(url))


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
        raise ConfigurationError(f"{scheme!r} databases are not supported by this version: use sqlite:///jobs.db")
    return url[len(prefix) :].split("?", 1)[0]
