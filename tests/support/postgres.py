"""PostgreSQL for tests: a fresh database on the machine's server, or a whole server of a test's own."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from backburner.store.postgres import Postgres
from backburner.store.schema import bring_up_to_date

PREFIX = "backburner_test_"
PATIENCE = 60.0

Migrate = Callable[[str], None]


def migrate_postgres(url: str) -> None:
    """For `fresh_database`: backburner's own schema."""
    database = Postgres(url)
    bring_up_to_date(database)
    database.dispose()


def server_url() -> str:
    """The server that the tests share; they make databases on it and drop them."""
    return os.environ.get("BACKBURNER_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")


@functools.cache
def server_answers() -> bool:
    with contextlib.suppress(psycopg.OperationalError), psycopg.connect(server_url(), connect_timeout=5):
        return True
    return False


@contextlib.contextmanager
def fresh_database(migrate: Migrate | None = None, durable: bool = False) -> Iterator[str]:
    """The URL of a database that nobody else uses, dropped at the end whoever is connected.

    ``migrate`` gets the URL of an empty database and is called once a process; every database is a copy of what it
    made. None for an empty one. Unless it is ``durable`` nobody waits for the disk: what is committed survives
    everything but the server's own death.
    """
    name = _new_name()
    _create(name, "template0" if migrate is None else _template(migrate))
    if not durable:
        _administer(sql.SQL("ALTER DATABASE {} SET synchronous_commit = off").format(sql.Identifier(name)))
    try:
        yield _url_of(name)
    finally:
        _drop(name)


@functools.cache
def _template(migrate: Migrate) -> str:
    _drop_leftovers()
    name = _new_name()
    _create(name, "template0")
    atexit.register(_drop, name)
    migrate(_url_of(name))
    return name


def _new_name() -> str:
    return f"{PREFIX}{os.getpid()}_{random.getrandbits(40):010x}"


def _url_of(database: str) -> str:
    return urlsplit(server_url())._replace(path=f"/{database}").geturl()


def _create(name: str, template: str) -> None:
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} ENCODING 'UTF8'")
    _administer(statement.format(sql.Identifier(name), sql.Identifier(template)))


def _drop(name: str) -> None:
    _administer(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _drop_leftovers() -> None:
    """Those of processes of this machine that were killed; a server elsewhere may serve other machines' tests."""
    if urlsplit(server_url()).hostname not in ("127.0.0.1", "::1", "localhost", None):
        return
    for (name,) in _administer("SELECT datname FROM pg_database WHERE datname LIKE 'backburner\\_test\\_%'"):
        process = name.removeprefix(PREFIX).split("_")[0]
        if process.isdigit() and not _lives(int(process)):
            with contextlib.suppress(psycopg.Error):  # another process does the same
                _drop(name)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _administer(statement: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(server_url(), autocommit=True) as connection:
        cursor = connection.execute(statement)
        return [] if cursor.description is None else cursor.fetchall()


class PrivatePostgres:
    """A server that a test may stop, kill and start again; a context manager, started on entry.

    Raises `FileNotFoundError` where PostgreSQL's programs are not installed: see `installed`.
    """

    def __init__(self, **settings: str) -> None:
        self._programs = _find_programs()
        self._user = _unprivileged_user()
        self._folder = Path(tempfile.mkdtemp(prefix="bb-pg-"))
        self._settings = {"shared_buffers": "8MB", "max_wal_size": "64MB", "max_connections": "60", **settings}
        self._process: subprocess.Popen[bytes] | None = None
        self.port = _free_port()
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        try:
            self._initialise()
        except BaseException:
            self.close()
            raise

    @staticmethod
    def installed() -> bool:
        try:
            _find_programs()
        except FileNotFoundError:
            return False
        return True

    def start(self) -> None:
        """Returns when it takes connections."""
        assert self._process is None, "it runs already"
        settings = [f"--{name}={value}" for name, value in self._settings.items()]
        where = ["-D", f"{self._folder}/data", "-k", str(self._folder), "-h", "127.0.0.1", "-p", str(self.port)]
        with open(self._folder / "log", "ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", *where, *settings], stdout=log, stderr=log, **self._identity()
            )
        self._wait_until_it_answers()

    def stop(self, mode: str = "fast") -> None:
        """``fast`` ends the sessions in order; ``immediate`` is a crash: the next start recovers."""
        if self._process is not None:
            self._process.send_signal({"fast": signal.SIGINT, "immediate": signal.SIGQUIT}[mode])
            self._process.wait(PATIENCE)
            self._process = None

    def restart(self, mode: str = "fast") -> None:
        self.stop(mode)
        self.start()

    def demand_passwords(self) -> None:
        """From its next start on; nobody has one."""
        (self._folder / "data" / "pg_hba.conf").write_text("host all all 127.0.0.1/32 scram-sha-256\n")

    @property
    def log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")

    def close(self) -> None:
        try:
            self.stop("immediate")
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _initialise(self) -> None:
        if self._user is not None:
            os.chown(self._folder, self._user.pw_uid, self._user.pw_gid)
        options = ["-U", "postgres", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C"]
        subprocess.run(
            [self._programs / "initdb", "-D", self._folder / "data", *options],
            check=True,
            stdout=subprocess.DEVNULL,
            **self._identity(),
        )

    def _identity(self) -> dict[str, Any]:
        if self._user is None:
            return {"cwd": self._folder}
        return {"cwd": self._folder, "user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            assert self._process is not None
            assert self._process.poll() is None, f"the server ended:\n{self.log}"
            try:
                with psycopg.connect(self.url, connect_timeout=5):
                    return
            except psycopg.OperationalError as error:
                if "password" in str(error):
                    return
            time.sleep(0.02)
        raise AssertionError(f"the server does not answer:\n{self.log}")


def _find_programs() -> Path:
    candidates = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True)
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        told = subprocess.run(["pg_config", "--bindir"], check=True, capture_output=True, text=True)
        candidates.append(Path(told.stdout.strip()))
    for folder in candidates:
        if os.access(folder / "initdb", os.X_OK) and os.access(folder / "postgres", os.X_OK):
            return folder
    raise FileNotFoundError("PostgreSQL's initdb and postgres are not installed")


def _version(programs: Path) -> int:
    return int(programs.parent.name) if programs.parent.name.isdigit() else 0


def _unprivileged_user() -> pwd.struct_passwd | None:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    with contextlib.suppress(KeyError):
        return pwd.getpwnam("postgres")
    return pwd.getpwnam("nobody")


def _free_port() -> int:
    """Below the ports that outgoing connections get, or somebody could sit on it while the server is down."""
    for port in random.sample(range(20000, 32000), 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")
