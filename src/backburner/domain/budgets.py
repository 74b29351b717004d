"""What model calls may take: budgets and prices by model, and what a call is expected to take."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import ClassVar, Literal

from .errors import ConfigurationError

ANY = "*"
"""Stands for all models together."""
EVERYBODY = ""
"""Stands for all owners together."""
MONEY = 1_000_000_000
"""Costs are kept as whole billionths of the currency of the prices: a token may cost less than a millionth."""
DEFAULT_OUTPUT = 1000
"""Tokens that an answer without ``max_tokens`` is expected to have."""
CHARACTERS_A_TOKEN = 4
FIRST_WIDE = 0x2E80
"""From here on lie the scripts of East Asia, where about every character is a token."""

REFUSING_OTHERS = {"extra": "forbid"}
"""For the settings: a misspelt name in their JSON must not pass for no limit."""


@dataclass(frozen=True, slots=True)
class LlmBudget:
    """How much model calls may take, on all workers together; None is no limit.

    A limit a minute is a bucket that holds one minute's worth: after a rest that much may go out at once, then as much
    as flows in. Those of an owner hold for each owner, and not for jobs that have none. Days are those of UTC. Costs
    are in the currency of the prices.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    owner_requests_per_minute: int | None = None
    owner_tokens_per_minute: int | None = None
    owner_tokens_per_day: int | None = None
    owner_cost_per_day: float | None = None

    __pydantic_config__: ClassVar[Mapping[str, str]] = REFUSING_OTHERS

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            whole = field.name != "owner_cost_per_day"
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
                raise ConfigurationError(f"{field.name}={value!r} is no {'whole ' if whole else ''}number")
            if not 0 < value < 1e12:
                raise ConfigurationError(f"{field.name}={value!r}: a budget is more than 0 and below 10^12")


@dataclass(frozen=True, slots=True)
class Price:
    """What a model costs for a million tokens each way."""

    input_per_million: float
    output_per_million: float

    __pydantic_config__: ClassVar[Mapping[str, str]] = REFUSING_OTHERS

    def __post_init__(self) -> None:
        for value in (self.input_per_million, self.output_per_million):
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e6:
                raise ConfigurationError(f"{value!r} is no price for a million tokens: give a number of 0 or more")

    def of(self, input_tokens: int, output_tokens: int) -> int:
        """In billionths."""
        return round((input_tokens * self.input_per_million + output_tokens * self.output_per_million) * MONEY / 1e6)


@dataclass(frozen=True, slots=True)
class Bucket:
    """What one of the limits a minute allows."""

    model: str
    owner: str
    kind: Literal["requests", "tokens"]
    per_minute: int


@dataclass(frozen=True, slots=True)
class DayBudget:
    """What an owner may take in a day; ``limit`` in tokens, or in billionths of the currency."""

    model: str
    owner: str
    kind: Literal["tokens", "cost"]
    limit: int


class LlmRules:
    """The budgets and prices that an application has set, by model."""

    def __init__(
        self, budgets: Mapping[str, LlmBudget] | None = None, prices: Mapping[str, Price] | None = None
    ) -> None:
        self.budgets = dict(budgets or {})
        self.prices = dict(prices or {})
        for model in self.budgets:
            self._check(model)

    def __bool__(self) -> bool:
        return bool(self.budgets or self.prices)

    def limit(self, model: str, budget: LlmBudget) -> None:
        self.budgets[model] = budget
        self._check(model)

    def price(self, model: str, price: Price) -> None:
        self.prices[model] = price

    def meters(self, model: str) -> bool:
        """Whether calls to the model ask for leave at all."""
        return model in self.budgets or ANY in self.budgets

    def buckets(self, model: str, owner: str | None) -> tuple[Bucket, ...]:
        found = []
        for name in (model, ANY):
            budget = self.budgets.get(name, LlmBudget())
            ours: list[tuple[str, Literal["requests", "tokens"], int | None]] = [
                (EVERYBODY, "requests", budget.requests_per_minute),
                (EVERYBODY, "tokens", budget.tokens_per_minute),
            ]
            if owner:
                ours += [
                    (owner, "requests", budget.owner_requests_per_minute),
                    (owner, "tokens", budget.owner_tokens_per_minute),
                ]
            found += [Bucket(name, whose, kind, limit) for whose, kind, limit in ours if limit is not None]
        return tuple(found)

    def days(self, model: str, owner: str | None) -> tuple[DayBudget, ...]:
        found: list[DayBudget] = []
        for name in (model, ANY) if owner else ():
            assert owner
            budget = self.budgets.get(name, LlmBudget())
            if budget.owner_tokens_per_day is not None:
                found.append(DayBudget(name, owner, "tokens", budget.owner_tokens_per_day))
            if budget.owner_cost_per_day is not None:
                found.append(DayBudget(name, owner, "cost", round(budget.owner_cost_per_day * MONEY)))
        return tuple(found)

    def cost(self, model: str, input_tokens: int, output_tokens: int) -> int | None:
        """In billionths; None where the model has no price."""
        price = self.prices.get(model, self.prices.get(ANY))
        return None if price is None else price.of(input_tokens, output_tokens)

    def _check(self, model: str) -> None:
        if not model or len(model) > 255:
            raise ConfigurationError(
                f"{model[:40]!r} is no name of a model: 1 to 255 characters, or '*' for all together"
            )


def first_day(days: int) -> int:
    """The first of the last ``days`` days of UTC, today included; see `UsageRecord`."""
    return int(time.time() // 86400) - days + 1


def estimate_tokens(text: str) -> int:
    """About how many tokens a text has: a token for four characters, and for each one of an East Asian script.

    Made to be a little too high, so that a budget is not overdrawn; what a call really took replaces it.
    """
    wide = 0 if text.isascii() else sum(ord(character) >= FIRST_WIDE for character in text)
    return wide + math.ceil((len(text) - wide) / CHARACTERS_A_TOKEN)
