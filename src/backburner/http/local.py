"""Without authentication there is one user, at this machine: nobody else is served, and no page of another site."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from .problems import Refused

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


def refuse_foreign(request: HTTPConnection) -> None:
    _refuse_strangers(request)
    _refuse_forwarded(request)
    _refuse_foreign_host(request)
    refuse_foreign_pages(request, ())


def _refuse_strangers(request: HTTPConnection) -> None:
    if request.client is None or not is_loopback(request.client.host):
        where = request.client.host if request.client is not None else "an unknown address"
        raise _forbidden(
            f"This request comes from {where}. Without authentication (BACKBURNER_AUTH=off) only this machine is "
            "served: call http://127.0.0.1 from here."
        )


def _refuse_forwarded(request: HTTPConnection) -> None:
    for name in request.headers:
        if name in ("forwarded", "x-real-ip") or name.startswith("x-forwarded-"):
            raise _forbidden(
                f"The header {name} says that a proxy stands between. Without authentication (BACKBURNER_AUTH=off) "
                "everyone behind it would be the same user: call http://127.0.0.1 directly."
            )


def _refuse_foreign_host(request: HTTPConnection) -> None:
    host = request.headers.get("host", "")
    if not is_local_name(host):
        raise _forbidden(
            f"The Host {host!r} is not this machine's own name. Without authentication (BACKBURNER_AUTH=off) call "
            "http://127.0.0.1 or http://localhost."
        )


def refuse_foreign_pages(request: HTTPConnection, allowed: Collection[str]) -> None:
    """A browser sends what it keeps for this site (a cookie, or being at this machine) with the requests of other
    sites' pages too; those of ``allowed`` origins may change something here."""
    origin = request.headers.get("origin")
    if request.scope.get("method") in SAFE or origin is None or origin.lower() in allowed:
        return
    if _place(origin) != request.headers.get("host", "").lower():
        raise _forbidden(f"A page of {origin} may not change anything here: send the request from a page of this site.")


def _place(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def is_local_name(host: str) -> bool:
    """Whether a ``Host`` header names this machine by a name that no other site can take (RFC 6761, 6.3)."""
    name, bracket, port = host.lower().rpartition("]") if host.startswith("[") else ("", "", host.lower())
    if bracket:
        name, port = f"{name}]", port.removeprefix(":")
    else:
        name, _, port = port.partition(":")
    return (name in NAMES or name.endswith(".localhost")) and (not port or port.isdecimal())


def _forbidden(detail: str) -> Refused:
    return Refused(403, "forbidden", "This request is not served", detail)
