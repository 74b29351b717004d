"""Tokens that we gave out. Only their digests are kept."""

from __future__ import annotations

from sqlalchemy import bindparam, delete, select

from ..domain.errors import JobNotFound
from ..domain.identity import Token, TokenKind
from ..domain.operations import FindToken, IssueToken, PruneTokens, RevokeTokens, TakeTicket
from . import tables
from .batch import Batch, insert_all
from .connection import Connection, Row, Statement

tokens, jobs = tables.tokens, tables.jobs

AT_ONCE = 500


def issue(batch: Batch, operation: IssueToken) -> Token:
    if operation.job is not None:
        _hold_job(batch, operation.job, operation.owner)
    expires_at = batch.now + int(operation.lifetime * 1e6)
    batch.connection.run(
        INSERT,
        digest=operation.digest,
        kind=operation.kind.value,
        owner=operation.owner,
        job_id=operation.job,
        expires_at=expires_at,
        until=operation.until,
    )
    return Token(operation.kind, operation.owner, operation.job, expires_at, operation.until)


def take_ticket(batch: Batch, operation: TakeTicket) -> Token | None:
    row = batch.connection.one(HOLD, digest=operation.digest, kind=TokenKind.TICKET.value)
    if row is None:
        return None
    batch.connection.run(FORGET, digest=operation.digest)
    token = _token(row)
    return token if token.expires_at > batch.now else None


def find_token(connection: Connection, query: FindToken) -> Token | None:
    row = connection.one(READ, digest=query.digest, kind=TokenKind.READ.value)
    token = None if row is None else _token(row)
    return token if token is not None and token.expires_at > connection.now() else None


def revoke(batch: Batch, operation: RevokeTokens) -> int:
    _hold_job(batch, operation.job, operation.owner)
    return batch.connection.run(REVOKE, job=operation.job, kind=TokenKind.READ.value)


def prune_tokens(batch: Batch, operation: PruneTokens) -> bool:
    old = [digest for (digest,) in batch.connection.all(EXPIRED, now=batch.now, count=AT_ONCE)]
    batch.connection.many(FORGET, [{"digest": digest} for digest in old])
    return len(old) == AT_ONCE


def _hold_job(batch: Batch, job: str, owner: str) -> None:
    """Its row is held, so that it is not erased before its token is written, which would stay."""
    if batch.connection.one(HOLD_JOB, job=job, owner=owner) is None:
        raise JobNotFound(f"there is no job {job}")


def _token(row: Row) -> Token:
    kind, owner, job, expires_at, until = row
    return Token(TokenKind(kind), owner, job, expires_at, until)


_found = select(tokens.c.kind, tokens.c.owner, tokens.c.job_id, tokens.c.expires_at, tokens.c.until).where(
    tokens.c.digest == bindparam("digest"), tokens.c.kind == bindparam("kind")
)
READ = Statement(_found)
HOLD = Statement(_found.with_for_update())
FORGET = Statement(delete(tokens).where(tokens.c.digest == bindparam("digest")))
INSERT = Statement(insert_all(tokens, "digest", "kind", "owner", "job_id", "expires_at", "until"))
REVOKE = Statement(delete(tokens).where(tokens.c.job_id == bindparam("job"), tokens.c.kind == bindparam("kind")))
EXPIRED = Statement(
    select(tokens.c.digest)
    .where(tokens.c.expires_at <= bindparam("now"))
    .order_by(tokens.c.expires_at)
    .limit(bindparam("count"))
)
HOLD_JOB = Statement(
    select(jobs.c.id).where(jobs.c.id == bindparam("job"), jobs.c.owner == bindparam("owner")).with_for_update()
)
