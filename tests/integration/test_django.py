"""A Django site under gunicorn, which loads it before it forks; a worker beside it does the jobs."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from backburner import Backburner
from backburner.domain.errors import JobNotFound
from backburner.sync_run import SyncRun
from tests.support.backends import Backend, backburner_on

ROOT = Path(__file__).parents[2]
PATIENCE = 30.0


@pytest.fixture
def bb(backend: Backend, tmp_path: Path) -> Iterator[Backburner]:
    with backburner_on(backend, tmp_path) as bb:

        @bb.task
        def shout(run: SyncRun, words: str) -> str:
            return words.upper()

        stop = bb.start_worker()
        yield bb
        stop()


@pytest.fixture
def http(bb: Backburner, tmp_path: Path) -> Iterator[httpx.Client]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        listening.set_inheritable(True)
        number = listening.fileno()
        command = [sys.executable, "-W", "ignore", "-m", "gunicorn", "tests.integration.django_site:application"]
        command += ["--preload", "--workers", "2", "--threads", "4", "--bind", f"fd://{number}"]
        environment = {**os.environ, "BACKBURNER_DATABASE_URL": bb.settings.database_url}
        with (tmp_path / "gunicorn.log").open("w") as log:
            server = subprocess.Popen(command, cwd=ROOT, env=environment, pass_fds=[number], stdout=log, stderr=log)
        port = listening.getsockname()[1]
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=PATIENCE) as client:
                yield client
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(PATIENCE)


def test_views_submit_and_wait_from_many_threads_of_forked_processes(http: httpx.Client) -> None:
    def run(number: int) -> str:
        job = http.get("/create", params={"words": f"w{number}"}).raise_for_status().json()["id"]
        return str(http.get(f"/show/{job}").raise_for_status().json()["result"])

    with ThreadPoolExecutor(8) as pool:
        assert [f"W{number}" for number in range(16)] == list(pool.map(run, range(16)))


def test_a_job_in_djangos_own_transaction_exists_exactly_if_that_commits(bb: Backburner, http: httpx.Client) -> None:
    kept = http.get("/order", params={"words": "kept"}).raise_for_status().json()["id"]
    assert "KEPT" == bb.handle(kept).result_sync(PATIENCE)
    lost = http.get("/order", params={"words": "lost", "fails": "1"}).raise_for_status().json()["id"]
    with pytest.raises(JobNotFound):
        bb.handle(lost).refresh_sync()
