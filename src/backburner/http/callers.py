"""Who is asking, and what may they see? The one place where that is decided, for every route."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection

from ..domain.errors import ConfigurationError, JobNotFound
from ..domain.identity import READ_TOKEN, TICKET, Identity, Token, digest
from ..domain.job import JobRecord
from ..domain.operations import FindToken, GetJob, TakeTicket
from ..settings import listed
from .local import refuse_foreign, refuse_foreign_pages
from .problems import Refused

if TYPE_CHECKING:
    from ..app import Backburner
    from .jwt import Jwt

LOCAL = Identity("local", operator=True)
PLACE = "backburner.callers"
"""In a request's scope: the callers of the application that it is for."""
FOUND = "backburner.identity"

Answer = Identity | str | None
Identify = Callable[[Any], Answer | Awaitable[Answer]]
"""``identify(request)``: an `Identity`, or the owner's name, or None for nobody."""


class Callers:
    """Finds out on whose behalf a request comes.

    A read token of ours is tried first, then what the application gave as ``identify``, else what `BACKBURNER_AUTH`
    says. Where that is ``off``, everybody has to be at this machine, whatever else they show.
    """

    def __init__(self, bb: Backburner, identify: Identify | None) -> None:
        self._bb = bb
        self._identify = identify
        self._jwt = make_jwt(bb) if identify is None and bb.settings.auth == "jwt" else None
        self._origins = frozenset(origin.lower() for origin in listed(bb.settings.allowed_origins))
        self._operators = frozenset(listed(bb.settings.operators))
        self._waits = identify is not None and is_async(identify)
        self._blocks = identify is not None or (self._jwt is not None and self._jwt.fetches)

    def admit(self, request: HTTPConnection) -> None:
        """What nobody may do, whoever they are. Raises a 403 problem."""
        if self._identify is None and self._jwt is None:
            refuse_foreign(request)
        elif self._jwt is None:  # a browser may send the application's cookies with anybody's page
            refuse_foreign_pages(request, self._origins)

    async def identity(self, request: HTTPConnection) -> Identity:
        """Raises a 401 or 403 problem."""
        found: Identity | None = request.scope.get(FOUND)
        if found is not None:
            return found
        self.admit(request)
        secret = bearer(request)
        if secret is not None and secret.startswith(READ_TOKEN):
            found = _shown_by(await self._bb.store.read(FindToken(digest(secret))))
        elif self._waits:
            found = self._known(await self._given(request))
        elif self._blocks:
            found = await run_in_threadpool(self._ask, request, secret)
        else:
            found = self._ask(request, secret)
        request.scope[FOUND] = found
        return found

    def identity_sync(self, request: HTTPConnection) -> Identity:
        """The same from a thread without an event loop."""
        found: Identity | None = request.scope.get(FOUND)
        if found is not None:
            return found
        self.admit(request)
        secret = bearer(request)
        if secret is not None and secret.startswith(READ_TOKEN):
            found = _shown_by(self._bb.store.read_sync(FindToken(digest(secret))))
        elif self._waits:
            found = self._known(run_here(self._given(request)))
        else:
            found = self._ask(request, secret)
        request.scope[FOUND] = found
        return found

    async def caller(self, request: HTTPConnection) -> Identity:
        """Who may do everything with what is theirs. The holder of a read token may not: a 403 problem."""
        return of_everything(await self.identity(request))

    def caller_sync(self, request: HTTPConnection) -> Identity:
        return of_everything(self.identity_sync(request))

    async def _given(self, request: HTTPConnection) -> Answer:
        assert self._identify is not None
        answer = self._identify(request)
        return await answer if inspect.isawaitable(answer) else answer

    def _ask(self, request: HTTPConnection, secret: str | None) -> Identity:
        if self._jwt is not None:
            return self._by_jwt(self._jwt, secret)
        if self._identify is None:
            return LOCAL
        answer = self._identify(request)
        return self._known(run_here(answer) if inspect.isawaitable(answer) else answer)

    async def by_ticket(self, request: HTTPConnection, secret: str) -> Identity:
        """Uses it up. Raises a 401 problem."""
        self.admit(request)
        token = await self._bb.store.write(TakeTicket(digest(secret))) if secret.startswith(TICKET) else None
        if token is None:
            raise unauthorized(
                "This ticket is not valid: it serves once and for a minute. Ask POST /backburner/tickets for another.",
                known=True,
            )
        return Identity(token.owner, None if token.until is None else token.until / 1e6, token.job)

    def _by_jwt(self, checks: Jwt, secret: str | None) -> Identity:
        from .jwt import InvalidToken

        if secret is None:
            raise unauthorized("Send a token: Authorization: Bearer …")
        try:
            return self._ranked(checks.identify(secret))
        except InvalidToken as error:
            raise unauthorized(str(error), known=True) from None

    def _known(self, answer: Answer) -> Identity:
        """What an application's own ``identify`` has found."""
        if answer is None or answer == "":
            raise unauthorized("This request names nobody who is known here: sign in first.")
        return self._ranked(Identity(answer) if isinstance(answer, str) else answer)

    def _ranked(self, found: Identity) -> Identity:
        if found.owner not in self._operators or found.job is not None:
            return found
        return Identity(found.owner, found.expires_at, None, operator=True)


def make_jwt(bb: Backburner) -> Jwt:
    from .jwt import Jwt

    return Jwt(bb.settings)


def callers(request: HTTPConnection) -> Callers:
    found: Callers = request.scope[PLACE]
    return found


async def caller(request: Request) -> Identity:
    return await callers(request).caller(request)


async def owner(request: Request) -> str:
    return (await caller(request)).owner


async def operator(request: Request) -> str:
    """Who may see and stop what belongs to everybody."""
    found = await caller(request)
    if not found.operator:
        raise Refused(
            403,
            "forbidden",
            "This is for operators",
            "Queues are everybody's: only owners that BACKBURNER_OPERATORS names may see and pause them.",
        )
    return found.owner


async def reader(request: Request, id: str) -> Identity:
    """Who may look at job ``id``, as far as that can be said without looking."""
    return of_job(await callers(request).identity(request), id)


async def follower(request: Request, id: str, ticket: str | None = None) -> Identity:
    """The same for its events, which may be asked for with a ticket."""
    return of_job(await _streaming(request, ticket), id)


async def listener(request: Request, ticket: str | None = None) -> Identity:
    """Who may follow everything of an owner."""
    return of_everything(await _streaming(request, ticket))


async def anyone(request: Request) -> None:
    """For routes whose address is a secret of its own: whoever knows it may ask, as far as anybody may."""
    callers(request).admit(request)


async def find_job(bb: Backburner, id: str, owner: str) -> JobRecord:
    """Raises `JobNotFound`, also for somebody else's."""
    record = await bb.store.read(GetJob(id, owner))
    if record is None:
        raise no_job(id)
    return record


def no_job(id: str) -> JobNotFound:
    return JobNotFound(f"there is no job {id}")


async def _streaming(request: Request, ticket: str | None) -> Identity:
    found = callers(request)
    return await (found.identity(request) if ticket is None else found.by_ticket(request, ticket))


def of_everything(found: Identity) -> Identity:
    if found.job is not None:
        raise Refused(403, "forbidden", "This token only shows a job", f"This token shows job {found.job}, no more.")
    return found


def of_job(found: Identity, id: str) -> Identity:
    if found.job not in (None, id):
        raise no_job(id)
    return found


def bearer(request: HTTPConnection) -> str | None:
    """The token of ``Authorization: Bearer …`` (RFC 6750, 2.1)."""
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    return secret.strip() or None if scheme.lower() == "bearer" else None


def unauthorized(detail: str, *, known: bool = False) -> Refused:
    """``known``: something was shown, and it is not good enough (RFC 6750, 3.1)."""
    challenge = 'Bearer realm="backburner"' + (', error="invalid_token"' if known else "")
    return Refused(401, "unauthorized", "Nobody is signed in", detail, {"WWW-Authenticate": challenge})


def is_async(function: Callable[..., Any]) -> bool:
    """Also of an object that is called."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def run_here(answer: Awaitable[Answer]) -> Answer:
    """On a loop of this thread's own. Raises `ConfigurationError` where one runs already."""

    async def wait() -> Answer:
        return await answer

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(wait())
    raise ConfigurationError("identify is async: use `await bb.identify(request)` here instead of bb.owner_of(request)")


def _shown_by(token: Token | None) -> Identity:
    if token is None:
        raise unauthorized("This read token has expired or was revoked.", known=True)
    return Identity(token.owner, token.expires_at / 1e6, token.job)
