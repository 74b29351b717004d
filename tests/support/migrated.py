"""A migrated database file, made once a process: a test that is not about migrations copies it."""

from __future__ import annotations

import functools
import shutil
import tempfile
from pathlib import Path

from backburner.store.schema import bring_up_to_date
from backburner.store.sqlite import SQLite


def copy_migrated(file: Path) -> None:
    """Make ``file``, unless it is there."""
    if not file.exists():
        file.write_bytes(_migrated())


@functools.cache
def _migrated() -> bytes:
    folder = Path(tempfile.mkdtemp(prefix="backburner-tests-"))
    try:
        bring_up_to_date(SQLite(str(folder / "jobs.db")))
        return (folder / "jobs.db").read_bytes()
    finally:
        shutil.rmtree(folder)
