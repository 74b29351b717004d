"""What is PostgreSQL's own: connections, the clock, locks that die with their session, and what its errors mean."""

from __future__ import annotations

import contextlib
import hashlib
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row
from psycopg.types.numeric import Int8Dumper
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.exc import DBAPIError

from ..domain.errors import BackburnerError, ConfigurationError, SchemaOutdated, StoreUnavailable, StoreUnreachable
from .connection import Clock, Connection, Language
from .database import CLOSED
from .pipeline import Pipelined

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

OLDEST = 130000
CONNECTING: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
"""What an address may override."""
CLOCK = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
HELD_LOCKS = (
    "SELECT (classid::bigint << 32) | objid::bigint FROM pg_locks l JOIN pg_database d ON d.oid = l.database "
    "WHERE locktype = 'advisory' AND objsubid = 1 AND d.datname = current_database() AND granted"
)
WHEREABOUTS = (
    "SELECT pg_postmaster_start_time()::text, d.oid::bigint, to_regclass('bb_jobs')::oid::bigint, "
    "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint FROM pg_database d WHERE d.datname = current_database()"
)
"""The server, the database and the schema that a connection works in, and the time. Any user may ask."""
SERVER_AGE = "SELECT extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())::float8"
SETTLING = 10.0
"""Seconds after the server's start in which a free lock proves nothing: the living have yet to take theirs again."""
PLANS = {"enable_seqscan": "off", "plan_cache_mode": "force_generic_plan"}
"""How the store's own writes are planned (docs/decisions/0012-what-a-job-costs.md)."""
OUTAGES = ("08", "53", "57P")
"""Classes of SQLSTATE: connections, resources, the operator."""
REFUSALS = (
    "authentication failed",
    "does not exist",
    "is not permitted to log in",
    "no password supplied",
    "no pg_hba.conf entry",
    "permission denied",
    "failed to resolve host",
    "but SSL was required",
    "invalid response to SSL negotiation",
)
"""What is said of an address, or of whoever connects, that waiting does not mend."""
BUSY_TABLES = (
    "bb_ready",
    "bb_scheduled",
    "bb_blocked",
    "bb_leases",
    "bb_count_changes",
    "bb_turns",
    "bb_clocks",
    "bb_streams",
)


class Postgres:
    """A database of a PostgreSQL server (13 or newer)."""

    concurrent = True
    widest_batch = 500
    widest_claim = 400

    def __init__(self, url: str) -> None:
        self.address = url
        self.shift = 0
        self.stands_at: int | None = None
        self.language = Language(
            PGDialect_psycopg(paramstyle="format"),  # type: ignore[no-untyped-call]
            arrays=True,
            skips_locked=True,
            insert=insert,
            engine_options={"use_native_hstore": False},
        )
        self._whereabouts: list[Any] = []
        self._farewell: str | None = None
        """Why the server ended its sessions: it says so beside the statements, which only see their connection gone."""
        self._locks = SessionLocks(lambda: self._open("locks"))

    @property
    def place(self) -> str:
        parts = urlsplit(self.address)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))

    def prepare(self) -> None:
        """Raises `ConfigurationError` for a server that is too old."""
        raw = self._open("schema")
        try:
            version = raw.info.server_version
        finally:
            raw.close()
        if version < OLDEST:
            raise ConfigurationError(f"{self.place} runs PostgreSQL {version // 10000}: backburner needs 13 or newer")

    def turn(self) -> Free:
        return Free()

    def open_writer(self) -> Any:
        """Its statements look up a few rows by an index, however small a table was when they were first planned: a
        plan that reads a whole table would be kept while the table grows."""
        raw = self._open("writer")
        for setting, value in PLANS.items():
            raw.execute(f"SET {setting} TO {value}")
        return raw

    def open_reader(self) -> Any:
        raw = self._open("reader")
        raw.execute("SET default_transaction_read_only = on")
        return raw

    def close(self, raw: Any) -> None:
        with contextlib.suppress(psycopg.Error):
            raw.close()

    def _open(self, purpose: str) -> Any:
        try:
            raw: Any = Pipelined.connect(**self.parameters(purpose), autocommit=True)
            raw.execute("SET jit = off")
            self._farewell = None
            raw.add_notice_handler(self._hear)
        except (psycopg.Error, UnicodeError) as error:
            raise self.translate(error) from error
        raw.prepared_max = 1000
        raw.prepare_threshold = 2
        # The size of a number must not make another prepared statement of it.
        raw.adapters.register_dumper(int, Int8Dumper)
        return raw

    def _hear(self, said: psycopg.errors.Diagnostic) -> None:
        if said.sqlstate is not None and said.sqlstate.startswith("57P"):
            self._farewell = said.message_primary

    def parameters(self, purpose: str) -> dict[str, Any]:
        """Raises what psycopg raises for an address that is none."""
        return {**CONNECTING, "application_name": f"backburner {purpose}", **conninfo_to_dict(self.address)}

    def begin(self, raw: Any) -> Clock:
        """What is sent until the commit waits for an answer only where one is asked for."""
        raw.enter_pipeline()
        raw.execute("BEGIN")
        now = self.stands_at
        if now is not None:
            return lambda: now
        shift, asked = self.shift, raw.execute(CLOCK)
        return lambda: int(asked.fetchone()[0]) + shift

    def lend(self, raw: Any) -> None:
        for setting in PLANS:
            raw.execute(f"SET LOCAL {setting} TO DEFAULT")
        raw.leave_pipeline()

    def now(self, raw: Any) -> int:
        return int(raw.execute(CLOCK).fetchone()[0]) + self.shift if self.stands_at is None else self.stands_at

    def commit(self, raw: Any) -> None:
        raw.execute("COMMIT")
        raw.leave_pipeline()
        if raw.info.transaction_status is not TransactionStatus.IDLE:
            raise psycopg.OperationalError("the transaction was not committed")

    def roll_back(self, raw: Any) -> None:
        with contextlib.suppress(psycopg.Error):
            raw.leave_pipeline()
        with contextlib.suppress(psycopg.Error):
            if raw.info.transaction_status is not TransactionStatus.IDLE:
                raw.execute("ROLLBACK")

    def is_lost(self, raw: Any) -> bool:
        return bool(raw.closed or raw.broken)

    @contextlib.contextmanager
    def snapshot(self, raw: Any) -> Iterator[None]:
        raw.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            yield
        finally:
            self.roll_back(raw)

    def repeatable(self, error: BaseException) -> bool:
        if isinstance(error, DBAPIError):  # an application's statement: that a row is there already is its own affair
            return isinstance(error.orig, errors.DeadlockDetected | errors.SerializationFailure)
        return isinstance(error, errors.DeadlockDetected | errors.SerializationFailure | errors.UniqueViolation)

    def translate(self, error: BaseException) -> BaseException:
        if isinstance(error, BackburnerError) or not isinstance(error, psycopg.Error):
            return error
        text = _reason(error)
        if isinstance(error, errors.UndefinedTable | errors.UndefinedColumn):
            return SchemaOutdated(f"{self.place} is not migrated ({text}): run `backburner migrate`")
        if isinstance(error, errors.DiskFull):
            return StoreUnavailable(f"the disk of {self.place} is full: make room there")
        if isinstance(error, errors.ReadOnlySqlTransaction):
            return StoreUnavailable(f"{self.place} is read-only: connect to the primary server")
        if isinstance(error, errors.InsufficientPrivilege):
            return StoreUnavailable(f"{self.place} does not let this user do that ({text}): grant it the right")
        if isinstance(error, psycopg.ProgrammingError) and "connection string" in text:
            return ConfigurationError(f"{self.place} is no address of a PostgreSQL database: {text}")
        if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
            if _refused(text):
                return StoreUnavailable(f"{self.place} cannot be used: {text}; look at the database's address")
            if self._farewell is not None and "closed the connection" in text:
                text = self._farewell
            return StoreUnreachable(f"{self.place} cannot be used: {text}; `pg_isready -d {self.place}` looks at it")
        return error

    def outage(self, error: BaseException) -> StoreUnavailable | None:
        state = getattr(error, "sqlstate", None)
        gone = isinstance(error, psycopg.OperationalError) and state is None
        if not gone and (state is None or not state.startswith(OUTAGES)):
            return None
        found = self.translate(error)
        return (
            found if isinstance(found, StoreUnavailable) else StoreUnavailable(f"{self.place} cannot be used: {error}")
        )

    def join(self, connection: Connection, driver: Any) -> int:
        if getattr(driver, "closed", False):
            raise ConfigurationError(CLOSED)
        *theirs, now = connection.ask(WHEREABOUTS)
        if theirs != self._whereabouts:
            self._whereabouts = self._look_around()  # the server may have been restarted since
        if theirs != self._whereabouts:
            where = (
                "looks for tables in another schema: set its search_path like that of the jobs' address"
                if theirs[:2] == self._whereabouts[:2]
                else "is one to another server or database: use one database for both, or submit() after the commit"
            )
            raise ConfigurationError(f"the jobs are in {self.place}, and the connection given to submit_in {where}.")
        if not _in_transaction(driver):
            raise ConfigurationError(
                "submit_in was given a connection that commits every statement by itself: begin a transaction first, "
                "or use submit()."
            )
        return int(now) + self.shift if self.stands_at is None else self.stands_at

    def _look_around(self) -> list[Any]:
        raw = self._open("whereabouts")
        try:
            *found, _ = raw.execute(WHEREABOUTS).fetchone()
            return list(found)
        finally:
            raw.close()

    def bare(self, given: Any) -> Any:
        return Plain(given) if isinstance(given, psycopg.Connection) else None

    def bare_async(self, given: Any) -> Any:
        from .awaited import Awaited

        return Awaited(given) if isinstance(given, psycopg.AsyncConnection) else None

    def create_engine(self, read_only: bool) -> Engine:
        from .postgres_engine import create_engine

        return create_engine(self, read_only)

    def create_async_engine(self, read_only: bool) -> AsyncEngine:
        from .postgres_engine import create_async_engine

        return create_async_engine(self, read_only)

    def lock_worker(self, worker: str) -> Callable[[], None]:
        return self._locks.take(worker)

    def dead_among(self, workers: Sequence[str]) -> tuple[str, ...]:
        return self._locks.free_among(workers)

    def has_table(self, raw: Any, table: str) -> bool:
        return raw.execute("SELECT to_regclass(%s)", (table,)).fetchone()[0] is not None

    def lock_schema(self, raw: Any) -> None:
        raw.execute("SELECT pg_advisory_xact_lock(%s)", (lock_number("backburner schema"),))

    @contextlib.contextmanager
    def preparing(self) -> Iterator[None]:
        raw = self._open("preparing")
        try:
            raw.execute("SELECT pg_advisory_lock(%s)", (lock_number("backburner preparing"),))
            yield
        finally:
            self.close(raw)

    def tune(self, raw: Any) -> None:
        """Tables whose rows come and go are vacuumed by their number, not their share; updates stay on their page."""
        for table in BUSY_TABLES:
            raw.execute(
                f"ALTER TABLE {table} SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, "
                "autovacuum_vacuum_cost_delay = 0)"
            )
        raw.execute("ALTER TABLE bb_jobs SET (fillfactor = 45)")

    def dispose(self) -> None:
        self._locks.close()


def _reason(error: psycopg.Error) -> str:
    """In one line; of several addresses that were tried, of one where the server refused, else of the last."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return next(filter(_refused, lines), lines[0])


def _refused(text: str) -> bool:
    """Whether a connection was refused for good. psycopg knows no SQLSTATE of what happens before one is made; what it
    does not know as refused, such as another language, is taken for a server that has yet to come."""
    return any(part in text for part in REFUSALS)


class Plain:
    """Somebody's connection, answering plain tuples by plain cursors whatever its own are."""

    def __init__(self, raw: psycopg.Connection[Any]) -> None:
        self._raw = raw

    def execute(self, sql: Any, parameters: Sequence[Any] | None = None) -> Any:
        return psycopg.Cursor(self._raw, row_factory=tuple_row).execute(sql, parameters)


def _in_transaction(driver: Any) -> bool:
    """Asked after a statement: psycopg and psycopg2 say it in one way, asyncpg in another."""
    info = getattr(driver, "info", None)
    if info is not None:
        return bool(info.transaction_status != TransactionStatus.IDLE)
    asked = getattr(driver, "is_in_transaction", None)
    return bool(asked()) if asked is not None else not getattr(driver, "autocommit", False)


class Free:
    """Everybody may write at once: the turn is always ours."""

    def take(self) -> None:
        """Nobody waits."""

    def give_back(self) -> None:
        """Nobody waits."""

    def pause_for_others(self) -> bool:
        return False

    def close(self) -> None:
        """Nothing is held."""


class SessionLocks:
    """Advisory locks on a session of their own: the server gives them back when this process dies.

    A session that broke is opened again, and its locks are taken again, when somebody next asks who is dead.
    """

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect
        self._mutex = threading.Lock()
        self._raw: Any = None
        self._held: set[str] = set()

    def take(self, worker: str) -> Callable[[], None]:
        with self._mutex:
            try:
                self._session().execute("SELECT pg_advisory_lock(%s)", (lock_number(worker),))
            except psycopg.Error as error:
                raise StoreUnavailable(f"the database cannot be used: {error}") from None
            self._held.add(worker)

        def give_back() -> None:
            with self._mutex:
                if worker in self._held:
                    self._held.discard(worker)
                    with contextlib.suppress(psycopg.Error, BackburnerError):
                        self._session().execute("SELECT pg_advisory_unlock(%s)", (lock_number(worker),))

        return give_back

    def free_among(self, workers: Sequence[str]) -> tuple[str, ...]:
        with self._mutex:
            try:
                session = self._session()
                held = {row[0] for row in session.execute(HELD_LOCKS).fetchall()}
                free = tuple(worker for worker in workers if lock_number(worker) not in held)
                if free and session.execute(SERVER_AGE).fetchone()[0] < SETTLING:
                    return ()
            except psycopg.Error as error:
                raise StoreUnavailable(f"the database cannot be used: {error}") from None
        return free

    def _session(self) -> Any:
        if self._raw is None or self._raw.closed or self._raw.broken:
            self._raw = self._connect()
            for worker in self._held:
                self._raw.execute("SELECT pg_try_advisory_lock(%s)", (lock_number(worker),))
        return self._raw

    def close(self) -> None:
        with self._mutex:
            if self._raw is not None:
                with contextlib.suppress(psycopg.Error):
                    self._raw.close()
                self._raw = None
            self._held.clear()


def lock_number(worker: str) -> int:
    """63 bits of the worker's id, so that the number is the same with and without a sign."""
    try:
        number = uuid.UUID(worker).int
    except ValueError:
        number = int.from_bytes(hashlib.sha256(worker.encode()).digest()[:8], "big")
    return number & 0x7FFF_FFFF_FFFF_FFFF
