"""What is SQLite's own: how it is opened, who may write when, and what its errors mean."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy.dialects.sqlite import insert, pysqlite

from ..domain.errors import BackburnerError, ConfigurationError, StoreUnavailable
from .connection import Clock, Connection, Language
from .database import CLOSED
from .turn import Turn

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

CHECKPOINT_PAGES = 1024  # 4 MB of 4 KiB pages


class SQLite:
    """A database file and the folder of locks beside it."""

    concurrent = False
    widest_batch = 200
    widest_claim = 200

    def __init__(self, path: str) -> None:
        if path in ("", ":memory:"):
            raise ConfigurationError(
                "an in-memory SQLite database cannot be shared by threads and processes: give a file, sqlite:///jobs.db"
            )
        self.path = os.path.realpath(path)
        self.locks = Path(f"{self.path}.locks")
        self.shift = 0
        self.stands_at: int | None = None
        self.language = Language(pysqlite.dialect(paramstyle="qmark"), arrays=False, skips_locked=False, insert=insert)

    @property
    def address(self) -> str:
        return self.path

    @property
    def place(self) -> str:
        return self.path

    def prepare(self) -> None:
        """Make the folders. Raises `StoreUnavailable`."""
        if not os.path.isdir(os.path.dirname(self.path)):
            raise ConfigurationError(f"the folder of the database {self.path} does not exist: create it first")
        try:
            self.locks.mkdir(exist_ok=True)
        except OSError as error:
            raise StoreUnavailable(self._unusable(error)) from None

    def _unusable(self, error: OSError) -> str:
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            return (
                f"{self.path} is on a read-only disk or belongs to somebody else ({error.strerror}): "
                "give this user the right to write there"
            )
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return f"the disk of {self.path} is full: make room there"
        return f"{self.path} cannot be used: {error.strerror}"

    def turn(self) -> Turn:
        try:
            return Turn(self.locks)
        except OSError as error:
            raise StoreUnavailable(self._unusable(error)) from None

    def open_writer(self, factory: type[sqlite3.Connection] = sqlite3.Connection, checkpoint: bool = True) -> Any:
        """A connection that is fully durable: every commit is on disk when it returns."""
        connection = self._open(factory)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES if checkpoint else 0}")
        return connection

    def open_reader(self) -> Any:
        connection = self._open()
        connection.execute("PRAGMA query_only=ON")
        return connection

    def _open(self, factory: type[sqlite3.Connection] = sqlite3.Connection) -> Any:
        connection = sqlite3.connect(
            self.path,
            timeout=5,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=512,
            factory=factory,
        )
        connection.execute("PRAGMA cache_size=-16000")
        connection.execute("PRAGMA temp_store=MEMORY")
        return connection

    def close(self, raw: Any) -> None:
        raw.close()

    def now(self, raw: Any) -> int:
        """The database's clock is this machine's: SQLite never leaves it."""
        return time.time_ns() // 1000 + self.shift if self.stands_at is None else self.stands_at

    def begin(self, raw: Any) -> Clock:
        raw.execute("BEGIN IMMEDIATE")
        now = self.now(raw)
        return lambda: now

    def lend(self, raw: Any) -> None:
        """Its own statements are executed no differently."""

    def commit(self, raw: Any) -> None:
        raw.execute("COMMIT")

    def roll_back(self, raw: Any) -> None:
        with contextlib.suppress(sqlite3.Error):
            if raw.in_transaction:  # a full disk ends it by itself
                raw.execute("ROLLBACK")

    def is_lost(self, raw: Any) -> bool:
        return False

    @contextlib.contextmanager
    def snapshot(self, raw: Any) -> Iterator[None]:
        raw.execute("BEGIN")
        try:
            yield
        finally:
            self.roll_back(raw)

    def repeatable(self, error: BaseException) -> bool:
        return False

    def watch(self) -> Callable[[], bool]:
        """Whether anybody else wrote since it was last asked (`PRAGMA data_version`)."""
        connection: Any = None
        seen: int | None = None

        def changed() -> bool:
            nonlocal connection, seen
            try:
                if connection is None:
                    connection = self.open_reader()
                version = connection.execute("PRAGMA data_version").fetchone()[0]
            except sqlite3.Error:
                return True
            before, seen = seen, version
            return before is not None and before != version

        return changed

    def lock_worker(self, worker: str) -> Callable[[], None]:
        path = self.locks / f"worker-{worker}"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        fcntl.flock(descriptor, fcntl.LOCK_EX)

        held = [descriptor]

        def give_back() -> None:
            if held:
                with contextlib.suppress(OSError):
                    path.unlink()
                os.close(held.pop())

        return give_back

    def dead_among(self, workers: Sequence[str]) -> tuple[str, ...]:
        return tuple(worker for worker in workers if self._is_dead(worker))

    def _is_dead(self, worker: str) -> bool:
        """A worker whose lock is free has died, however it died: the kernel gave the lock back."""
        path = self.locks / f"worker-{worker}"
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(descriptor)
        with contextlib.suppress(OSError):
            path.unlink()
        return True

    def translate(self, error: BaseException) -> BaseException:
        """The driver's error in backburner's words, or itself where it is a mistake of ours."""
        if isinstance(error, BackburnerError) or not isinstance(error, sqlite3.Error | OSError):
            return error
        text = str(error)
        if "disk is full" in text or "disk I/O error" in text or getattr(error, "errno", 0) == 28:
            return StoreUnavailable(f"the disk of {self.path} is full or broken ({text}): make room there")
        if "readonly" in text:
            return StoreUnavailable(f"{self.path} is read-only: give this user the right to write it")
        if "locked" in text or "busy" in text:
            return StoreUnavailable(f"{self.path} is locked by another program: end its transaction")
        if "unable to open" in text and not os.access(os.path.dirname(self.path), os.W_OK):
            return StoreUnavailable(f"{self.path} is on a read-only disk: give this user the right to write there")
        if "unable to open" in text:
            return StoreUnavailable(f"{self.path} cannot be opened: check the path and the rights on its folder")
        if isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError | sqlite3.InterfaceError):
            return error
        return StoreUnavailable(f"{self.path} cannot be used: {text}")

    def outage(self, error: BaseException) -> StoreUnavailable | None:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR:
            return None
        found = self.translate(error)
        return found if isinstance(found, StoreUnavailable) else None

    def join(self, connection: Connection, driver: Any) -> int:
        if not isinstance(getattr(driver, "_conn", driver), sqlite3.Connection):  # aiosqlite's is in its `_conn`
            raise ConfigurationError(
                f"submit_in needs a connection of the standard sqlite3 module, this one is {type(driver).__module__}: "
                "two SQLite libraries in one process ignore each other's locks. Use bb.create_engine()."
            )
        try:
            main = connection.ask("SELECT file FROM pragma_database_list WHERE name = 'main'")[0]
        except sqlite3.ProgrammingError:
            raise ConfigurationError(CLOSED) from None
        file = os.fsdecode(main or "")
        if not file or os.path.realpath(file) != self.path:
            raise ConfigurationError(
                f"submit_in was given a connection to {file or 'an in-memory database'}, the jobs are in {self.path}: "
                "use one database for both, or submit() after the commit."
            )
        implicit = driver.isolation_level is not None and getattr(driver, "autocommit", None) is not True
        if not driver.in_transaction and not implicit:
            raise ConfigurationError(
                "submit_in was given a connection that commits every statement by itself: BEGIN a transaction first, "
                "or use submit()."
            )
        return self.now(None)

    def bare(self, given: Any) -> Any:
        return Plain(given) if isinstance(given, sqlite3.Connection) else None

    def bare_async(self, given: Any) -> Any:
        return None

    def create_engine(self, read_only: bool) -> Engine:
        from .sqlite_engine import create_engine

        return create_engine(self, read_only)

    def create_async_engine(self, read_only: bool) -> AsyncEngine:
        from .sqlite_engine import create_async_engine

        return create_async_engine(self, read_only)

    def has_table(self, raw: Any, table: str) -> bool:
        found = raw.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,)).fetchone()
        return found is not None

    def lock_schema(self, raw: Any) -> None:
        """The write transaction is the lock."""

    def preparing(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()  # the turn of its transaction is the lock

    def tune(self, raw: Any) -> None:
        """The tables are as they should be."""

    def dispose(self) -> None:
        """Nothing is held."""


class Plain:
    """Somebody's connection, answering plain tuples whatever its rows are made of."""

    def __init__(self, raw: sqlite3.Connection) -> None:
        self._raw = raw

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> sqlite3.Cursor:
        return self._cursor().execute(sql, parameters)

    def executemany(self, sql: str, rows: Iterable[Any]) -> sqlite3.Cursor:
        return self._cursor().executemany(sql, rows)

    def _cursor(self) -> sqlite3.Cursor:
        cursor = self._raw.cursor()
        cursor.row_factory = None
        return cursor
