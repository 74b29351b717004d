"""What a running function holds."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, cast, overload

from .channel import Channel
from .domain.errors import ConfigurationError, JobCancelled, StoreUnavailable
from .domain.job import Claimed, KeptStep
from .domain.json import decode, encode, fingerprint, storable, well_formed
from .domain.operations import Execution, KeepStep, Operation, SetProgress, Transact, Usage
from .parameters import adapter_of, resolve_hints
from .ports import Store, TaskSpec
from .scope import Scope
from .threads import in_thread

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from .llm.client import Llm

P = ParamSpec("P")
R = TypeVar("R")

STORE_BACK_OFF = 0.5

current_run: contextvars.ContextVar[Run | None] = contextvars.ContextVar("backburner_run", default=None)
_scope: contextvars.ContextVar[Scope] = contextvars.ContextVar("backburner_scope")
_in_transaction: contextvars.ContextVar[bool] = contextvars.ContextVar("backburner_in_transaction", default=False)


class Run:
    """One execution of a job, as the function that serves it sees it.

    A function is called again from its top after a retry or a crash: what went through `step`, `transaction` or `llm`
    is not done again.
    """

    def __init__(self, job: Claimed, spec: TaskSpec, store: Store, make_llm: Callable[[Run], Llm]) -> None:
        self.job_id = job.id
        self.task = job.task
        self.owner = job.owner
        self.priority = job.priority
        self.attempt = job.attempt
        self.tries = job.tries
        """Failures so far."""
        self._execution = Execution(job.id, job.attempt)
        self._spec = spec
        self._args = job.args
        self._store = store
        self._make_llm = make_llm
        self._llm: Llm | None = None
        self._kept = {(step.name, step.occurrence): step for step in job.steps}
        self._top = Scope("")
        self._standing: dict[str, int] = {}
        for step in job.steps:
            for channel, end in step.channels.items():
                self._standing[channel] = max(end, self._standing.get(channel, 0))
        self._retold: dict[str, int] = {}
        self._written: dict[str, int] = dict(self._standing)
        self._channels: dict[str, Channel] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def begin(self) -> None:
        """The engine calls this on the event loop that the function belongs to, in its context."""
        self._loop = asyncio.get_running_loop()
        current_run.set(self)

    async def progress(self, percent: float, message: str = "") -> None:
        """Tell the owner how far the job is: 0 to 100, and what it is doing."""
        percent = min(max(float(percent), 0.0), 100.0)
        message = well_formed(message)
        notice = self._spec.notice("progress", self.owner, self._args, message)
        await self._write(SetProgress(self._execution, percent, message, notice))

    async def text(self, delta: str, *, channel: str = "main") -> None:
        """Append to a channel of text. Whoever watches sees it as soon as it is on disk.

        Returns before that, unless much is waiting to be written; an error shows at the next call or at the end
        of the step.
        """
        if not delta:
            return
        found = self._channels.get(channel)
        if found is None:
            name = storable(channel, "the channel's name")
            found = self._channels[channel] = Channel(self._store, self._execution, name)
        scope = _scope.get(self._top)
        scope.channels.add(channel)
        if not scope.again:
            delta = self._retell(channel, delta)
        if delta:
            self._written[channel] = self.written(channel) + len(delta)
            await found.write(well_formed(delta))

    def _retell(self, channel: str, delta: str) -> str:
        """What of ``delta`` does not stand yet: text between finished steps is said again by a resumed function."""
        stands, told = self._standing.get(channel, 0), self._retold.get(channel, 0)
        if told >= stands:
            return delta
        self._retold[channel] = told + len(delta)
        return delta[stands - told :]

    def written(self, channel: str = "main") -> int:
        """Code points that were said to a channel so far, those that stand from an earlier attempt included."""
        return self._written.get(channel, 0)

    @overload
    async def step(self, name: str, function: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    async def step(self, name: str, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    async def step(self, name: str, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call ``function(*args, **kwargs)`` once, whatever crashes: its result (JSON) is kept.

        A step is its name and its occurrence. Steps that run side by side need different names (`DuplicateStep`).
        When the arguments differ from those of the kept result, it is made anew. A sync function runs in a thread.
        """

        async def make() -> tuple[Any, None]:
            return await _call(function, args, kwargs), None

        value = await self._keep(name, [args, kwargs], make)
        adapter = adapter_of(resolve_hints(function).get("return", Any))
        return adapter.validate_python(value) if adapter is not None else value

    async def keep(self, name: str, request: Any, make: Callable[[], Awaitable[tuple[Any, Usage | None]]]) -> Any:
        """The same for calls that cost tokens; see `backburner.ports.Journal`."""
        return await self._keep(name, request, make)

    def keep_sync(self, name: str, request: Any, make: Callable[[], Awaitable[tuple[Any, Usage | None]]]) -> Any:
        """The same for the threads of a run."""
        assert self._loop is not None
        return SyncRun(self, self._loop)._wait(self._keep(name, request, make))

    async def transaction(
        self, name: str, function: Callable[Concatenate[Session, P], R], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """A step that calls the sync ``function(session, …)`` with a SQLAlchemy session on the store's own connection.

        The application's rows, the result of the step and the fence are committed together; once kept, the function is
        never called again. It runs inside the store's write transaction: keep it short.
        """
        scope = _scope.get(self._top)
        path, occurrence = scope.enter(name)
        try:
            key = fingerprint([args, kwargs])
            kept = self._kept.get((path, occurrence))
            if kept is not None and kept.key == key:
                value = kept.value
            else:
                await self._flush(list(self._channels))
                work = _in_session(function, args, kwargs)
                value = await self._write(Transact(self._execution, path, occurrence, key, work))
        finally:
            scope.leave(name)
        adapter = adapter_of(resolve_hints(function).get("return", Any))
        plain = decode(value)
        return cast(R, adapter.validate_python(plain) if adapter is not None else plain)

    @property
    def llm(self) -> Llm:
        """The model: every call is a step, streams its text and records its tokens."""
        if self._llm is None:
            self._llm = self._make_llm(self)
        return self._llm

    async def finish(self) -> None:
        """Everything that was said is on disk. The engine calls this before it settles the job."""
        await self._flush(list(self._channels))

    async def _keep(self, name: str, request: Any, make: Callable[[], Awaitable[tuple[Any, Usage | None]]]) -> Any:
        scope = _scope.get(self._top)
        path, occurrence = scope.enter(name)
        try:
            key = fingerprint(request)
            kept = self._kept.get((path, occurrence))
            if kept is not None and kept.key == key:
                self._retold.update(kept.channels)
                scope.channels.update(kept.channels)
                return decode(kept.value)
            inner = Scope(f"{path}#{occurrence}/", again=scope.again or kept is not None)
            token = _scope.set(inner)
            try:
                value, usage = await make()
            finally:
                _scope.reset(token)
            text = encode(value, f"the result of step {name!r}")
            channels = sorted(inner.channels)
            await self._flush(channels)
            step = KeptStep(path, occurrence, key, text)
            await self._write(KeepStep(self._execution, step, tuple(channels), usage, again=kept is not None))
            scope.channels |= inner.channels
            return decode(text)
        finally:
            scope.leave(name)

    async def _flush(self, channels: list[str]) -> None:
        for channel in channels:
            if channel in self._channels:  # a kept step's may have had nothing to add
                await self._channels[channel].settle()

    async def _write(self, operation: Operation[R]) -> R:
        """A store that cannot be written just now is waited for: what was paid for is not given up."""
        while True:
            try:
                return await self._store.write(operation)
            except StoreUnavailable:
                await asyncio.sleep(STORE_BACK_OFF)


class SyncRun:
    """The same for a function that runs in a thread. Its methods raise `JobCancelled` once the job is cancelled."""

    def __init__(self, run: Run, loop: asyncio.AbstractEventLoop) -> None:
        self._run = run
        self._loop = loop
        self._interrupted = threading.Event()
        self.job_id, self.task, self.owner = run.job_id, run.task, run.owner
        self.attempt, self.tries = run.attempt, run.tries

    @property
    def cancelled(self) -> bool:
        """Whether somebody wants this execution to end; ask it in long loops."""
        return self._interrupted.is_set()

    def progress(self, percent: float, message: str = "") -> None:
        self._wait(self._run.progress(percent, message))

    def text(self, delta: str, *, channel: str = "main") -> None:
        self._wait(self._run.text(delta, channel=channel))

    def step(self, name: str, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._wait(self._run.step(name, function, *args, **kwargs))

    def transaction(
        self, name: str, function: Callable[Concatenate[Session, P], R], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        return self._wait(self._run.transaction(name, function, *args, **kwargs))

    def interrupt(self) -> None:
        self._interrupted.set()

    def _wait(self, awaitable: Coroutine[Any, Any, R]) -> R:
        if _in_transaction.get():
            awaitable.close()
            raise ConfigurationError(
                "a transaction's function used the run, which may wait for that very transaction: use its session "
                "(bb.submit_in to submit), and the run before or after it"
            )
        if self._interrupted.is_set():
            awaitable.close()
            raise JobCancelled("the job was cancelled")
        context = contextvars.copy_context()
        done: Future[R] = Future()

        def begin() -> None:
            task = self._loop.create_task(awaitable, context=context)
            task.add_done_callback(lambda finished: _hand_over(finished, done))

        self._loop.call_soon_threadsafe(begin)
        return done.result()


def _hand_over(task: asyncio.Task[R], done: Future[R]) -> None:
    if task.cancelled():
        done.set_exception(JobCancelled("the job was cancelled"))
    elif (error := task.exception()) is not None:
        done.set_exception(error)
    else:
        done.set_result(task.result())


def _in_session(function: Callable[..., Any], args: Any, kwargs: Any) -> Callable[[Any], str]:
    context = contextvars.copy_context()
    context.run(_in_transaction.set, True)

    def work(session: Any) -> str:
        return encode(context.run(function, session, *args, **kwargs), "a transaction's result")

    return work


async def _call(function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    if inspect.iscoroutinefunction(function):
        return await function(*args, **kwargs)
    result = await in_thread(lambda: function(*args, **kwargs))
    return await result if inspect.isawaitable(result) else result
