"""Real processes on loopback, ended by their id."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

ROOT = Path(__file__).parent.parent


def environment(folder: Path, **more: str) -> dict[str, str]:
    inherited = dict(os.environ)
    inherited.pop("PYTHONDONTWRITEBYTECODE", None)  # an installation has its bytecode: compiling took 1 MB that stays
    return {
        **inherited,
        "BACKBURNER_DATABASE_URL": f"sqlite:///{folder}/bench.db",
        "BARE_DATABASE": f"{folder}/bare.db",
        "PYTHONPATH": str(ROOT),
        **more,
    }


@contextlib.contextmanager
def process(*command: str, env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    started = subprocess.Popen([sys.executable, "-m", *command], env=env, cwd=ROOT)
    try:
        yield started
    finally:
        started.send_signal(signal.SIGTERM)
        try:
            started.wait(20)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


@contextlib.contextmanager
def worker(env: dict[str, str], concurrency: int = 100) -> Iterator[subprocess.Popen[bytes]]:
    command = ("worker", "benchmarks.tasks:bb", "--concurrency", str(concurrency))
    with process("backburner.cli", "--log-level", "error", *command, env=env) as started:
        yield started


@contextlib.contextmanager
def server(env: dict[str, str]) -> Iterator[str]:
    """A web process of backburner's, without a worker."""
    port = free_port()
    command = ("backburner.cli", "--log-level", "error", "serve", "benchmarks.tasks:bb", "--port", str(port))
    with process(*command, env=env):
        url = f"http://127.0.0.1:{port}"
        wait_for(f"{url}/backburner/healthz")
        yield url


@contextlib.contextmanager
def bare_server(env: dict[str, str]) -> Iterator[str]:
    port = free_port()
    with process("uvicorn", "benchmarks.bare:app", "--port", str(port), "--log-level", "warning", env=env):
        url = f"http://127.0.0.1:{port}"
        wait_for(f"{url}/openapi.json")
        yield url


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(url: str) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(url, trust_env=False).status_code == 200:
                return
        time.sleep(0.05)
    raise RuntimeError(f"{url} did not come up")
