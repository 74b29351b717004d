"""The same on PostgreSQL, beside the fastest peer there."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.support.postgres import fresh_database, migrate_postgres

from . import processes
from .measures import Figures, drain_in, percentile, wake_in

CONCURRENCY = 1600
PEERS_CONCURRENCY = 400
"""Jobs at once with which each is fastest on the machine described in docs/benchmarks.md."""


def drain_postgres(folder: Path, jobs: int = 20_000) -> Figures:
    """No-op jobs a second in one worker process, results and events kept, against pgqueuer, which keeps neither."""
    with _environment(folder) as env:
        submitted, drained = drain_in(env, jobs, CONCURRENCY)
    with fresh_database(durable=True) as url:
        command = (sys.executable, "-m", "benchmarks.pgqueuer_peer", url, str(jobs), str(PEERS_CONCURRENCY))
        peer = float(subprocess.run(command, check=True, capture_output=True, text=True, cwd=processes.ROOT).stdout)
    return {
        "postgres_drain_jobs_per_s": drained,
        "postgres_drain_ratio": drained / peer,
        "pgqueuer_drain_jobs_per_s": peer,
        "postgres_submit_jobs_per_s": submitted,
    }


def wake_postgres(folder: Path, jobs: int = 200) -> Figures:
    """From the call of submit to the first line of the handler, in another process."""
    with _environment(folder) as env:
        took = wake_in(env, jobs)
    return {
        "postgres_submit_to_running_p50_ms": percentile(took, 0.5),
        "postgres_submit_to_running_p99_ms": percentile(took, 0.99),
    }


@contextlib.contextmanager
def _environment(folder: Path) -> Iterator[dict[str, str]]:
    with fresh_database(migrate_postgres, durable=True) as url:
        yield processes.environment(folder, BACKBURNER_DATABASE_URL=url)
