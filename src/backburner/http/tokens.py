"""Tokens that we give out: tickets for those who can send nothing but an address, and read tokens of single jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from ..delivery.sse import timestamp
from ..domain.identity import READ_TOKEN, TICKET, Identity, Token, TokenKind, digest, new_secret
from ..domain.operations import IssueToken, RevokeTokens
from .body import body_of, parse, parse_json
from .callers import callers, no_job, owner
from .problems import ProblemRoute, described
from .schemas import Exact

if TYPE_CHECKING:
    from ..app import Backburner

TICKET_LASTS = 60.0
"""Seconds from asking for a ticket to opening the stream."""
DAY = 86_400.0
LONGEST = 30 * DAY


async def holder(request: Request) -> Identity:
    """Whoever may look at something may open a stream of it."""
    return await callers(request).identity(request)


Holder = Annotated[Identity, Depends(holder)]
Owner = Annotated[str, Depends(owner)]


class TicketIn(Exact):
    """``job``: the only job that the stream may be of."""

    job: str | None = None


class TicketOut(Exact):
    """``ticket`` goes behind the address of a stream as ``?ticket=…``, once, before ``expires_at``."""

    ticket: str
    expires_at: str


class ReadTokenIn(Exact):
    """``lifetime`` is in seconds, a day unless said otherwise, thirty days at most."""

    lifetime: Annotated[float, Field(gt=0, le=LONGEST, allow_inf_nan=False)] = DAY


class ReadTokenOut(Exact):
    """``token`` goes into ``Authorization: Bearer …``; it is shown here and never again."""

    token: str
    job: str
    expires_at: str


class RevokedOut(Exact):
    revoked: int


def token_routes(bb: Backburner) -> APIRouter:
    router = APIRouter(route_class=ProblemRoute, tags=["tokens"])

    @router.post(
        "/tickets",
        status_code=201,
        response_model=TicketOut,
        responses=described(400, 404, 413),
        openapi_extra=body_of(TicketIn, required=False),
    )
    async def make_ticket(request: Request, holder: Holder) -> Response:
        """A ticket that opens one stream within a minute, for `EventSource` and `WebSocket`, which send no headers. The
        stream ends when the identity that asked for the ticket does."""
        wanted = parse(TicketIn, parse_json(await request.body() or b"{}"), "the ticket")
        if wanted.job is not None and holder.job not in (None, wanted.job):
            raise no_job(wanted.job)
        secret = new_secret(TICKET)
        until = None if holder.expires_at is None else int(holder.expires_at * 1e6)
        job = wanted.job or holder.job
        made = await bb.store.write(
            IssueToken(digest(secret), TokenKind.TICKET, holder.owner, job, TICKET_LASTS, until)
        )
        return _given({"ticket": secret, "expires_at": timestamp(made.expires_at)})

    @router.post(
        "/jobs/{id}/tokens",
        status_code=201,
        response_model=ReadTokenOut,
        responses=described(400, 413),
        openapi_extra=body_of(ReadTokenIn, required=False),
    )
    async def make_read_token(request: Request, owner: Owner, id: str) -> Response:
        """A token that shows this job to whoever holds it: the job, its events, its result, and nothing else."""
        wanted = parse(ReadTokenIn, parse_json(await request.body() or b"{}"), "the token")
        secret = new_secret(READ_TOKEN)
        made: Token = await bb.store.write(IssueToken(digest(secret), TokenKind.READ, owner, id, wanted.lifetime))
        return _given({"token": secret, "job": id, "expires_at": timestamp(made.expires_at)})

    @router.delete("/jobs/{id}/tokens", response_model=RevokedOut)
    async def revoke_read_tokens(owner: Owner, id: str) -> Response:
        """Revoke all read tokens of the job. A stream that is open already ends when its token would have expired."""
        return JSONResponse({"revoked": await bb.store.write(RevokeTokens(id, owner))})

    return router


def _given(content: dict[str, str]) -> Response:
    """Nobody on the way keeps a secret."""
    return JSONResponse(content, 201, {"Cache-Control": "no-store"})
