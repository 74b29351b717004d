from __future__ import annotations

import pytest

from backburner.domain.budgets import LlmBudget, LlmRules, Price, estimate_tokens
from backburner.domain.errors import ConfigurationError
from backburner.domain.operations import Remaining
from backburner.llm.rates import parse_span, remaining_in
from backburner.settings import load_settings


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1s", 1.0), ("20ms", 0.02), ("6m0s", 60.0), ("1m2.5s", 60.0), ("59.5s", 59.5), ("12", 12.0), ("0s", 0.0)],
)
def test_the_times_of_rate_limit_headers(text: str, seconds: float) -> None:
    assert seconds == parse_span(text)


@pytest.mark.parametrize("text", [None, "", "soon", "1s later", "-", "nan", "inf", "1s!"])
def test_a_time_that_makes_no_sense_is_none(text: str | None) -> None:
    assert parse_span(text) is None


def test_what_remains_is_read_from_the_headers() -> None:
    headers = {
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "6ms",
    }
    assert Remaining(59, 0, None, 0.006) == remaining_in(headers)
    assert remaining_in({"x-ratelimit-remaining-requests": "-1", "x-ratelimit-remaining-tokens": "many"}) is None
    assert remaining_in({}) is None


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 0), ("a", 1), ("four" * 10, 10), ("雪落无声", 4), ("雪 is snow", 3), ("café", 1)]
)
def test_tokens_are_estimated_by_their_characters(text: str, tokens: int) -> None:
    assert tokens == estimate_tokens(text)


def test_budgets_and_prices_come_from_settings_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKBURNER_LLM_BUDGETS", '{"m": {"requests_per_minute": 5}, "*": {"owner_cost_per_day": 2}}')
    monkeypatch.setenv("BACKBURNER_LLM_PRICES", '{"m": {"input_per_million": 0.4, "output_per_million": 1.6}}')
    settings = load_settings()
    assert {"m": LlmBudget(requests_per_minute=5), "*": LlmBudget(owner_cost_per_day=2)} == settings.llm_budgets
    rules = LlmRules(settings.llm_budgets, settings.llm_prices)
    assert (400_000 + 1_600_000, None) == (rules.cost("m", 1000, 1000), rules.cost("n", 1, 1))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ('{"m": {"request_per_minute": 5}}', "BACKBURNER_LLM_BUDGETS: m.request_per_minute"),
        ('{"m": {"requests_per_minute": -5}}', "requests_per_minute=-5"),
        ('{"m": {"requests_per_minute": "x"}}', "BACKBURNER_LLM_BUDGETS: m.requests_per_minute"),
        ("{", "llm_budgets"),
    ],
)
def test_settings_that_make_no_sense_are_named(monkeypatch: pytest.MonkeyPatch, value: str, said: str) -> None:
    monkeypatch.setenv("BACKBURNER_LLM_BUDGETS", value)
    with pytest.raises(ConfigurationError, match=said):
        load_settings()


def test_a_price_below_nothing_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="price"):
        Price(-1, 0)


def test_owners_limits_are_for_jobs_that_have_one() -> None:
    rules = LlmRules({"*": LlmBudget(requests_per_minute=1, owner_requests_per_minute=1, owner_tokens_per_day=5)})
    assert (2, 1) == (len(rules.buckets("m", "ann")), len(rules.days("m", "ann")))
    assert (1, 0) == (len(rules.buckets("m", None)), len(rules.days("m", None)))
