"""On whose behalf somebody asks, and what they may see."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from enum import StrEnum

READ_TOKEN = "bbr_"
TICKET = "bbt_"
"""What tokens of our own begin with: nobody takes one for a JWT, and scanners of source code can find them."""
SECRET_BYTES = 32
LONGEST_OWNER = 255


@dataclass(frozen=True, slots=True)
class Identity:
    """``owner``: whose jobs and inbox these are. ``expires_at``: when this ends, seconds since the epoch, None for
    never; an open stream ends then too. ``job``: the only job that may be looked at; nothing may be changed then.
    ``operator``: whether queues of everybody may be seen and paused."""

    owner: str
    expires_at: float | None = None
    job: str | None = None
    operator: bool = False


class TokenKind(StrEnum):
    READ = "read"
    """Shows one job, as often as it is used, until it expires or is revoked."""
    TICKET = "ticket"
    """Opens one stream, once: for those who can send nothing but an address."""


@dataclass(frozen=True, slots=True)
class Token:
    """What the store knows of a token that we gave out; times are microseconds since the epoch.

    ``until``: when the identity that asked for a ticket ends, and the stream with it.
    """

    kind: TokenKind
    owner: str
    job: str | None
    expires_at: int
    until: int | None = None


def new_secret(prefix: str) -> str:
    """256 bits from the system's generator, behind what says what it is."""
    return prefix + secrets.token_urlsafe(SECRET_BYTES)


def digest(secret: str) -> str:
    """What is kept of a token: whoever reads the database cannot use it. No salt: nobody guesses 256 bits."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
