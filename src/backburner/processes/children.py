"""The worker's side: child processes, started when they are needed and kept for the next job."""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from ..command import run_command
from ..domain.deadline import Deadline
from ..domain.errors import BackburnerError, ProcessDied
from ..domain.job import Claimed
from ..ports import Store
from ..process_group import TERM_GRACE, describe_end, end_group, send
from ..settings import Settings
from ..threads import to_its_end, whole
from .address import address_of
from .line import Kind, Line, Message, Order, pack_error, unpack_error

if TYPE_CHECKING:
    from ..llm.settings import ModelSettings
    from ..task import Task

LONGEST_IDLE = 60.0
"""Seconds that a child without a job is kept."""


class Children:
    """Those of one worker, on its event loop: as many as jobs of such tasks run at once."""

    def __init__(self, store: Store, settings: Settings, model: Callable[[], ModelSettings | None]) -> None:
        self._store = store
        self._settings = settings
        self._model = model
        self._all: set[ChildProcess] = set()
        self._idle: list[ChildProcess] = []

    async def perform(self, task: Task[Any, Any], job: Claimed, deadline: Deadline) -> str:
        """The JSON text of the result. Raises what the function raised, and `ProcessDied`."""
        module, name = address_of(task)
        order = Order(job, module, name, self._settings, self._model())
        child = await self._take()
        try:
            result, reusable = await child.perform(order, self._store, deadline)
        except Raised as raised:
            self._give_back(child)
            raise raised.error from None
        except BaseException:
            await to_its_end(self._discard(child))
            raise
        if reusable:
            self._give_back(child)
        else:
            await to_its_end(self._discard(child))
        return result

    async def aclose(self) -> None:
        """Kill them all: whoever could end by itself has had the time."""
        for child in self._all:
            child.kill()
        for child in list(self._all):
            await self._discard(child)

    async def _take(self) -> ChildProcess:
        while self._idle:
            child = self._idle.pop()
            child.idle_timer.cancel()
            if not child.ended.done():
                return child
            await self._discard(child)
        child = await whole(ChildProcess.start(), _kill)
        self._all.add(child)
        return child

    def _give_back(self, child: ChildProcess) -> None:
        self._idle.append(child)
        child.idle_timer = asyncio.get_running_loop().call_later(LONGEST_IDLE, self._dismiss, child)

    def _dismiss(self, child: ChildProcess) -> None:
        self._idle.remove(child)
        child.dismissal = asyncio.ensure_future(self._discard(child))

    async def _discard(self, child: ChildProcess) -> None:
        await child.end()
        self._all.discard(child)


class ChildProcess:
    idle_timer: asyncio.TimerHandle
    dismissal: asyncio.Future[None]

    def __init__(self, process: asyncio.subprocess.Process, line: Line) -> None:
        self._process = process
        self._line = line
        self._requests: dict[int, asyncio.Task[None]] = {}
        self.ended: asyncio.Future[Any] = asyncio.ensure_future(process.wait())

    @classmethod
    async def start(cls) -> ChildProcess:
        from multiprocessing.spawn import get_executable  # what `multiprocessing.set_executable` has set

        ours, theirs = socket.socketpair()
        code = (
            f"import sys; sys.path[:] = {sys.path!r}; from backburner.processes.child import main; "
            f"main({theirs.fileno()})"
        )
        try:
            process = await asyncio.create_subprocess_exec(
                get_executable(),
                "-c",
                code,
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return cls(process, await Line.over(ours))

    async def perform(self, order: Order, store: Store, deadline: Deadline) -> tuple[str, bool]:
        """The result, and whether the process may be used again.

        Raises `Raised` with what the function raised, and `ProcessDied`.
        """
        listening = asyncio.ensure_future(self._listen(store, deadline))
        try:
            with contextlib.suppress(ConnectionError):  # it is dead: listening will say so
                await self._line.send(Kind.JOB, 0, pickle.dumps(order))
            await asyncio.wait([listening, self.ended], return_when=asyncio.FIRST_COMPLETED)
            if not listening.done():
                self.kill()  # what it has forked may hold its end of the line
                await asyncio.wait([listening], timeout=TERM_GRACE)
            if not listening.done():
                raise await self._obituary()
            return listening.result()
        except EOFError:
            raise await self._obituary() from None
        finally:
            listening.cancel()
            await asyncio.wait([listening])
            await self._cancel_requests()

    def kill(self) -> None:
        send(self._process.pid, signal.SIGKILL)

    async def end(self) -> None:
        await end_group(self._process.pid, self.ended)
        self._line.close()

    async def _listen(self, store: Store, deadline: Deadline) -> tuple[str, bool]:
        with contextlib.ExitStack() as stops:
            while True:
                message = await self._line.receive()
                match message.kind:
                    case Kind.DONE:
                        result: tuple[str, bool] = pickle.loads(message.content)
                        return result
                    case Kind.FAILED:
                        raise Raised(unpack_error(message.content))
                    case Kind.CANCEL:
                        if message.number in self._requests:
                            self._requests[message.number].cancel()
                    case Kind.STAND_STILL:
                        stops.enter_context(deadline.stopped())
                    case Kind.GO_ON:
                        stops.close()
                    case _:
                        self._serve(message, store)

    def _serve(self, message: Message, store: Store) -> None:
        task = self._requests[message.number] = asyncio.create_task(self._answer(message, store))
        task.add_done_callback(lambda _: self._requests.pop(message.number, None))

    async def _answer(self, message: Message, store: Store) -> None:
        try:
            kind, content = Kind.ANSWER, pickle.dumps(await _fulfil(message, store))
        except Exception as error:
            kind, content = Kind.REFUSAL, pack_error(error)
        with contextlib.suppress(ConnectionError):
            await self._line.send(kind, message.number, content)

    async def _cancel_requests(self) -> None:
        """Programs that it asked for end with it."""
        tasks = list(self._requests.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _obituary(self) -> ProcessDied:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TERM_GRACE):
                await asyncio.shield(self.ended)
        if self._process.returncode is None:
            return ProcessDied("the job's process has closed its line to the worker, and was killed")
        returncode = self._process.returncode
        return ProcessDied(f"the job's process {describe_end(returncode)} before the job was done", returncode)


class Raised(Exception):
    """The function itself raised; its process is well."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error


async def _kill(child: ChildProcess) -> None:
    child.kill()
    await child.end()


def _fulfil(message: Message, store: Store) -> Coroutine[Any, Any, Any]:
    content = pickle.loads(message.content)
    match message.kind:
        case Kind.WRITE:
            return _awaited(store.write(content))
        case Kind.READ:
            return _awaited(store.read(content))
        case Kind.COMMAND:
            arguments, options = content
            return run_command(arguments, **options)
    raise BackburnerError(f"a child process sent {message.kind}, which no worker expects")


async def _awaited(future: asyncio.Future[Any]) -> Any:
    return await future
