from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from backburner import Backburner, Settings
from backburner.worker.thread import WorkerThread
from tests.support.backends import BACKENDS, Backend
from tests.support.migrated import copy_migrated
from tests.support.postgres import PrivatePostgres

Start = Callable[..., WorkerThread]


@pytest.fixture(scope="session", autouse=True)
def _runtime_folder() -> Iterator[None]:
    """The doorbells of all databases of the tests, removed at the end."""
    with tempfile.TemporaryDirectory(prefix="bb-") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", folder)
        yield


@pytest.fixture
def bb(tmp_path: Path) -> Iterator[Backburner]:
    """A Backburner on a fresh database."""
    copy_migrated(tmp_path / "jobs.db")
    bb = Backburner(settings=settings_for(tmp_path))
    yield bb
    bb.close()


@pytest.fixture
def worker(bb: Backburner) -> Iterator[Start]:
    """Call it once the tasks are registered: starts a worker on a thread of its own, drained at the end."""
    started: list[WorkerThread] = []

    def start(**changes: object) -> WorkerThread:
        bb.settings = bb.settings.model_copy(update=changes)
        thread = WorkerThread(bb.run_worker)
        thread.start()
        started.append(thread)
        return thread

    yield start
    for thread in started:
        thread.stop()


@pytest.fixture(params=list(BACKENDS))
def backend(request: pytest.FixtureRequest, missing: Callable[[str], NoReturn]) -> Backend:
    """Each of the databases in turn."""
    found = BACKENDS[request.param]
    if not found.answers():
        missing(found.needs)
    return found


@pytest.fixture
def server(missing: Callable[[str], NoReturn]) -> Iterator[PrivatePostgres]:
    """A PostgreSQL of the test's own."""
    if not PrivatePostgres.installed():
        missing("a PostgreSQL installation")
    with PrivatePostgres() as server:
        yield server


@pytest.fixture
def missing() -> Callable[[str], NoReturn]:
    """Skip for want of ``what``; where everything must be there (CI=true) that is a failure."""

    def missing(what: str) -> NoReturn:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{what} is missing, and CI must have it")
        pytest.skip(f"{what} is missing")

    return missing


def settings_for(folder: Path) -> Settings:
    """A short grace, so that a test which forgets to release a job ends soon."""
    return Settings(_env_file=None, database_url=f"sqlite:///{folder}/jobs.db", grace=0.2)  # type: ignore[call-arg]
