"""Settings, from the environment (`BACKBURNER_…`) and the file `.env` of the working folder."""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from .domain.budgets import LlmBudget, Price
from .domain.errors import ConfigurationError
from .domain.retention import KEPT, Retention, parse_retention


class Settings(BaseSettings):
    """Times are in seconds."""

    model_config = SettingsConfigDict(env_prefix="BACKBURNER_", env_file=".env", extra="ignore")

    database_url: str = "sqlite:///backburner.db"
    """Where everything that must survive lives: ``sqlite:///file``."""
    auth: Literal["off", "jwt"] = "off"
    """``off``: one local user, from this machine only. ``jwt``: whoever a bearer token names. A Backburner that was
    given ``identify`` asks that instead."""
    jwt_secret: str = Field("", repr=False)
    """Of tokens signed by HS256, 32 bytes or more."""
    jwt_jwks_url: str = ""
    """Where the public keys of tokens signed by RS256 or ES256 are published (a JSON Web Key Set)."""
    jwt_issuer: str = ""
    """What the claim ``iss`` must be; not looked at where this is empty."""
    jwt_audience: str = ""
    """What the claim ``aud`` must hold; where this is empty, a token for any audience is refused."""
    jwt_leeway: float = Field(30.0, ge=0, le=300)
    """By how much clocks may differ."""
    operators: str = ""
    """Owners who may see and pause everybody's queues, separated by commas."""
    allowed_origins: str = ""
    """Origins of other sites whose pages may change something here, separated by commas: ``https://app.example``."""
    concurrency: int = Field(100, ge=1, le=10_000)
    """Jobs that one worker runs at once."""
    lease: float = Field(30.0, ge=1)
    """How long a worker that has gone silent keeps its jobs."""
    poll: float = Field(5.0, gt=0)
    """How often an idle worker looks although nobody rang."""
    grace: float = Field(10.0, ge=0)
    """How long a stopping worker lets its jobs run before it gives them back."""
    ageing: float = Field(600.0, ge=1)
    """How long a job waits until it may overtake the next higher priority, and again after as long."""
    retention: str = "completed=7d,failed=30d,cancelled=30d,notifications=90d"
    """How long ended jobs and notifications are kept; what is not named keeps its default, one duration is for all
    ended jobs. Durations: ``90s``, ``15m``, ``12h``, ``7d``, ``2w``, ``forever``."""
    embedded_worker: bool = True
    """Whether a web application runs a worker beside itself (`lifespan`)."""
    model: str = ""
    """The model that `run.llm` calls; the endpoint is `OPENAI_BASE_URL` with `OPENAI_API_KEY`."""
    openai_base_url: str | None = Field(None, validation_alias="OPENAI_BASE_URL")
    openai_api_key: str | None = Field(None, validation_alias="OPENAI_API_KEY", repr=False)
    llm_budgets: dict[str, LlmBudget] = {}
    """Budgets of model calls by model, as JSON: ``{"gpt-4.1-mini": {"requests_per_minute": 500}}``; ``*``: all models
    together."""
    llm_prices: dict[str, Price] = {}
    """What models cost, as JSON: ``{"gpt-4.1-mini": {"input_per_million": 0.4, "output_per_million": 1.6}}``."""

    @field_validator("retention")
    @classmethod
    def _understandable(cls, text: str) -> str:
        parse_retention(text)
        return text

    @field_validator("allowed_origins")
    @classmethod
    def _origins(cls, text: str) -> str:
        for origin in listed(text):
            parts = urlsplit(origin)
            if parts.scheme not in ("http", "https") or f"{parts.scheme}://{parts.netloc}" != origin.lower():
                raise ValueError(f"{origin!r} is no origin: write it as https://app.example, without a path")
        return text

    @property
    def kept(self) -> Retention:
        """``retention`` in seconds."""
        return {**KEPT, **parse_retention(self.retention)}


def listed(text: str) -> list[str]:
    """What is separated by commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def load_settings(**overrides: object) -> Settings:
    """Raises `ConfigurationError` naming each setting that makes no sense."""
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})  # type: ignore[arg-type]  # pydantic checks the values
    except ValidationError as error:
        raise ConfigurationError("; ".join(map(_in_words, error.errors()))) from None
    except SettingsError as error:
        raise ConfigurationError(f"a setting is not the JSON that it must be: {error}") from None


def _in_words(error: Any) -> str:
    name, *inside = map(str, error["loc"])
    return f"BACKBURNER_{name.upper()}: {'.'.join(inside) + ': ' if inside else ''}{error['msg']}"
