"""Group commit: one thread takes all operations that wait, runs them in one transaction, and then answers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from sqlalchemy.exc import DBAPIError

from ..domain.errors import (
    BatchNotFound,
    ConfigurationError,
    DuplicateJob,
    IllegalTransition,
    JobNotFound,
    LeaseLost,
    QuestionNotFound,
    StoreUnavailable,
)
from ..domain.operations import Operation
from ..ports import Hint
from .batch import Batch
from .connection import Connection, rehearse
from .database import Database, Turn
from .following import follow_up
from .handlers import MANY, ONE
from .running import transact
from .session import borrowed_session

log = logging.getLogger("backburner.store")

T = TypeVar("T")
NARROW_BATCH = 20
CALM = 0.25
"""The turn is given back sooner until so many seconds have passed in which no other process waited for it."""
LONGEST_BATCH = 0.003
REPEATS = 3
STEP_ASIDE = 0.01
"""Seconds in which the one for whom a deadlock's victim was chosen takes what it waited for, before the victim does."""
LINES_KNOWN = 600 * 1_000_000
"""Microseconds on the database's clock until it is told again which lines are in use: it removes the others after a
day (see `resting`)."""

REFUSALS = (LeaseLost, JobNotFound, IllegalTransition, DuplicateJob, QuestionNotFound, BatchNotFound)


class Writer:
    """A writing thread: the store's only one in this process, save for those of `Lanes`.

    ``on_commit`` is called on that thread with the hint that a commit owes to everyone else.
    """

    def __init__(self, database: Database, on_commit: Callable[[Hint], None]) -> None:
        self._database = database
        self._on_commit = on_commit
        self._urgent: deque[_Waiting] = deque()
        self._waiting: deque[_Waiting] = deque()
        self._bell = threading.Event()
        self._gate = threading.Lock()
        self._width = database.widest_batch
        self._crowded = -CALM
        """When somebody waited last."""
        self._asleep = False
        self._owed = 0
        self._closing = False
        self._connection: Connection | None = None
        self._turn: Turn | None = None
        self._lines: set[tuple[str, str]] = set()
        self._lines_since = 0
        self._thread = WriterThread(target=self._run, name="backburner-writer", daemon=True)
        self._thread.start()

    def write(self, operation: Operation[T]) -> asyncio.Future[T]:
        """For event loops: the future belongs to the running loop. Raises `StoreUnavailable` after the end."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._put(_Waiting(operation, future, loop))
        return future

    def write_sync(self, operation: Operation[T]) -> T:
        if isinstance(threading.current_thread(), WriterThread):
            raise ConfigurationError(
                "a transaction's function wrote to the store, which may wait for that very transaction: write through "
                "its session, or after it"
            )
        future: Future[T] = Future()
        self._put(_Waiting(operation, future, None))
        return future.result()

    @property
    def load(self) -> int:
        """Operations that are still to be answered."""
        return self._owed

    @property
    def width(self) -> int:
        """Operations that it takes at once just now."""
        return self._width

    def close(self) -> None:
        """Write what waits, then stop."""
        with self._gate:
            self._closing = True
        self._bell.set()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout=10)

    def _put(self, waiting: _Waiting) -> None:
        with self._gate:  # what comes after the end would never be answered
            if self._closing:
                raise closed()
            self._owed += 1
            (self._urgent if waiting.operation.urgent else self._waiting).append(waiting)
        if self._asleep:
            self._bell.set()

    def _run(self) -> None:
        rehearse(self._database.language)
        while True:
            waiting = self._take()
            if waiting:
                try:
                    self._commit(waiting)
                except BaseException as error:  # a mistake of ours: it must not leave anybody waiting
                    log.exception("the writer failed")
                    self._give_up(waiting, error)
                continue
            if self._closing:
                break
            self._asleep = True
            if not self._urgent and not self._waiting:
                self._bell.wait()
            self._asleep = False
            self._bell.clear()
        self._drop_connection()
        if self._turn is not None:
            self._turn.close()

    def _give_up(self, taken: Sequence[_Waiting], error: BaseException) -> None:
        """Whoever has had no answer gets the error; what was put back into the line is still to be written."""
        with self._gate:
            waiting = {*self._urgent, *self._waiting}
            self._owed = len(waiting)
        _answer([(each, None, error) for each in taken if each not in waiting and not each.future.done()])

    def _take(self) -> list[_Waiting]:
        """What goes into one transaction. Where rows are locked, claims keep apart from what else locks limits."""
        taken: list[_Waiting] = []
        for queue in (self._urgent, self._waiting):
            while queue and len(taken) < self._width:
                operation = queue[0].operation
                if taken and (operation.alone or (operation.apart and self._database.concurrent)):
                    return taken
                taken.append(queue.popleft())
                if operation.alone or (operation.apart and self._database.concurrent):
                    return taken
        return taken

    def _commit(self, taken: list[_Waiting]) -> None:
        """One transaction; if it fails, each operation again in one of its own, so that a bad one harms no other."""
        try:
            answers, hint, rest = self._repeat(taken, careful=False)
        except BaseException as error:
            if taken[0].operation.alone or isinstance(error, StoreUnavailable):
                self._answer([(each, None, error) for each in taken])
                return
            for each in taken:
                try:
                    answers, hint, _ = self._repeat([each], careful=True)
                except BaseException as its_own:
                    self._answer([(each, None, its_own)])
                else:
                    self._answer(answers)
                    self._tell(hint)
            return
        if rest:
            self._waiting.extendleft(reversed(rest))
        self._answer(answers)
        self._tell(hint)
        paused = self._turn is not None and self._turn.pause_for_others()
        if paused:
            self._crowded = time.monotonic()
        calm = time.monotonic() - self._crowded > CALM
        self._width = self._database.widest_batch if calm else NARROW_BATCH

    def _repeat(self, taken: Sequence[_Waiting], careful: bool) -> tuple[list[Answered], Hint, list[_Waiting]]:
        """The transaction, again where the database chose it as the victim of a deadlock, or where the connection had
        been lost since it was last used."""
        for number in range(REPEATS + 1):
            try:
                return self._transaction(taken, careful)
            except _Stale as stale:
                if number == REPEATS:
                    raise StoreUnavailable(str(stale)) from stale
            except Exception as error:
                if not self._database.repeatable(error):
                    raise
                if number == REPEATS:
                    raise self._in_our_words(error) from error
                log.info("a transaction is tried again: %s", error)
                time.sleep(random.uniform(0.5, 1.0) * STEP_ASIDE * (number + 1))
        raise AssertionError("the last turn of the loop answers or raises")

    def _transaction(self, taken: Sequence[_Waiting], careful: bool) -> tuple[list[Answered], Hint, list[_Waiting]]:
        turn, connection, fresh = self._open()
        turn.take()
        may_be_stale = not fresh
        try:
            batch = Batch(connection, self._database.begin(connection.raw), careful, self._known_lines)
            if taken[0].operation.alone and batch.now:  # an application's function is not called twice for this
                may_be_stale = False
            answers, rest = self._apply(batch, taken)
            follow_up(batch)
            batch.flush()
            may_be_stale = False
            self._database.commit(connection.raw)
            self._lines |= batch.new_lines
        except BaseException as error:
            self._database.roll_back(connection.raw)
            if self._database.is_lost(connection.raw):
                self._drop_connection()
                if may_be_stale:
                    raise _Stale(str(error)) from error
            if isinstance(error, OSError):  # an application's own, from the function of a transaction
                raise
            if self._database.repeatable(error):
                raise
            raise self._in_our_words(error) from error
        finally:
            turn.give_back()
        return answers, batch.hint, rest

    def _known_lines(self, now: int) -> set[tuple[str, str]]:
        if abs(now - self._lines_since) > LINES_KNOWN:
            self._lines, self._lines_since = set(), now
        return self._lines

    def _in_our_words(self, error: BaseException) -> BaseException:
        """An application's statement fails by SQLAlchemy's error, and what is behind it may be no fault of its own."""
        if isinstance(error, DBAPIError):
            return (error.orig and self._database.outage(error.orig)) or error
        return self._database.translate(error)

    def _open(self) -> tuple[Turn, Connection, bool]:
        """The answer ends with whether the connection is new."""
        if self._turn is None:
            self._turn = self._database.turn()
        found = self._connection
        return self._turn, found or self._connect(), found is None

    def _connect(self) -> Connection:
        try:
            raw = self._database.open_writer()
        except BaseException as error:
            raise self._database.translate(error) from error
        self._connection = Connection(raw, self._database.language)
        return self._connection

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
            self._database.close(connection.raw)

    def _apply(self, batch: Batch, taken: Sequence[_Waiting]) -> tuple[list[Answered], list[_Waiting]]:
        """Runs of the same operation are applied at once. After 3 ms the rest waits for the next transaction."""
        answers: list[Answered] = []
        began = time.perf_counter()
        start = 0
        while start < len(taken):
            if start and time.perf_counter() - began > LONGEST_BATCH:
                return answers, list(taken[start:])
            kind = type(taken[start].operation)
            end = start + 1
            if kind in MANY:
                while end < len(taken) and type(taken[end].operation) is kind:
                    end += 1
                results = MANY[kind](batch, [each.operation for each in taken[start:end]])
            else:
                results = [self._apply_one(batch, taken[start].operation)]
            for each, result in zip(taken[start:end], results, strict=True):
                if isinstance(result, Exception):
                    answers.append((each, None, result))
                else:
                    answers.append((each, result, None))
            start = end
        return answers, []

    def _apply_one(self, batch: Batch, operation: Any) -> Any:
        """A refusal that comes before the first write harms no other operation; any other error undoes the batch."""
        try:
            if operation.alone:
                self._database.lend(batch.connection.raw)
                with borrowed_session(batch.connection) as session:
                    return transact(batch, operation, session)
            return ONE[type(operation)](batch, operation)
        except REFUSALS as refusal:
            if operation.alone:
                raise
            return refusal

    def _answer(self, answers: list[Answered]) -> None:
        with self._gate:
            self._owed -= len(answers)
        _answer(answers)

    def _tell(self, hint: Hint) -> None:
        if hint:
            try:
                self._on_commit(hint)
            except Exception:  # it is on disk, and a slow look stands behind every hint
                log.exception("nobody could be told of a commit")


class _Stale(Exception):
    """The connection was lost, perhaps long ago, and nothing was committed through it."""


def closed() -> StoreUnavailable:
    return StoreUnavailable("this Backburner has been closed", retry_after=0)


class WriterThread(threading.Thread):
    """Told from others, because whoever waits on it for a write may wait for ever."""


class _Waiting:
    __slots__ = ("future", "loop", "operation")

    def __init__(self, operation: Operation[Any], future: Any, loop: asyncio.AbstractEventLoop | None) -> None:
        self.operation = operation
        self.future = future
        self.loop = loop


Answered = tuple[_Waiting, Any, BaseException | None]


def _answer(answers: Sequence[Answered]) -> None:
    """Wake each event loop once, however many of its operations were in the batch."""
    loops: dict[asyncio.AbstractEventLoop, list[Answered]] = {}
    for answer in answers:
        waiting, result, error = answer
        if waiting.loop is not None:
            loops.setdefault(waiting.loop, []).append(answer)
        elif error is not None:
            waiting.future.set_exception(error)
        else:
            waiting.future.set_result(result)
    for loop, theirs in loops.items():
        with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits any more
            loop.call_soon_threadsafe(_resolve, theirs)


def _resolve(answers: Sequence[Answered]) -> None:
    for waiting, result, error in answers:
        if waiting.future.done():
            continue
        if error is not None:
            waiting.future.set_exception(error)
        else:
            waiting.future.set_result(result)
