"""Who is asking? The one seam that every route goes through."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from fastapi import Request

from .problems import Refused

LOCAL = "local"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


def identify(request: Request) -> str:
    """The owner on whose behalf a request comes. Raises a 403 problem.

    With `BACKBURNER_AUTH=off` that is one local user. Whoever reaches this process through a proxy, from another
    machine, or from a web page of another site (by its own name for this address, or by a form) is refused.
    """
    _refuse_foreign(request)
    return LOCAL


async def owner(request: Request) -> str:
    """`identify` as a dependency."""
    return identify(request)


async def anyone(request: Request) -> None:
    """For routes whose address is a secret of its own: whoever knows it may ask, as far as anybody may."""
    _refuse_foreign(request)


def _refuse_foreign(request: Request) -> None:
    _refuse_strangers(request)
    _refuse_forwarded(request)
    _refuse_foreign_host(request)
    _refuse_foreign_pages(request)


def _refuse_strangers(request: Request) -> None:
    if request.client is None or not is_loopback(request.client.host):
        where = request.client.host if request.client is not None else "an unknown address"
        raise _forbidden(
            f"This request comes from {where}. Without authentication (BACKBURNER_AUTH=off) only this machine is "
            "served: call http://127.0.0.1 from here."
        )


def _refuse_forwarded(request: Request) -> None:
    for name in request.headers:
        if name in ("forwarded", "x-real-ip") or name.startswith("x-forwarded-"):
            raise _forbidden(
                f"The header {name} says that a proxy stands between. Without authentication (BACKBURNER_AUTH=off) "
                "everyone behind it would be the same user: call http://127.0.0.1 directly."
            )


def _refuse_foreign_host(request: Request) -> None:
    host = request.headers.get("host", "")
    if not is_local_name(host):
        raise _forbidden(
            f"The Host {host!r} is not this machine's own name. Without authentication (BACKBURNER_AUTH=off) call "
            "http://127.0.0.1 or http://localhost."
        )


def _refuse_foreign_pages(request: Request) -> None:
    origin = request.headers.get("origin")
    if request.method in SAFE or origin is None:
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
