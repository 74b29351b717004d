"""Tokens as an issuer signs them, and the keys it publishes."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

SECRET = "a secret of thirty-two bytes, or more"


def signed(owner: Any = "ann", *, lasts: float = 3600, key: Any = SECRET, alg: str = "HS256", **more: Any) -> str:
    """``more``: claims, None for one that is to be left out; ``kid`` goes into the header."""
    headers = {"kid": more.pop("kid")} if "kid" in more else None
    claims = {"sub": owner, "exp": int(time.time() + lasts), **more}
    return jwt.encode({name: value for name, value in claims.items() if value is not None}, key, alg, headers)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


class Issuer:
    """Signs with keys whose public halves it serves over HTTP; they can be renewed, and the server can fail."""

    def __init__(self) -> None:
        self.keys: dict[str, Any] = {}
        self.fetched = 0
        self.broken = False
        self.add("rsa", rsa.generate_private_key(public_exponent=65537, key_size=2048))
        self.add("ec", ec.generate_private_key(ec.SECP256R1()))

    def add(self, name: str, key: Any) -> None:
        self.keys[name] = key

    def sign(self, name: str, **more: Any) -> str:
        return signed(key=self.keys[name], alg="RS256" if name.startswith("rsa") else "ES256", kid=name, **more)

    def published(self) -> bytes:
        found = []
        for name, key in self.keys.items():
            algorithm = jwt.algorithms.RSAAlgorithm if name.startswith("rsa") else jwt.algorithms.ECAlgorithm
            found.append({**algorithm.to_jwk(key.public_key(), as_dict=True), "kid": name, "use": "sig"})
        return json.dumps({"keys": found}).encode()

    @contextlib.contextmanager
    def serving(self) -> Iterator[str]:
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.fetched += 1
                self.send_response(500 if issuer.broken else 200)
                self.end_headers()
                self.wfile.write(b"" if issuer.broken else issuer.published())

            def log_message(self, *_: Any) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            yield f"http://127.0.0.1:{server.server_port}/keys"
            server.shutdown()
            thread.join()
