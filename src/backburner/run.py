"""What a running function holds."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import math
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, cast, overload

from . import given
from .asking import NOTHING, Nothing, Question, ask
from .command import Argument, CommandResult, run_command
from .domain.batches import NewBatch
from .domain.deadline import Deadline
from .domain.errors import StoreUnavailable
from .domain.job import Claimed, KeptStep, NewJob
from .domain.json import decode, encode, fingerprint, well_formed
from .domain.operations import Execution, KeepStep, Operation, SetProgress, SubmitStep, Submitted, Transact, Usage
from .gathering import gather
from .given import Duration
from .outcomes import Outcomes
from .parameters import adapter_of, resolve_hints
from .ports import Store, TaskSpec
from .scope import Branch, Scope
from .texts import Texts
from .threads import Calls, Threads, to_its_end
from .transacting import InSession, refuse_inside
from .waiting import Waiting

if TYPE_CHECKING:
    from types import UnionType
    from typing import _SpecialForm

    from sqlalchemy.orm import Session

    from .llm.client import Llm

    Form = Mapping[str, Any] | UnionType | _SpecialForm
    """What describes an answer and is no class: a JSON Schema, ``Literal[…]``, a union."""

P = ParamSpec("P")
R = TypeVar("R")
D = TypeVar("D")

STORE_BACK_OFF = 0.5

current_run: contextvars.ContextVar[Run | None] = contextvars.ContextVar("backburner_run", default=None)
_scope: contextvars.ContextVar[Scope] = contextvars.ContextVar("backburner_scope")
_branch: contextvars.ContextVar[Branch | None] = contextvars.ContextVar("backburner_branch", default=None)


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
        self.deadline = Deadline(spec.timeout)
        self._spec = spec
        self._args = job.args
        self._store = store
        self._make_llm = make_llm
        self._llm: Llm | None = None
        self._kept = {(step.name, step.occurrence): step for step in job.steps}
        self._steps = job.steps
        self._top = Scope("")
        self._progressed = 0
        """Where in the log the last progress stands that is known to be there."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self.waiting = Waiting()
        """For the engine, as is ``outcomes``."""

    @cached_property
    def outcomes(self) -> Outcomes:
        return Outcomes(self._store, self.waiting, lambda name: self._kept.get((name, 0)), self._keep_outcome)

    @cached_property
    def _texts(self) -> Texts:
        return Texts(self._store, self._execution, self._steps)

    @property
    def spec(self) -> TaskSpec:
        """For the engine."""
        return self._spec

    def begin(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """The engine calls this in the function's context, on its event loop where none is given."""
        self._loop = loop or asyncio.get_running_loop()
        current_run.set(self)

    async def progress(self, percent: float, message: str = "") -> None:
        """Tell the owner how far the job is: 0 to 100, and what it is doing."""
        percent = min(max(given.number(given.argument, "percent", percent, "choose 0 to 100", -math.inf), 0.0), 100.0)
        message = well_formed(given.text(given.argument, "message", message))
        notice = self._spec.notice("progress", self.owner, self._args, message)
        said = SetProgress(self._execution, percent, message, notice, after=self._progressed)
        self._progressed = max(await self._write(said), self._progressed)

    async def text(self, delta: str, *, channel: str = "main") -> None:
        """Append to a channel of text. Whoever watches sees it as soon as it is on disk.

        Returns before that, unless much is waiting to be written; an error shows at the next call or at the end
        of the step.
        """
        if not delta:
            return
        self._texts.open(channel)
        scope = _scope.get(self._top)
        scope.channels.add(channel)
        await self._texts.write(channel, delta, scope.again)

    def written(self, channel: str = "main") -> int:
        """Code points that were said to a channel so far, those that stand from an earlier attempt included."""
        return self._texts.written(channel)

    @overload
    async def step(self, name: str, function: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    async def step(self, name: str, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    async def step(self, name: str, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call ``function(*args, **kwargs)`` once, whatever crashes: its result (JSON) is kept.

        A step is its name and its occurrence. Steps that run side by side need different names (`DuplicateStep`).
        When the arguments differ from those of the kept result, it is made anew. A sync function runs in a thread.
        """
        given.text(given.argument, "the name of a step", name)
        if not callable(function):
            raise given.argument("the function of a step", function, "give a function, and its arguments behind it")

        async def make() -> tuple[Any, None]:
            return await self._call(name, function, args, kwargs), None

        value = await self._keep(name, [args, kwargs], make)
        adapter = adapter_of(resolve_hints(function).get("return", Any))
        return adapter.validate_python(value) if adapter is not None else value

    async def keep(self, name: str, request: Any, make: Callable[[], Awaitable[tuple[Any, Usage | None]]]) -> Any:
        """The same for calls that cost tokens; see `backburner.ports.Journal`."""
        return await self._keep(name, request, make)

    def wait_sync(self, coroutine: Coroutine[Any, Any, R]) -> R:
        """For the threads of a run: what a coroutine on its event loop comes to."""
        try:
            refuse_inside()
        except BaseException:
            coroutine.close()
            raise
        return self.calls.wait(coroutine)

    async def transaction(
        self, name: str, function: Callable[Concatenate[Session, P], R], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """A step that calls the sync ``function(session, …)`` with a SQLAlchemy session on the store's own connection.

        The application's rows, the result of the step and the fence are committed together; once kept, the function is
        never called again. Keep it short: where only one may write at a time (SQLite), nobody else does meanwhile. A
        database that undid the transaction (a deadlock, a lost connection) has it called again.
        """
        work = InSession(function, args, kwargs)
        scope = _scope.get(self._top)
        path, occurrence = scope.enter(name, _branch.get())
        try:
            key = fingerprint([args, kwargs])
            kept = self._kept.get((path, occurrence))
            if kept is not None and kept.key == key:
                value = kept.value
            else:
                with self.waiting.working():
                    await self._texts.flush(self._texts.channels)
                    value = await self._write(Transact(self._execution, path, occurrence, key, work))
        finally:
            scope.leave(name)
        adapter = adapter_of(resolve_hints(function).get("return", Any))
        plain = decode(value)
        return cast(R, adapter.validate_python(plain) if adapter is not None else plain)

    async def command(
        self,
        arguments: Sequence[Argument],
        *,
        timeout: float | None = None,
        input: str | bytes | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Argument | None = None,
        check: bool = True,
    ) -> CommandResult:
        """Run a program to its end. ``run.step("name", run.command, […])`` keeps what came of it.

        It gets a session and process group of its own. When it takes longer than ``timeout`` seconds, or the job is
        cancelled, the whole group is ended: SIGTERM, and SIGKILL two seconds later. What it leaves behind in its group
        when it ends by itself is killed too. ``input`` is what it reads from its standard input, ``env`` replaces the
        worker's environment, ``cwd`` is the folder to start in. Its outputs are read as UTF-8, 16 MiB of each at most.

        Raises `CommandFailed` when ``check`` is on and it fails, `CommandTimeout`, and `ConfigurationError` where there
        is no such program.
        """
        return await run_command(arguments, timeout=timeout, input=input, env=env, cwd=cwd, check=check)

    async def gather(self, *calls: Awaitable[R], limit: int | None = None) -> list[R]:
        """Steps, model calls, transactions side by side: ``run.gather(*[run.step(f"part {n}", f, n) for n in …])``.

        At most ``limit`` are under way at once. The results come in the order of the calls. The steps of different
        calls need different names (`DuplicateStep`). The first failure cancels the other calls and is raised; what was
        finished by then is kept.
        """
        scope, names, outer = _scope.get(self._top), dict[str, Branch](), _branch.get()

        def enter() -> None:
            _branch.set(Branch(scope, names, outer))

        return await gather(calls, limit, enter)

    @overload
    async def ask(self, prompt: str, *, timeout: Duration | None = None) -> bool: ...
    @overload
    async def ask(self, prompt: str, schema: type[R], *, timeout: Duration | None = None) -> R: ...
    @overload
    async def ask(self, prompt: str, schema: Form, *, timeout: Duration | None = None) -> Any: ...
    @overload
    async def ask(self, prompt: str, schema: type[R], *, timeout: Duration | None = None, default: D) -> R | D: ...
    @overload
    async def ask(self, prompt: str, *, timeout: Duration | None = None, default: D) -> bool | D: ...
    @overload
    async def ask(self, prompt: str, schema: Form, *, timeout: Duration | None = None, default: Any) -> Any: ...
    async def ask(
        self,
        prompt: str,
        schema: Any = bool,
        *,
        timeout: Duration | None = None,
        default: Any | Nothing = NOTHING,
    ) -> Any:
        """A person's answer, as a step: the job is parked without a slot until somebody answers.

        ``schema`` is the type of the answer (a pydantic model, ``Literal["a", "b"]``, ``list[str]``, …) or a JSON
        Schema; an answer that does not fit is refused and the job waits on. One that only the type itself refuses (a
        validator of its own) is asked for again. Its owner is notified and answers over
        HTTP, by `Job.answer` or by ``backburner jobs answer``; so does anyone who is given the question's token. Where
        everyone shares the work, nobody is notified and only the token (`Job.questions`) lets one decide for all. After
        ``timeout`` seconds ``default`` is returned, or `AnswerTimeout` raised where there is none.
        """
        question = Question(prompt, schema, timeout, self.owner)
        scope = _scope.get(self._top)
        path, occurrence = scope.enter(question.name, _branch.get())
        try:
            kept = self._kept.get((path, occurrence))
            known = kept.value if kept is not None and kept.key == question.key else None
            operation = question.operation(self._execution, path, occurrence, self._spec, self._args)
            return await ask(question, self._write, operation, self.waiting, default, known)
        finally:
            scope.leave(question.name)

    async def submit(
        self, name: str, request: Any, jobs: Sequence[NewJob], batch: NewBatch | None = None
    ) -> tuple[list[str], Submitted | None]:
        """Jobs are put on disk as a step: their ids, and what came of it now, None when it was done before; then the id
        of the batch is the first."""
        scope = _scope.get(self._top)
        path, occurrence = scope.enter(name, _branch.get())
        try:
            key = fingerprint(request)
            kept = self._kept.get((path, occurrence))
            if kept is not None and kept.key == key:
                return decode(kept.value), None
            with self.waiting.working():
                write = SubmitStep(
                    self._execution, path, occurrence, key, tuple(jobs), again=kept is not None, batch=batch
                )
                submitted = await to_its_end(self._write(write))
            return [submitted.instead[job.id].id if job.id in submitted.instead else job.id for job in jobs], submitted
        finally:
            scope.leave(name)

    @property
    def llm(self) -> Llm:
        """The model: every call is a step, streams its text and records its tokens."""
        if self._llm is None:
            self._llm = self._make_llm(self)
        return self._llm

    @cached_property
    def calls(self) -> Calls:
        """What the threads of this run wait for on its event loop. For the engine."""
        assert self._loop is not None
        return Calls(self._loop)

    @cached_property
    def threads(self) -> Threads:
        """For the engine."""
        return Threads(f"backburner {self.task} {self.job_id}")

    @property
    def has_threads(self) -> bool:
        """Whether it has ever had one; asking costs nothing. For the engine."""
        return "threads" in self.__dict__

    @property
    def execution(self) -> Execution:
        """For the engine."""
        return self._execution

    async def count(self, name: str) -> int:
        """For the engine: how often this was called in all executions of the job, kept as a step is."""
        kept = self._kept.get((name, 0))
        number = 1 + (int(kept.value) if kept is not None else 0)
        await self._keep_outcome(name, "", encode(number))
        return number

    @property
    def step_key(self) -> str:
        """Names the step that is being made; the same in every attempt. For the engine."""
        return fingerprint(_scope.get(self._top).prefix)

    async def write(self, operation: Operation[R]) -> R:
        """For the engine: until it is on disk."""
        return await self._write(operation)

    def send(self, operation: Operation[R]) -> asyncio.Future[R]:
        """For the engine: it stands in line before whatever is written next."""
        return self._store.write(operation)

    async def finish(self) -> None:
        """Everything that was said is on disk. The engine calls this before it settles the job."""
        if "_texts" in self.__dict__:  # or nothing was said
            await self._texts.flush(self._texts.channels)

    async def _keep(self, name: str, request: Any, make: Callable[[], Awaitable[tuple[Any, Usage | None]]]) -> Any:
        scope = _scope.get(self._top)
        path, occurrence = scope.enter(name, _branch.get())
        try:
            key = fingerprint(request)
            kept = self._kept.get((path, occurrence))
            if kept is not None and kept.key == key:
                self._texts.pass_over(kept.channels)
                scope.channels.update(kept.channels)
                return decode(kept.value)
            inner = Scope(f"{path}#{occurrence}/", again=scope.again or kept is not None)
            with self.waiting.working():
                token = _scope.set(inner)
                try:
                    value, usage = await make()
                finally:
                    _scope.reset(token)
                text = encode(value, f"the result of step {name!r}")
                step = KeptStep(path, occurrence, key, text)
                channels = tuple(sorted(inner.channels))
                keep = KeepStep(self._execution, step, channels, usage, again=kept is not None)
                await to_its_end(self._put_down(keep))  # a cancellation must not lose what was paid for
            scope.channels |= inner.channels
            return decode(text)
        finally:
            scope.leave(name)

    async def _call(self, name: str, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        if inspect.iscoroutinefunction(function):
            return await function(*args, **kwargs)
        result = await self.threads.call(lambda: function(*args, **kwargs), name)
        return await result if inspect.isawaitable(result) else result

    async def _keep_outcome(self, name: str, key: str, value: str) -> None:
        step = self._kept[name, 0] = KeptStep(name, 0, key, value)
        await self._write(KeepStep(self._execution, step))

    async def _put_down(self, keep: KeepStep) -> None:
        await self._texts.flush(keep.channels)
        await self._write(keep)

    async def _write(self, operation: Operation[R]) -> R:
        """A store that cannot be written just now is waited for: what was paid for is not given up."""
        while True:
            try:
                return await self._store.write(operation)
            except StoreUnavailable:
                operation = operation.repeated()
                await asyncio.sleep(STORE_BACK_OFF)
