"""From a claimed job to a function call."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from .domain.deadline import Deadline
from .domain.errors import Fail, InvalidArguments, TooLarge
from .domain.json import decode, encode
from .run import Run
from .sync_run import SyncRun
from .threads import to_its_end

if TYPE_CHECKING:
    from .domain.job import Claimed
    from .processes.children import Children
    from .task import Task


class AsyncHandler:
    """An ``async def`` function, on the worker's event loop."""

    def __init__(self, task: Task[Any, Any], run: Run, args: str) -> None:
        self._task = task
        self._run = run
        self._args = args

    async def __call__(self) -> str:
        self._run.begin()
        arguments = revive(self._task, self._args)
        with self._run.waiting:
            result = await self._task.function(self._run, **arguments)
        await self._run.finish()
        return encode_result(result)

    def interrupt(self) -> None:
        """The event loop cancels the coroutine."""

    @property
    def deadline(self) -> Deadline:
        return self._run.deadline

    @property
    def threads(self) -> tuple[str, ...]:
        return self._run.threads.names if self._run.has_threads else ()

    async def ended(self) -> None:
        if self._run.has_threads:
            await self._run.threads.ended()


class ThreadHandler:
    """An ordinary function, in a thread."""

    def __init__(self, task: Task[Any, Any], run: Run, args: str) -> None:
        self._task = task
        self._run = run
        self._args = args
        self._sync: SyncRun | None = None

    async def __call__(self) -> str:
        self._run.begin()
        arguments = revive(self._task, self._args)
        self._sync = SyncRun(self._run)
        thread = self._run.threads.start(lambda: self._task.function(self._sync, **arguments))
        with self._run.waiting:
            result = await to_its_end(thread, when_cancelled=self.interrupt)
        await self._run.finish()
        return encode_result(result)

    def interrupt(self) -> None:
        if self._sync is not None:
            self._sync.interrupt()

    @property
    def deadline(self) -> Deadline:
        return self._run.deadline

    @property
    def threads(self) -> tuple[str, ...]:
        return self._run.threads.names

    async def ended(self) -> None:
        await self._run.threads.ended()


class ProcessHandler:
    """An ordinary function, in a child process."""

    def __init__(self, task: Task[Any, Any], run: Run, job: Claimed, children: Children) -> None:
        self._task = task
        self._run = run
        self._job = job
        self._children = children

    async def __call__(self) -> str:
        self._run.begin()
        revive(self._task, self._job.args)
        return await self._children.perform(self._task, self._job, self._run.deadline)

    def interrupt(self) -> None:
        """The event loop cancels the coroutine, which ends the process."""

    @property
    def deadline(self) -> Deadline:
        return self._run.deadline

    @property
    def threads(self) -> tuple[str, ...]:
        return ()

    async def ended(self) -> None:
        """The process does not outlive the coroutine."""


def encode_result(result: Any) -> str:
    """Raises `Fail`: a result that cannot be stored is no better at the next try."""
    try:
        return encode(result, "the result") if result is not None else "null"
    except TooLarge as error:
        raise Fail(str(error), type=error.type) from None
    except InvalidArguments as error:
        raise Fail(str(error), type="invalid_result") from None


def revive(task: Task[Any, Any], args: str) -> dict[str, Any]:
    """The stored arguments, typed again. Raises `InvalidArguments` when the function has changed since the submit."""
    arguments: dict[str, Any] = {}
    if args != "{}":
        arguments = task.parameters.revive(decode(args))
    task.parameters.bind((), arguments)
    return arguments


def is_async(function: Any) -> bool:
    return inspect.iscoroutinefunction(function)
