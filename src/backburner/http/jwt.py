"""Identities from JSON Web Tokens (RFC 7519), checked as RFC 8725 asks for: the algorithm is ours to choose."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import jwt
from jwt import PyJWK, PyJWKClient, PyJWKClientConnectionError, PyJWKClientError, PyJWKSetError

from ..domain.errors import ConfigurationError, StoreUnavailable
from ..domain.identity import LONGEST_OWNER, Identity
from ..settings import Settings

log = logging.getLogger("backburner.http")

SECRET_ALGORITHM = "HS256"
KEY_ALGORITHMS = ("RS256", "ES256")
SHORTEST_SECRET = 32
"""Bytes of an HS256 secret (RFC 7518, 3.2)."""
KEYS_LAST = 300.0
"""Seconds until the published keys are looked up again."""
LOOK_APART = 10.0
"""Seconds between two look-ups for keys that are not known: whoever invents names of keys cannot make us busy."""
PATIENCE = 5.0
"""Seconds that a look-up may take."""


class InvalidToken(Exception):
    """The token proves nothing. The message is for whoever sent it, and never holds the token."""


class KeysUnavailable(StoreUnavailable):
    """The keys that tokens are checked with cannot be fetched just now."""

    type = "keys_unavailable"
    title = "Tokens cannot be checked at the moment"


class Jwt:
    """Raises `ConfigurationError` for settings by which no token could be checked."""

    def __init__(self, settings: Settings) -> None:
        self._secret = settings.jwt_secret.encode() if settings.jwt_secret else None
        self._keys = _keys_at(settings.jwt_jwks_url) if settings.jwt_jwks_url else None
        if self._secret is None and self._keys is None:
            raise ConfigurationError(
                "BACKBURNER_AUTH=jwt needs BACKBURNER_JWT_SECRET (HS256) or BACKBURNER_JWT_JWKS_URL (RS256, ES256)"
            )
        if self._secret is not None and len(self._secret) < SHORTEST_SECRET:
            raise ConfigurationError(
                f"BACKBURNER_JWT_SECRET has {len(self._secret)} bytes: HS256 needs {SHORTEST_SECRET} or more, as "
                'python -c "import secrets; print(secrets.token_urlsafe(32))" prints them'
            )
        self._issuer = settings.jwt_issuer or None
        self._audience = settings.jwt_audience or None
        self._leeway = settings.jwt_leeway

    @property
    def fetches(self) -> bool:
        """Whether `identify` may wait for keys to be fetched."""
        return self._keys is not None

    def identify(self, token: str) -> Identity:
        """Raises `InvalidToken`, `KeysUnavailable`. Not for an event loop where it `fetches`."""
        key, algorithm = self._key_of(_header(token))
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                issuer=self._issuer,
                audience=self._audience,
                leeway=self._leeway,
                options={"require": ["exp", "sub"]},
            )
        except jwt.ExpiredSignatureError:
            raise InvalidToken("The token has expired: get a new one.") from None
        except jwt.InvalidAudienceError:
            wanted = f"{self._audience!r}" if self._audience else "none: BACKBURNER_JWT_AUDIENCE is not set"
            raise InvalidToken(f"The token is for another audience; the one that is served here is {wanted}.") from None
        except jwt.InvalidIssuerError:
            raise InvalidToken(f"The token is not of the issuer {self._issuer!r}.") from None
        except jwt.MissingRequiredClaimError as error:
            raise InvalidToken(f"The token has no claim {error.claim!r}.") from None
        except jwt.ImmatureSignatureError:
            raise InvalidToken("The token is not valid yet.") from None
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError):
            raise InvalidToken("The token is not signed by a key that is known here, or damaged.") from None
        return Identity(owner_in(claims), float(claims["exp"]) + self._leeway)

    def _key_of(self, header: Mapping[str, Any]) -> tuple[Any, str]:
        """A key is used with its own kind of algorithm only: a public key never serves as a secret."""
        algorithm = header.get("alg")
        if algorithm == SECRET_ALGORITHM and self._secret is not None:
            return self._secret, SECRET_ALGORITHM
        if algorithm in KEY_ALGORITHMS and self._keys is not None:
            key = self._published(str(header.get("kid")), self._keys)
            if key is not None and key.algorithm_name == algorithm:
                return key, algorithm
            raise InvalidToken("The token is signed by a key that is not published.")
        served = ([SECRET_ALGORITHM] if self._secret else []) + (list(KEY_ALGORITHMS) if self._keys else [])
        raise InvalidToken(f"The token is signed otherwise than this server accepts: use {' or '.join(served)}.")

    def _published(self, name: str, keys: PyJWKClient) -> PyJWK | None:
        try:
            return keys.get_signing_key(name)
        except PyJWKClientConnectionError as error:
            log.warning("the keys of tokens cannot be fetched: %s", error)
        except PyJWKSetError as error:
            log.warning("there are no keys at the address of keys: %s", error)
        except PyJWKClientError:
            return None
        raise KeysUnavailable("The keys that tokens are signed with cannot be fetched just now.")


def _keys_at(url: str) -> PyJWKClient:
    """Raises `ConfigurationError`."""
    if not url.startswith(("https://", "http://")):
        raise ConfigurationError(f"BACKBURNER_JWT_JWKS_URL is {url!r}: it must be an address that begins with https://")
    return PyJWKClient(url, lifespan=KEYS_LAST, timeout=PATIENCE, cooldown_duration=LOOK_APART)


def owner_in(claims: Mapping[str, Any]) -> str:
    owner = claims["sub"]
    if not isinstance(owner, str) or not 0 < len(owner) <= LONGEST_OWNER or "\0" in owner:
        raise InvalidToken(f"The claim 'sub' must name the owner in 1 to {LONGEST_OWNER} characters.")
    return owner


def _header(token: str) -> Mapping[str, Any]:
    try:
        return jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError):
        raise InvalidToken("This is no token: it must be a JSON Web Token.") from None
