"""How jobs fare, from the store's counters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ..domain.job import Status
from ..domain.operations import JobCount


def statistics(counts: Sequence[JobCount]) -> dict[str, Any]:
    """As `JobStats` describes it."""
    tasks: dict[str, list[JobCount]] = {}
    for count in counts:
        tasks.setdefault(count.task, []).append(count)
    return {"counts": _numbers(counts), "tasks": {task: _of_task(tasks[task]) for task in sorted(tasks)}}


def _of_task(counts: Sequence[JobCount]) -> dict[str, Any]:
    completed = [count for count in counts if count.status is Status.COMPLETED]
    done = _ever(completed)
    failed = _ever(count for count in counts if count.status is Status.FAILED)
    return {
        "counts": _numbers(counts),
        "mean_duration_seconds": sum(count.ran for count in completed) / done if done else None,
        "mean_wait_seconds": sum(count.waited for count in completed) / done if done else None,
        "success_rate": done / (done + failed) if done + failed else None,
    }


def _numbers(counts: Iterable[JobCount]) -> dict[str, int]:
    numbers = dict.fromkeys((status.value for status in Status), 0)
    for count in counts:
        numbers[count.status.value] += count.jobs
    return numbers


def _ever(counts: Iterable[JobCount]) -> int:
    return sum(count.jobs + count.gone for count in counts)
