"""Processes that a test has caused, seen from outside."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

R = TypeVar("R")
PATIENCE = 30.0


def until(condition: Callable[[], R], what: str) -> R:
    """Wait for a condition; the time only bounds a failure."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.005)
    raise AssertionError(f"in vain: {what}")


def is_alive(pid: int) -> bool:
    """A zombie is not: only its parent's list still knows it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    try:
        return not stat.parent.parent.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def until_gone(pid: int) -> None:
    until(lambda: not is_alive(pid), f"the end of process {pid}")


def pid_in(file: Path) -> int:
    """The number that a process writes into a file, with a line's end, once it is ready."""

    def read() -> int | None:
        text = file.read_text() if file.exists() else ""
        return int(text) if text.endswith("\n") else None

    found = until(read, f"a process that writes {file.name}")
    assert found is not None
    return found
