"""``@bb.cron(…)``: a task that a clock submits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from . import given
from .domain.crons import Cron, Missed
from .domain.errors import ConfigurationError, InvalidArguments
from .domain.job import NewJob
from .options import known_name
from .task import Task

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class CronDecorator:
    """What ``bb.cron(…)`` returns. Called with a task, it answers that task."""

    crons: dict[str, Cron]
    expression: str
    zone: str | ZoneInfo
    args: Mapping[str, Any]
    name: str | None
    missed: Missed
    owner: str | None
    priority: int | None

    def __call__(self, task: Task[P, R], /) -> Task[P, R]:
        if not isinstance(task, Task):
            raise ConfigurationError(f"bb.cron stands above @bb.task and is given the task, not {task!r}")
        from .schedule import CronSchedule  # a worker without crons does without its parts

        name = task.name if self.name is None else self.name
        schedule = CronSchedule(self.expression, self.zone)
        cron = Cron(name, task.name, schedule, self.missed, self._job_of(task))
        known_name("cron", cron.name)
        if self.missed not in ("once", "skip"):
            raise ConfigurationError(f"missed is {self.missed!r}: choose 'once' or 'skip'")
        if cron.name in self.crons:
            raise ConfigurationError(f"two crons are called {cron.name!r}: give one of them another name=")
        self.crons[cron.name] = cron
        return task

    def _job_of(self, task: Task[Any, Any]) -> Callable[[], NewJob]:
        given.instance(given.configuration, "args", self.args, Mapping, "give a mapping, as in {'days': 7}")

        def make() -> NewJob:
            return task.using(owner=self.owner, priority=self.priority).new_job((), dict(self.args))

        try:
            make()
        except InvalidArguments as error:
            raise ConfigurationError(f"the cron of {task.name} cannot submit it: {error}") from None
        return make
