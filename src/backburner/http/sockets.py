"""The same events over WebSocket (RFC 6455): each a message of JSON, ``{"id": cursor, "event": kind, "data": {…}}``."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from starlette.requests import HTTPConnection
from starlette.types import Message
from starlette.websockets import WebSocket

from ..domain.errors import StoreUnavailable
from ..domain.identity import Identity
from .callers import FOUND, PLACE, callers, of_everything, of_job
from .following import Following
from .problems import Refused, problem_of
from .streaming import EventStream

if TYPE_CHECKING:
    from ..app import Backburner

NORMAL = 1000
TRY_AGAIN = 1013
"""The server ends, or the client was too slow: nothing is lost, it comes back behind its last cursor."""
REFUSED = 4401
"""Close codes of an application's own begin at 4000: the token that was sent is no good."""
SEPARATOR = b"\n\n"


def socket_endpoint(bb: Backburner, heartbeat: float) -> Callable[[WebSocket], Awaitable[None]]:
    following = Following(bb, heartbeat)

    async def follow(socket: WebSocket) -> None:
        """``?job=`` follows one job, else everything of the caller; ``?after=`` resumes behind a cursor, ``?ticket=``
        says who is asking where no header can. ``{"token": …}`` from the client renews a token that expires."""
        socket.scope[PLACE] = bb.callers
        try:
            who = await _who(socket)
            stream = await _open(following, socket, who)
        except Exception as error:
            await socket.send_denial_response(problem_of(error, socket))
            return
        await socket.accept()
        if stream is None:  # the client knows all of it
            await socket.close(NORMAL)
            return
        carrier = Carrier(socket, stream, who)
        await stream(socket.scope, carrier.receive, carrier.send)

    return follow


async def _who(socket: WebSocket) -> Identity:
    found, ticket, job = callers(socket), socket.query_params.get("ticket"), socket.query_params.get("job")
    who = await (found.identity(socket) if ticket is None else found.by_ticket(socket, ticket))
    return of_everything(who) if job is None else of_job(who, job)


async def _open(following: Following, socket: WebSocket, who: Identity) -> EventStream | None:
    job, cursor = socket.query_params.get("job"), socket.query_params.get("after")
    if job is None:
        return await following.owner(socket, who, cursor)
    return await following.job(socket, who, job, cursor)


class Carrier:
    """Stands between a stream, which speaks as an HTTP response does, and its WebSocket."""

    def __init__(self, socket: WebSocket, stream: EventStream, who: Identity) -> None:
        self._socket = socket
        self._stream = stream
        self._who = who
        self._rest = b""
        self._closed = False

    async def send(self, message: Message) -> None:
        if message["type"] != "http.response.body" or self._closed:
            return
        *events, self._rest = (self._rest + message["body"]).split(SEPARATOR)
        for event in events:
            if text := as_message(event):
                await self._socket.send_text(text)
        if not message.get("more_body", False):
            await self._close(NORMAL if self._stream.over else TRY_AGAIN)

    async def receive(self) -> Message:
        """Answers when the client has gone; what it says until then is a new token."""
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                self._closed = True
                return {"type": "http.disconnect"}
            try:
                renewed = await self._renewed(message.get("text") or "")
            except StoreUnavailable:  # nobody can say just now whether it is good
                await self._close(TRY_AGAIN)
                return {"type": "http.disconnect"}
            if not renewed:
                await self._close(REFUSED)
                return {"type": "http.disconnect"}

    async def _renewed(self, text: str) -> bool:
        """Whether the message holds a token of the same owner; then the stream lasts as long as that."""
        try:
            token = json.loads(text)["token"]
            scope: dict[str, Any] = {**self._socket.scope, "headers": _with_token(self._socket, token)}
            scope.pop(FOUND, None)
            who = await callers(self._socket).identity(HTTPConnection(scope))
        except (Refused, ValueError, TypeError, KeyError):
            return False
        if (who.owner, who.job) != (self._who.owner, self._who.job):
            return False
        self._stream.lasts_until(who.expires_at)
        return True

    async def _close(self, code: int) -> None:
        if not self._closed:
            self._closed = True
            await self._socket.close(code)


def _with_token(socket: WebSocket, token: str) -> list[tuple[bytes, bytes]]:
    others = [(name, value) for name, value in socket.scope["headers"] if name != b"authorization"]
    return [*others, (b"authorization", f"Bearer {token}".encode("latin-1"))]


def as_message(event: bytes) -> str:
    """The lines of a server-sent event, as one JSON text; empty for what only concerns `EventSource`."""
    fields: dict[str, str] = {}
    for line in event.decode().split("\n"):
        name, _, value = line.partition(": ")
        fields[name] = value
    if "event" not in fields:
        return ""
    id = f'"id":{json.dumps(fields["id"])},' if "id" in fields else ""
    return f'{{{id}"event":{json.dumps(fields["event"])},"data":{fields["data"]}}}'
