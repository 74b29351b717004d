"""What `backburner doctor` looks at."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time

import click

from .app import Backburner
from .domain.errors import BackburnerError
from .domain.operations import ListJobs, ListWorkers

SAFE_SQLITE = (3, 51, 3)
LEAST_FREE = 200 * 2**20


class Findings:
    """Prints each finding as it is made, and remembers whether one of them is bad."""

    def __init__(self) -> None:
        self.healthy = True

    def good(self, text: str) -> None:
        click.echo(f"  ok    {text}")

    def warn(self, text: str) -> None:
        click.echo(f"  warn  {text}")

    def bad(self, text: str) -> None:
        self.healthy = False
        click.echo(f"  FAIL  {text}")


def examine(bb: Backburner, url: str | None) -> bool:
    """Look at everything there is to look at; False when something is broken."""
    findings = Findings()
    _sqlite_version(findings)
    _database(findings, bb)
    if url is not None:
        _server(findings, url)
    return findings.healthy


def _sqlite_version(findings: Findings) -> None:
    version = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info < SAFE_SQLITE:
        findings.warn(
            f"SQLite {version}: before 3.51.3 a rare race of two checkpoints can damage a WAL. backburner checkpoints "
            "inside its turn, so only other programs on the same file are at risk; upgrade SQLite when you can"
        )
    else:
        findings.good(f"SQLite {version}")


def _database(findings: Findings, bb: Backburner) -> None:
    url = bb.settings.database_url
    try:
        bb.open()
        findings.good(f"{bb.parts.database.place} can be opened and its schema is current")
        workers = bb.store.read_sync(ListWorkers())
        now = time.time_ns() // 1000
        alive = [worker for worker in workers if worker.expires_at > now]
        newest = bb.store.read_sync(ListJobs(limit=1))
        if newest and newest[0].created_at > now + 60_000_000:
            findings.bad("the newest job lies in the future: this machine's clock was set back; set it right")
        else:
            findings.good("the clock does not contradict the newest job")
        if alive:
            findings.good(f"{len(alive)} worker(s) alive, running {sum(worker.running for worker in alive)} job(s)")
        else:
            findings.warn("no worker is alive: jobs stay pending. Start `backburner dev` or `backburner worker`")
    except BackburnerError as error:
        findings.bad(str(error))
        return
    finally:
        bb.close()
    if not url.startswith("sqlite:///"):
        return  # the server's disk is not ours to see
    folder = os.path.dirname(os.path.abspath(url.removeprefix("sqlite:///")))
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE:
        findings.warn(f"only {free / 2**20:.0f} MiB are free in {folder}: make room before writes fail")
    else:
        findings.good(f"{free / 2**30:.1f} GiB are free in {folder}")


def _server(findings: Findings, url: str) -> None:
    import httpx

    address = url.rstrip("/") + "/backburner"
    try:
        ready = httpx.get(f"{address}/readyz", timeout=5)
    except httpx.HTTPError as error:
        findings.bad(f"{address} does not answer ({error}): is the server running?")
        return
    if ready.status_code == 200:
        findings.good(f"{address}/readyz answers")
    else:
        findings.bad(f"{address}/readyz answers {ready.status_code}: {ready.text[:200]}")
        return
    _stream(findings, address)


def _stream(findings: Findings, address: str) -> None:
    """The first event must arrive at once: a proxy that buffers holds it back."""
    import httpx

    began = time.monotonic()
    try:
        with httpx.stream("GET", f"{address}/events", timeout=5) as response:
            if response.status_code != 200:
                findings.bad(f"{address}/events answers {response.status_code}")
                return
            for line in response.iter_lines():
                if line.startswith("event:"):
                    findings.good(f"the first event came after {(time.monotonic() - began) * 1000:.0f} ms")
                    break
            if response.http_version == "HTTP/1.1":
                findings.warn(
                    "HTTP/1.1: a browser opens six connections a host at most, and each open stream takes one; "
                    "put an HTTP/2 proxy in front when users keep many tabs"
                )
    except httpx.TimeoutException:
        findings.bad(f"{address}/events sent nothing for 5 s: a proxy buffers it; switch its buffering off")
    except httpx.HTTPError as error:
        findings.bad(f"{address}/events broke: {error}")
