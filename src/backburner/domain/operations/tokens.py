"""Tokens that we give out ourselves: read tokens of a job, and tickets of a stream."""

from __future__ import annotations

from dataclasses import dataclass

from ..identity import Token, TokenKind
from .base import Operation, Query


@dataclass(frozen=True, slots=True)
class IssueToken(Operation[Token]):
    """``digest`` stands for the secret, ``lifetime`` is in seconds, ``job`` what alone it shows.

    Raises `JobNotFound` where the job is not the owner's.
    """

    digest: str
    kind: TokenKind
    owner: str
    job: str | None
    lifetime: float
    until: int | None = None


@dataclass(frozen=True, slots=True)
class TakeTicket(Operation["Token | None"]):
    """Use a ticket up: only the first who asks is answered, and only in time."""

    digest: str


@dataclass(frozen=True, slots=True)
class FindToken(Query["Token | None"]):
    """A read token that has not expired."""

    digest: str


@dataclass(frozen=True, slots=True)
class RevokeTokens(Operation[int]):
    """The read tokens of a job; says how many. Raises `JobNotFound` where the job is not the owner's."""

    job: str
    owner: str


@dataclass(frozen=True, slots=True)
class PruneTokens(Operation[bool]):
    """Forget some that have expired; says whether there may be more."""
