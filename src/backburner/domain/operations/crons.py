"""Crons: what a worker writes and asks, and what operators see."""

from __future__ import annotations

from dataclasses import dataclass

from ..crons import Cron, CronRecord
from ..job import NewJob
from .base import Operation, Query


@dataclass(frozen=True, slots=True)
class DeclareCrons(Operation[None]):
    """Make these crons known as this worker's code has them. The worker that was started last is right: those that
    know another schedule fire no more. Where the schedule is still the same, ticks since then count as missed."""

    crons: tuple[Cron, ...]
    apart = True


@dataclass(frozen=True, slots=True)
class FireCrons(Operation[int]):
    """Submit a job for each of these crons that is due, each tick once whoever else watches; answers how many.

    Ticks that have come together make one job.
    """

    crons: tuple[tuple[Cron, NewJob], ...]
    apart = True


@dataclass(frozen=True, slots=True)
class NextTick(Query[float | None]):
    """Seconds until the next of these crons is due, 0 or less when one is, None when none will be."""

    crons: tuple[Cron, ...]


@dataclass(frozen=True, slots=True)
class ListCrons(Query[tuple[CronRecord, ...]]):
    """Every cron that some worker has declared, by name."""


@dataclass(frozen=True, slots=True)
class ForgetCron(Operation[bool]):
    """Remove a cron from the list; one that a worker still knows comes back when that is started again."""

    name: str
