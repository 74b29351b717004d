"""What has been submitted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..domain.job import JobRecord
from ..domain.json import decode, encode
from ..domain.operations import GetJob, ListJobs
from ..options import SubmitOptions
from ..ports import Store
from ..task import Submission, Task

if TYPE_CHECKING:
    from ..app import Backburner

PAGE = 200
MOST_SHOWN = 20
COMPARED = ("owner", "priority", "key", "queue")


def submitted(bb: Backburner, *, task: Task[Any, Any] | str | None = None, owner: str | None = None) -> list[JobRecord]:
    """The jobs on disk, in the order of their submits; ``args`` are theirs as JSON says them."""
    name = task.name if isinstance(task, Task) else task
    store = bb.parts.store
    listed = list(_pages(store, ListJobs(owner=owner, task=name, limit=PAGE)))
    found = [store.read_sync(GetJob(job.id)) for job in reversed(listed)]
    return [job for job in found if job is not None]


def assert_submitted(task: Task[Any, Any] | Submission[Any, Any], /, **args: Any) -> JobRecord:
    """A job of the task has been submitted with these arguments, whatever the others are; answers the latest such.

    ``task.using(owner=…, priority=…, key=…, queue=…)`` asks for these options too. Raises `AssertionError`, which lists
    what has been submitted.
    """
    wanted = Wanted(task, args)
    for job in reversed(wanted.all()):
        if wanted.fits(job):
            return job
    raise AssertionError(f"no job {wanted} was submitted; {wanted.told()}")


def assert_not_submitted(task: Task[Any, Any] | Submission[Any, Any], /, **args: Any) -> None:
    """No such job has been submitted; see `assert_submitted`."""
    wanted = Wanted(task, args)
    found = [job for job in wanted.all() if wanted.fits(job)]
    if found:
        raise AssertionError(f"{len(found)} job(s) {wanted} were submitted; {wanted.told()}")


class Wanted:
    """Jobs of a task with some arguments and options."""

    def __init__(self, task: Task[Any, Any] | Submission[Any, Any], args: dict[str, Any]) -> None:
        submission = task if isinstance(task, Submission) else task.using()
        self._task = submission.task
        unknown = set(args) - set(self._task.parameters.names)
        if unknown:
            raise AssertionError(f"{self._task.name} has no parameter {', '.join(sorted(unknown))}")
        self._args = _plain(args)
        self._options = _chosen(submission.options)

    def all(self) -> list[JobRecord]:
        return submitted(self._task.backburner)

    def fits(self, job: JobRecord) -> bool:
        if job.task != self._task.name:
            return False
        args = {**_plain(self._task.parameters.defaults), **job.args}
        return all(name in args and args[name] == value for name, value in self._args.items()) and all(
            getattr(job, name) == value for name, value in self._options.items()
        )

    def told(self) -> str:
        """What has been submitted, for the message."""
        jobs = self.all()
        if not jobs:
            return "no job was submitted at all"
        lines = [f"  {_call(job.task, job.args)} {_telling(job)}" for job in jobs[-MOST_SHOWN:]]
        left_out = [f"  … and {len(jobs) - MOST_SHOWN} before these"] if len(jobs) > MOST_SHOWN else []
        return "\n".join(["submitted were:", *left_out, *lines])

    def __str__(self) -> str:
        with_options = "".join(f" {name}={value!r}" for name, value in self._options.items())
        return _call(self._task.name, self._args) + with_options


def _pages(store: Store, query: ListJobs) -> Iterator[JobRecord]:
    """Newest first; a list has no arguments in it."""
    while True:
        page = store.read_sync(query)
        yield from page
        if len(page) < PAGE:
            return
        query = replace(query, before=page[-1].id)


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """As they come back from disk."""
    plain: dict[str, Any] = decode(encode(values))
    return plain


def _chosen(options: SubmitOptions) -> dict[str, Any]:
    return {name: getattr(options, name) for name in COMPARED if getattr(options, name) is not None}


def _call(task: str, args: dict[str, Any]) -> str:
    return f"{task}({', '.join(f'{name}={_short(value)}' for name, value in args.items())})"


def _telling(job: JobRecord) -> str:
    chosen = [f"{name}={getattr(job, name)!r}" for name in ("owner", "key") if getattr(job, name) is not None]
    return " ".join([*chosen, f"priority={job.priority}", f"({job.status})"])


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:79]}…"
