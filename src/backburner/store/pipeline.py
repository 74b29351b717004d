"""Statements that are sent without waiting for the answer of each, on libpq's pipeline.

psycopg's own cursors cost more than all else that a short transaction does (see
docs/decisions/0012-what-a-job-costs.md); this goes through its wrapper of libpq, ``psycopg.pq``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from itertools import count
from typing import Any

import psycopg
from psycopg import errors
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ExecStatus
from psycopg.waiting import Ready, Wait


class Answer:
    """What one statement comes to. It is waited for where it is read, before the transaction ends."""

    __slots__ = ("_pipeline", "complete", "result")

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self.result: Any = None
        self.complete = False

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self._pipeline.rows(self, None)

    def fetchone(self) -> tuple[Any, ...] | None:
        rows = self._pipeline.rows(self, 1)
        return rows[0] if rows else None

    @property
    def rowcount(self) -> int:
        self._pipeline.receive(self)
        return int(self.result.command_tuples or 0)


class Pipeline:
    """Of one connection, entered for each transaction. Each statement is prepared once, its parameters typed by where
    they stand in it."""

    def __init__(self, connection: Pipelined) -> None:
        self._connection = connection
        self._libpq = connection.pgconn
        self._transformer = Transformer(connection)
        self._names: dict[str, bytes] = {}
        self._numbers = count(1)
        self._unsure: list[tuple[str, Answer]] = []
        """Statements that were prepared in this transaction, and what the server says to that."""
        self._owed: deque[Answer] = deque()
        self._failure: psycopg.Error | None = None

    def enter(self) -> None:
        self._libpq.enter_pipeline_mode()

    def leave(self) -> None:
        """Wait for all answers. Raises the first error among them; the connection is out of the pipeline even so, or
        closed where the server has gone away or has been told to forget what was prepared."""
        try:
            self._libpq.pipeline_sync()
            self.receive(self._expect())
        except BaseException as error:
            if isinstance(self._failure, errors.InvalidSqlStatementName):
                self._connection.close()
            raise self._failure or error from None
        finally:
            self._failure = None
            for sql, answer in self._unsure:
                if answer.result is None or answer.result.status != ExecStatus.COMMAND_OK:
                    del self._names[sql]
            self._unsure.clear()
            self._owed.clear()
            try:
                self._libpq.exit_pipeline_mode()
            except psycopg.OperationalError:  # answers that never came
                self._connection.close()

    def send(self, sql: str, parameters: Sequence[Any]) -> Answer:
        """``sql`` has ``%s`` where its parameters stand."""
        name = self._names.get(sql) or self._prepare(sql)
        as_text = [PyFormat.TEXT] * len(parameters)
        values = self._transformer.dump_sequence(parameters, as_text) if parameters else None
        self._libpq.send_query_prepared(name, values)
        self._libpq.flush()  # the server begins while the next statement is put together
        return self._expect()

    def _prepare(self, sql: str) -> bytes:
        name = b"backburner_%d" % next(self._numbers)
        self._libpq.send_prepare(name, numbered(sql).encode())
        self._names[sql] = name
        self._unsure.append((sql, self._expect()))
        return name

    def _expect(self) -> Answer:
        answer = Answer(self)
        self._owed.append(answer)
        return answer

    def rows(self, answer: Answer, most: int | None) -> list[tuple[Any, ...]]:
        self.receive(answer)
        result = answer.result
        self._transformer.set_pgresult(result)
        found = self._transformer.load_rows(0, result.ntuples if most is None else min(most, result.ntuples), tuple)
        self._transformer.set_pgresult(None)  # it may be large
        return found

    def receive(self, answer: Answer) -> None:
        """Raises the first error of the transaction."""
        if not answer.complete:
            self._connection.wait(self._receiving(answer))
        if self._failure is not None:
            raise self._failure

    def _receiving(self, answer: Answer) -> Generator[Wait, Ready | int, None]:
        libpq = self._libpq
        libpq.send_flush_request()
        unsent = libpq.flush()
        while not self._collect(answer):
            ready = yield Wait.RW if unsent else Wait.R
            if ready & Ready.R:
                libpq.consume_input()
            if unsent:
                unsent = libpq.flush()

    def _collect(self, last: Answer) -> bool:
        """Take in what has arrived; whether that one is among it. libpq puts a None behind the
        results of each statement."""
        while not last.complete:
            if self._libpq.is_busy():
                return False
            result = self._libpq.get_result()
            if result is not None:
                self._owed[0].result = result
                if result.status == ExecStatus.FATAL_ERROR and self._failure is None:
                    self._failure = errors.error_from_result(result, self._connection.info.encoding)
            if result is None or result.status == ExecStatus.PIPELINE_SYNC:
                self._owed.popleft().complete = True
        return True


def numbered(sql: str) -> str:
    """``$1``, ``$2`` … in place of ``%s``."""
    first, *others = sql.split("%s")
    return "".join([first, *(f"${number}{part}" for number, part in enumerate(others, 1))]).replace("%%", "%")


class Pipelined(psycopg.Connection[Any]):
    """Between `enter_pipeline` and `leave_pipeline` its statements are answered by an `Answer` in place of a cursor."""

    _pipeline_of_ours: Pipeline | None = None
    _entered = False

    def enter_pipeline(self) -> None:
        if not self._entered:
            if self._pipeline_of_ours is None:
                self._pipeline_of_ours = Pipeline(self)
            self._pipeline_of_ours.enter()
            self._entered = True

    def leave_pipeline(self) -> None:
        """Waits for all answers; raises the first error among them."""
        if self._entered and self._pipeline_of_ours is not None:
            self._entered = False
            self._pipeline_of_ours.leave()

    def execute(self, query: Any, params: Any = None, **how: Any) -> Any:
        if self._entered and self._pipeline_of_ours is not None:
            return self._pipeline_of_ours.send(query, params or ())
        return super().execute(query, params, **how)
