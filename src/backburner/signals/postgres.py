"""PostgreSQL's own bell, LISTEN and NOTIFY: it reaches every machine that works on the database."""

from __future__ import annotations

import contextlib
import logging
import math
import secrets
import selectors
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg import errors, sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import ExecStatus

from ..domain.backoff import Backoff
from ..ports import Hint
from .bits import EVERYTHING, from_bits, to_bits
from .listeners import Listeners

log = logging.getLogger("backburner.signals")

NOTIFY = b"notify"
"""The name of its prepared statement."""

RECONNECT = Backoff(first=0.1, longest=5.0)
STEADY = 10.0
"""Seconds after which a connection that is lost counts as one that had worked."""
DEFAULTS = {
    "application_name": "backburner notifications",
    "connect_timeout": "5",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}
REST = 0.002
"""Seconds between two NOTIFYs: the first of a burst goes at once, but each wakes every process there is."""
LONGEST_CHANNEL = 63  # bytes of an identifier, NAMEDATALEN - 1


class Notifications:
    """Rings every process that shares a schema of a PostgreSQL database.

    One thread and one connection send and listen; both are made at the first need. Nothing is polled: an idle process
    sleeps until the server or somebody here says something. Hints that come while a NOTIFY is under way, or while the
    server is down, are gathered into one. With each new connection everyone here is told to look, because a hint may
    have been missed.

    ``conninfo`` is a PostgreSQL URL or connection string.
    """

    def __init__(self, conninfo: str, schema: str = "public") -> None:
        self._parameters: dict[str, Any] = {**DEFAULTS, **conninfo_to_dict(conninfo)}
        self._channel = f"backburner:{schema}".encode()[:LONGEST_CHANNEL].decode(errors="ignore")
        self._sender = secrets.token_hex(6)
        self._listeners = Listeners()
        self._lock = threading.Lock()
        self._pending = Hint()
        self._closed = threading.Event()
        self._bell, self._sleeper = socket.socketpair()
        self._bell.setblocking(False)
        self._sleeper.setblocking(False)
        self._thread: threading.Thread | None = None

    def subscribe(self, listener: Callable[[Hint], None]) -> Callable[[], None]:
        unsubscribe = self._listeners.add(listener)
        self._begin()
        return unsubscribe

    def ring(self, hint: Hint) -> None:
        if not hint or self._closed.is_set():
            return
        self._listeners.tell(hint)
        with self._lock:
            awake = bool(self._pending)
            self._pending |= hint
        if not awake:
            self._wake()
        with contextlib.suppress(RuntimeError):  # no thread can be started any more: the interpreter is ending
            self._begin()

    def at_commit(self, hint: Hint) -> tuple[str, str]:
        """In nobody's name, so that this process hears it too."""
        return self._channel, str(to_bits(hint))

    def close(self) -> None:
        """What was rung before is still sent, if the server answers."""
        self._closed.set()
        self._wake()
        with self._lock:
            thread = self._thread
        if thread is None:
            self._close_bell()
        elif thread is not threading.current_thread():
            thread.join(timeout=2)

    def _begin(self) -> None:
        with self._lock:
            if self._thread is None and not self._closed.is_set():
                thread = threading.Thread(target=self._run, name="backburner-notifications", daemon=True)
                thread.start()
                self._thread = thread

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # full of wake-ups, or closed
            self._bell.send(b"!")

    def _close_bell(self) -> None:
        self._bell.close()
        self._sleeper.close()

    def _run(self) -> None:
        try:
            self._stay_connected()
        finally:
            self._close_bell()

    def _stay_connected(self) -> None:
        failures = 0
        while not self._closed.is_set() or (self._pending and not failures):
            worked_from = math.inf
            try:
                with contextlib.closing(self._connect()) as connection:
                    worked_from = time.monotonic() + STEADY
                    self._serve(connection)
            except Exception as error:  # whatever it is: without this thread nobody here would hear anything again
                failures = 1 if time.monotonic() > worked_from else failures + 1
                self._report(error, failures)
                self._closed.wait(RECONNECT.delay(failures))

    def _connect(self) -> psycopg.Connection[Any]:
        connection = psycopg.connect(**self._parameters, autocommit=True)
        try:
            connection.add_notify_handler(lambda notify: self._take(notify.payload))
            connection.pgconn.prepare(NOTIFY, b"SELECT pg_notify($1, $2)")
            connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._channel)))
        except BaseException:
            connection.close()
            raise
        self._listeners.tell(EVERYTHING)
        return connection

    def _serve(self, connection: psycopg.Connection[Any]) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(connection.fileno(), selectors.EVENT_READ)
            selector.register(self._sleeper, selectors.EVENT_READ)
            due = 0.0
            while True:
                closing = self._closed.is_set()
                rest = 0.0 if closing else due - time.monotonic()
                if self._pending and rest <= 0:
                    self._send(connection)
                    due = time.monotonic() + REST
                self._hear(connection)
                if closing:
                    return
                selector.select(rest if self._pending and rest > 0 else None)
                self._forget_wakes()

    def _send(self, connection: psycopg.Connection[Any]) -> None:
        with self._lock:
            hint, self._pending = self._pending, Hint()
        try:
            self._notify(connection, f"{to_bits(hint)} {self._sender}")
        except psycopg.Error:
            with self._lock:
                self._pending |= hint
            raise

    def _notify(self, connection: psycopg.Connection[Any], payload: str) -> None:
        """A cursor of the driver's would take half a millisecond of everybody's latency."""
        channel = self._channel.encode(connection.info.encoding)  # as LISTEN was sent
        result = connection.pgconn.exec_prepared(NOTIFY, [channel, payload.encode()])
        if result.status != ExecStatus.TUPLES_OK:
            raise errors.error_from_result(result)

    def _hear(self, connection: psycopg.Connection[Any]) -> None:
        """What came while a statement ran was taken by the handler; libpq may have read more than that already."""
        connection.pgconn.consume_input()
        while (notify := connection.pgconn.notifies()) is not None:
            self._take(notify.extra.decode(errors="replace"))

    def _take(self, payload: str) -> None:
        bits, _, sender = payload.partition(" ")
        if sender != self._sender:
            ours = len(bits) == 1 and bits.isdecimal()
            self._listeners.tell(from_bits(int(bits)) if ours else EVERYTHING)

    def _forget_wakes(self) -> None:
        with contextlib.suppress(OSError):
            while self._sleeper.recv(4096):
                pass

    def _report(self, error: Exception, failures: int) -> None:
        level = logging.WARNING if failures == 1 else logging.DEBUG
        log.log(level, "no notifications from PostgreSQL until it answers again: %s", str(error).strip())
