"""What a running function holds where it has no event loop: in a thread, or in a process of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, overload

from .asking import NOTHING, Nothing
from .command import Argument, CommandResult
from .domain.errors import JobCancelled
from .domain.operations import Usage
from .given import Duration
from .run import Run
from .sync_llm import SyncLlm
from .threads import CANCELLED, to_its_end
from .transacting import refuse_inside

if TYPE_CHECKING:
    from types import UnionType
    from typing import _SpecialForm

    from sqlalchemy.orm import Session

    Form = Mapping[str, Any] | UnionType | _SpecialForm
    """What describes an answer and is no class: a JSON Schema, ``Literal[…]``, a union."""

P = ParamSpec("P")
R = TypeVar("R")
D = TypeVar("D")


class SyncRun:
    """`Run` for ordinary functions: the same methods, which wait. They raise `JobCancelled` once the job is cancelled
    or has taken too long."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._calls = run.calls  # made here, before several threads ask for it
        self.job_id, self.task, self.owner, self.priority = run.job_id, run.task, run.owner, run.priority
        self.attempt, self.tries = run.attempt, run.tries

    @property
    def cancelled(self) -> bool:
        """Whether somebody wants this execution to end; ask it in long loops."""
        return self._calls.cancelled

    def progress(self, percent: float, message: str = "") -> None:
        """See `Run.progress`."""
        self._wait(self._run.progress(percent, message))

    def text(self, delta: str, *, channel: str = "main") -> None:
        """See `Run.text`."""
        self._wait(self._run.text(delta, channel=channel))

    def written(self, channel: str = "main") -> int:
        """See `Run.written`."""
        return self._run.written(channel)

    @overload
    def step(self, name: str, function: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    def step(self, name: str, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    def step(self, name: str, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """See `Run.step`."""
        return self._wait(self._run.step(name, function, *args, **kwargs))

    def keep(self, name: str, request: Any, make: Callable[[], tuple[Any, Usage | None]]) -> Any:
        """See `Run.keep`."""

        async def make_in_thread() -> tuple[Any, Usage | None]:
            return await self._run.threads.call(make, name)

        return self._wait(self._run.keep(name, request, make_in_thread))

    def transaction(
        self, name: str, function: Callable[Concatenate[Session, P], R], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """See `Run.transaction`."""
        return self._wait(self._run.transaction(name, function, *args, **kwargs))

    def command(
        self,
        arguments: Sequence[Argument],
        *,
        timeout: float | None = None,
        input: str | bytes | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Argument | None = None,
        check: bool = True,
    ) -> CommandResult:
        """See `Run.command`."""
        return self._wait(self._run.command(arguments, timeout=timeout, input=input, env=env, cwd=cwd, check=check))

    def gather(self, *calls: Callable[[], R], limit: int | None = None) -> list[R]:
        """`Run.gather` for functions without arguments, each in a thread of its own:
        ``run.gather(*[partial(run.step, f"part {n}", f, n) for n in …])``.

        After a failure no more of them begin, and those under way are waited for.
        """

        async def in_thread(number: int, call: Callable[[], R]) -> R:
            return await to_its_end(self._run.threads.start(call, f"call {number}"))

        return self._wait(
            self._run.gather(*[in_thread(number, call) for number, call in enumerate(calls)], limit=limit)
        )

    @overload
    def ask(self, prompt: str, *, timeout: Duration | None = None) -> bool: ...
    @overload
    def ask(self, prompt: str, schema: type[R], *, timeout: Duration | None = None) -> R: ...
    @overload
    def ask(self, prompt: str, schema: Form, *, timeout: Duration | None = None) -> Any: ...
    @overload
    def ask(self, prompt: str, schema: type[R], *, timeout: Duration | None = None, default: D) -> R | D: ...
    @overload
    def ask(self, prompt: str, *, timeout: Duration | None = None, default: D) -> bool | D: ...
    @overload
    def ask(self, prompt: str, schema: Form, *, timeout: Duration | None = None, default: Any) -> Any: ...
    def ask(
        self, prompt: str, schema: Any = bool, *, timeout: Duration | None = None, default: Any | Nothing = NOTHING
    ) -> Any:
        """See `Run.ask`."""
        return self._wait(self._run.ask(prompt, schema, timeout=timeout, default=default))

    @property
    def llm(self) -> SyncLlm:
        """See `Run.llm`."""
        return SyncLlm(self._run.llm, self._wait)

    def interrupt(self) -> None:
        """The engine calls this, from any thread."""
        self._calls.cancel()

    def _wait(self, coroutine: Coroutine[Any, Any, R]) -> R:
        try:
            refuse_inside()
            if self.cancelled:
                raise JobCancelled(CANCELLED)
        except BaseException:
            coroutine.close()
            raise
        return self._calls.wait(coroutine)
