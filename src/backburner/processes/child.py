"""The child's side: a main thread that calls functions, and an event loop beside it that speaks with the worker."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import itertools
import os
import pickle
import queue
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..command import Argument, CommandResult
from ..domain.deadline import Deadline
from ..domain.errors import ConfigurationError, JobCancelled
from ..domain.operations import Transact
from ..handler import encode_result, revive
from ..run import Run
from ..sync_run import SyncRun
from ..threads import CANCELLED
from .address import task_at
from .line import Kind, Line, Order, pack_error, unpack_error

if TYPE_CHECKING:
    from ..domain.operations import Operation, Query


def main(descriptor: int) -> None:
    """``descriptor``: the child's end of the pair of sockets. Does not return."""
    Child(socket.socket(fileno=descriptor)).work()


class Child:
    def __init__(self, end: socket.socket) -> None:
        self._orders: queue.SimpleQueue[Order] = queue.SimpleQueue()
        self._requests = Requests()
        self._loop = asyncio.new_event_loop()
        self._run: Run | None = None
        self._told = False
        threading.Thread(target=self._listen_forever, args=(end,), name="backburner-line", daemon=True).start()

    def work(self) -> None:
        while True:
            order = self._orders.get()
            kind, content = contextvars.copy_context().run(self._perform, order)
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(Exception):
                    stream.flush()
            if self._told:
                os._exit(0)
            asyncio.run_coroutine_threadsafe(self._requests.line.send(kind, 0, content), self._loop).result()

    def _perform(self, order: Order) -> tuple[Kind, bytes]:
        signal.signal(signal.SIGTERM, self._end)
        try:
            result = self._call(order)
            assert self._run is not None
            return Kind.DONE, pickle.dumps((result, not self._run.threads.names))
        except Exception as error:
            return Kind.FAILED, pack_error(error)
        except SystemExit as error:
            os._exit(error.code if isinstance(error.code, int) else 1 if error.code else 0)
        except BaseException as error:
            return Kind.FAILED, pack_error(error)
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _call(self, order: Order) -> str:
        task = task_at(order.module, order.name)
        bb = task._bb
        bb.settings = order.settings
        if order.model is not None:
            bb.use_model(order.model)
        self._run = run = ChildRun(order.job, task, self._requests, bb._make_llm)  # type: ignore[arg-type]
        run.deadline = WorkersDeadline(self._requests)
        run.begin(self._loop)
        arguments = revive(task, order.job.args)
        with run.waiting:
            result = task.function(SyncRun(run), **arguments)
        run.calls.wait(run.finish())
        return encode_result(result)

    def _end(self, *_: object) -> None:
        """SIGTERM: the function may clean up, in the little time that is left."""
        if self._told:
            return
        self._told = True
        if self._run is not None:
            self._run.calls.cancel()
        raise JobCancelled(CANCELLED)

    def _listen_forever(self, end: socket.socket) -> None:
        """Without a worker nothing of the job has a purpose, nor what it has started."""
        try:
            self._loop.run_until_complete(self._listen(end))
        finally:
            os.killpg(0, signal.SIGKILL)

    async def _listen(self, end: socket.socket) -> None:
        self._requests.line = line = await Line.over(end)
        with contextlib.suppress(EOFError):
            while True:
                message = await line.receive()
                if message.kind is Kind.JOB:
                    self._orders.put(pickle.loads(message.content))
                else:
                    self._requests.answered(message.kind, message.number, message.content)


class Requests:
    """What the worker does for this process: the part of a store that a run needs, and programs."""

    line: Line

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._told: set[asyncio.Future[None]] = set()

    def write(self, operation: Operation[Any]) -> asyncio.Future[Any]:
        return asyncio.ensure_future(self._write(operation))

    def read(self, query: Query[Any]) -> asyncio.Future[Any]:
        return asyncio.ensure_future(self.ask(Kind.READ, pickle.dumps(query)))

    async def ask(self, kind: Kind, content: bytes) -> Any:
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            await self.line.send(kind, number, content)
            return await answer
        except asyncio.CancelledError:
            await self.line.send(Kind.CANCEL, number, b"")
            raise
        finally:
            del self._waiting[number]

    def answered(self, kind: Kind, number: int, content: bytes) -> None:
        future = self._waiting.get(number)
        if future is None or future.done():
            return
        if kind is Kind.ANSWER:
            future.set_result(pickle.loads(content))
        else:
            future.set_exception(unpack_error(content))

    def tell(self, kind: Kind) -> None:
        """On the loop; in the order of the calls, and nobody answers."""
        told = asyncio.ensure_future(self.line.send(kind, 0, b""))
        self._told.add(told)
        told.add_done_callback(self._told.discard)

    async def _write(self, operation: Operation[Any]) -> Any:
        try:
            content = pickle.dumps(operation)
        except Exception as error:
            if not isinstance(operation, Transact):
                raise
            raise ConfigurationError(
                "in a task with process=True the function of run.transaction is called by the worker's process: it "
                f"must stand at the top of a module, and its arguments must be picklable ({error})"
            ) from None
        return await self.ask(Kind.WRITE, content)


class WorkersDeadline(Deadline):
    """The time limit is the worker's, who is asked to stop its clock."""

    __slots__ = ("_requests",)

    def __init__(self, requests: Requests) -> None:
        super().__init__(None)
        self._requests = requests

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        self._stops += 1
        if self._stops == 1:
            self._requests.tell(Kind.STAND_STILL)
        try:
            yield
        finally:
            self._stops -= 1
            if self._stops == 0:
                self._requests.tell(Kind.GO_ON)


class ChildRun(Run):
    """Its steps, texts and model calls are its own; only what it writes goes over the line."""

    _store: Requests  # type: ignore[assignment]  # the rest of a store is the worker's

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
        """The worker starts the program, and ends it when this process is ended."""
        options = {
            "timeout": timeout,
            "input": input,
            "env": dict(os.environ if env is None else env),
            "cwd": os.getcwd() if cwd is None else cwd,
            "check": check,
        }
        found: CommandResult = await self._store.ask(Kind.COMMAND, pickle.dumps((arguments, options)))
        return found
