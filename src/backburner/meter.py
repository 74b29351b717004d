"""What stands between a run's model calls and the budgets that all workers share."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from .domain.budgets import ANY, MONEY, LlmRules
from .domain.errors import BudgetExceeded
from .domain.operations import (
    FreeBudgets,
    Operation,
    Parked,
    PauseModel,
    Remaining,
    Reservation,
    ReserveBudget,
    SettleBudget,
    Spent,
)

if TYPE_CHECKING:
    from .run import Run

log = logging.getLogger("backburner.llm")

LOOK_FOR_DEAD = 10.0
"""Seconds between two looks for reservations that nobody will settle."""
LOOK_AGAIN = 1.0
"""Seconds between two looks of a call that waits in place: those before it may take less than was reserved."""
LONGEST_IN_PLACE = 5.0
"""Seconds that a call waits without giving up its job's slot."""
SURE_FOR = 60.0
"""Seconds ahead for which a place in line is taken at its word."""


class RunMeter:
    """See `backburner.ports.Meter`; for the calls of one run."""

    def __init__(self, run: Run, rules: LlmRules, sweeps: Sweeps) -> None:
        self._run = run
        self._rules = rules
        self._sweeps = sweeps
        self._writes: set[asyncio.Future[Any]] = set()

    def cost(self, model: str, input_tokens: int, output_tokens: int) -> int | None:
        return self._rules.cost(model, input_tokens, output_tokens)

    async def reserve(self, model: str, input_tokens: int, output_tokens: int, stay: bool) -> None:
        if not self._rules.meters(model):
            return
        wanted = ReserveBudget(
            self._run.execution,
            self._run.step_key,
            model,
            self._run.owner or "",
            input_tokens + output_tokens,
            self._rules.cost(model, input_tokens, output_tokens) or 0,
            self._rules.buckets(model, self._run.owner),
            self._rules.days(model, self._run.owner),
        )
        while (answer := await self._ask(wanted)).wait > 0:
            await self._wait(_patience(answer.wait), stay)

    def settle(self, model: str, input_tokens: int, output_tokens: int, remaining: Remaining | None) -> None:
        if self._rules.meters(model):
            cost = self._rules.cost(model, input_tokens, output_tokens) or 0
            execution, step = self._run.execution, self._run.step_key
            self._send(SettleBudget(execution, step, input_tokens + output_tokens, cost, remaining))

    def pause(self, model: str, seconds: float) -> bool:
        if not self._rules.meters(model):
            return False
        self._send(PauseModel(model, seconds))
        return True

    async def turned_away(self) -> int:
        return await self._run.count(f"turned away {self._run.step_key}")

    async def _wait(self, seconds: float, stay: bool) -> None:
        """The attempt's clock stands still meanwhile; a long wait gives the job's slot to another one."""
        with self._run.deadline.stopped():
            if stay:
                await asyncio.sleep(min(seconds, LOOK_AGAIN))
            elif seconds > LONGEST_IN_PLACE:
                await self._run.waiting.until(asyncio.sleep(seconds), Parked("budget", seconds), 0.0)
            else:
                look = min(seconds, LOOK_AGAIN)
                await self._run.waiting.until(asyncio.sleep(look), Parked("budget", seconds), 2 * LONGEST_IN_PLACE)

    async def _ask(self, wanted: ReserveBudget) -> Reservation:
        answer = await self._run.write(wanted)
        if answer.spent is not None or (answer.wait > 0 and self._sweeps.due()):
            while await self._run.write(FreeBudgets()):
                answer = await self._run.write(wanted)
        if answer.spent is not None:
            raise BudgetExceeded(refusal(answer.spent))
        return answer

    def _send(self, operation: Operation[None]) -> None:
        """Nobody waits for it: it stands in line before whatever this run writes next."""
        future = self._run.send(operation)
        self._writes.add(future)
        future.add_done_callback(self._sent)

    def _sent(self, future: asyncio.Future[Any]) -> None:
        self._writes.discard(future)
        if not future.cancelled() and (error := future.exception()) is not None:
            log.warning("a budget could not be settled: %s", error)


class Sweeps:
    """When this process looks again for what was reserved by executions that are over."""

    def __init__(self) -> None:
        self._last = -LOOK_FOR_DEAD

    def due(self) -> bool:
        now = time.monotonic()
        if now - self._last < LOOK_FOR_DEAD:
            return False
        self._last = now
        return True


def refusal(spent: Spent) -> str:
    """Says what the budget is, how much of it is used, and when it begins again."""
    budget = spent.budget
    what = "all models together" if budget.model == ANY else f"the model {budget.model}"
    limit, used, needed = (_amount(each, budget.kind) for each in (budget.limit, spent.used, spent.needed))
    resets = datetime.fromtimestamp(spent.resets_at / 1e6, UTC).strftime("%Y-%m-%d %H:%M UTC")
    field = "owner_tokens_per_day" if budget.kind == "tokens" else "owner_cost_per_day"
    said = (
        f"the budget of {budget.owner} for {what} is {limit} a day; {used} are used and this call may take {needed}. "
    )
    if spent.needed > budget.limit:
        return f"{said}It never fits: shorten the prompt, give a smaller max_tokens, or raise {field}"
    hours, minutes = divmod((spent.resets_at - spent.now) // 60_000_000, 60)
    return f"{said}It begins again at {resets}, in {hours} h {minutes} min: retry the job then, or raise {field}"


def _amount(value: int, kind: str) -> str:
    return f"{value} tokens" if kind == "tokens" else f"{value / MONEY:.6g} in cost"


def _patience(wait: float) -> float:
    """A line moves faster than was estimated when calls take less than was reserved: look again half-way.

    Those who were told the same second should not all come back in it.
    """
    sooner = wait if wait <= SURE_FOR else max(SURE_FOR, wait / 2)
    return sooner + random.uniform(0.0, min(0.25 * sooner, 1.0))
