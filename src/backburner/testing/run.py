"""A run without a store, for unit tests of a task's function."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar, cast

from ..domain.errors import ConfigurationError
from ..domain.ids import new_id
from ..domain.job import Claimed, KeptStep, NewJob
from ..domain.json import decode, encode
from ..domain.notifications import Notice
from ..domain.operations import (
    UNLIMITED,
    AppendText,
    Ask,
    Asked,
    KeepStep,
    Limit,
    Operation,
    Query,
    SetProgress,
    SubmitStep,
    Submitted,
    Transact,
)
from ..handler import AsyncHandler, ThreadHandler
from ..run import Run
from ..shapes import misfits
from .draining import in_thread
from .scripted import Script, ScriptedLlm

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from ..task import Task

P = ParamSpec("P")
R = TypeVar("R")


class FakeRun(Run):
    """Give it to a function in place of its run, or call a task by `call`; it records what would go on disk.

    ``llm``: what `Run.llm` answers, one a call and the last of them again and again: a text, a list of pieces, an
    object for `Llm.json`, an error to raise, or a function from the prompt to one of these. ``answers``: what people
    answer to `Run.ask`, one a question. ``session``: what the functions of `Run.transaction` get. Waiting for other
    jobs takes a store: use `inline` and `drain`.
    """

    def __init__(
        self,
        *,
        owner: str | None = None,
        priority: int = 5,
        attempt: int = 1,
        tries: int = 0,
        llm: Sequence[Script] = (),
        answers: Sequence[Any] = (),
        session: Session | None = None,
    ) -> None:
        self.record = Record(session, answers)
        job = Claimed(new_id(), "fake", attempt, tries, tries + 1, owner, priority, "{}")
        super().__init__(job, NoTask(), self.record, lambda run: ScriptedLlm(run, llm))

    async def call(self, task: Task[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a task's function as a worker would: the arguments and the result go through JSON.

        Raises what the function raises. Jobs that it submits are in ``submitted`` and do not run.
        """
        self.task, self._spec = task.name, task
        bound = encode(task.parameters.bind(args, kwargs), "the arguments")
        handler = (AsyncHandler if task.is_async else ThreadHandler)(task, self, bound)
        result = decode(await asyncio.create_task(handler()))
        return cast(R, task.parameters.revive_result(result))

    def call_sync(self, task: Task[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """The same for tests without an event loop."""
        return in_thread(lambda: asyncio.run(self.call(task, *args, **kwargs)))

    def said(self, channel: str = "main") -> str:
        """The text of a channel so far."""
        return self.record.texts[channel]

    @property
    def progressed(self) -> list[tuple[float, str]]:
        """Percentages and messages, as they were told."""
        return self.record.progress

    @property
    def kept(self) -> dict[str, Any]:
        """The results of steps, by name; those within steps are ``outer#0/inner``."""
        return self.record.steps

    @property
    def submitted(self) -> list[NewJob]:
        """``args`` is their JSON text."""
        return self.record.jobs

    @property
    def asked(self) -> list[str]:
        """What people were asked."""
        return self.record.questions

    @property
    def prompts(self) -> list[str]:
        """What `Run.llm` was asked: the last message of each call."""
        return self.llm.prompts if isinstance(self.llm, ScriptedLlm) else []


class Record:
    """Takes what a run writes and keeps it in lists."""

    widest_claim = 1

    def __init__(self, session: Session | None, answers: Sequence[Any]) -> None:
        self.progress: list[tuple[float, str]] = []
        self.texts: dict[str, str] = defaultdict(str)
        self.steps: dict[str, Any] = {}
        self.jobs: list[NewJob] = []
        self.questions: list[str] = []
        self._session = session
        self._answers = list(answers)

    def write(self, operation: Operation[Any]) -> asyncio.Future[Any]:
        future = asyncio.get_running_loop().create_future()
        try:
            future.set_result(self._apply(operation))
        except Exception as error:
            future.set_exception(error)
        return future

    def write_sync(self, operation: Operation[Any]) -> Any:
        return self._apply(operation)

    def _apply(self, operation: Operation[Any]) -> Any:
        match operation:
            case SetProgress():
                self.progress.append((operation.percent, operation.message))
                return len(self.progress)
            case AppendText():
                self.texts[operation.channel] += operation.delta
            case KeepStep():
                self._keep(operation.step)
            case SubmitStep():
                self.jobs.extend(operation.jobs)
                return Submitted(0)
            case Transact():
                if self._session is None:
                    raise ConfigurationError("run.transaction needs a session: FakeRun(session=…)")
                result = operation.work(self._session)
                self._keep(KeptStep(operation.name, operation.occurrence, operation.key, result))
                return result
            case Ask():
                return self._ask(operation)
            case _:
                self._refuse(type(operation).__name__)
        return None

    def _ask(self, question: Ask) -> Asked:
        self.questions.append(question.prompt)
        if not self._answers:
            raise ConfigurationError(f"the function asked {question.prompt!r}: say the answer, FakeRun(answers=[…])")
        answer = decode(encode(self._answers.pop(0)))
        wrong = misfits(answer, decode(question.schema))
        if wrong:
            raise ConfigurationError(f"{answer!r} is no answer to {question.prompt!r}: {wrong}")
        return Asked(question.token, encode(answer), expired=False)

    def _keep(self, step: KeptStep) -> None:
        name = f"{step.name}#{step.occurrence}" if step.occurrence else step.name
        self.steps[name] = decode(step.value)

    def read(self, query: Query[Any]) -> asyncio.Future[Any]:
        future = asyncio.get_running_loop().create_future()
        try:
            self._refuse(type(query).__name__)
        except ConfigurationError as error:
            future.set_exception(error)
        return future

    def read_sync(self, query: Query[Any]) -> Any:
        self._refuse(type(query).__name__)

    def _refuse(self, what: str) -> NoReturn:
        raise ConfigurationError(
            f"a FakeRun has no store for {what}: test what waits for others with testing.inline or testing.drain"
        )

    def lock_worker(self, worker: str) -> Callable[[], None]:
        self._refuse("workers")

    def dead_workers(self) -> tuple[str, ...]:
        self._refuse("workers")

    def close(self) -> None:
        """There is nothing to release."""


class NoTask:
    """A run of no task in particular."""

    name = "fake"
    timeout: float | None = None
    limit: Limit = UNLIMITED
    queue = "default"

    def retry_after(self, error: BaseException, tries: int) -> float | None:
        return None

    def notice(self, kind: str, owner: str | None, args: str, detail: str | None) -> Notice | None:
        return None
