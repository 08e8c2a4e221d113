"""An identity provider of the tests' own, on loopback: it signs what it is told to, right or wrong, and holds a token
request to its PKCE challenge. (``oidc_provider_mock``, which is used beside it, signs only what is right.)"""

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey


class FakeIssuer:
    """``tokens`` are the ID tokens by authorization code, with the PKCE challenge that each was asked for."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.keys: dict[str, RSAKey | ECKey] = {}
        self.published: list[str] = []
        self.tokens: dict[str, tuple[str, str]] = {}
        self.requests: list[str] = []
        self.forms: list[dict[str, str]] = []
        self.authorizations: list[str | None] = []
        self.metadata: dict[str, Any] = {}
        self.down = False
        self.add_key("first")

    def add_key(self, kid: str, *, curve: str | None = None, publish: bool = True) -> None:
        parameters = {"kid": kid, "use": "sig"}
        self.keys[kid] = ECKey.generate_key(curve, parameters) if curve else RSAKey.generate_key(2048, parameters)
        if publish:
            self.published.append(kid)

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Those of a good access token of a coder; a change to None leaves the claim out."""
        at = int(time.time())
        claims = {
            "iss": self.url, "aud": "clincode", "sub": "4711", "iat": at, "exp": at + 300,
            "preferred_username": "maria", "roles": ["coder"],
        }  # fmt: skip
        return {name: value for name, value in (claims | changes).items() if value is not None}

    def sign(self, claims: dict[str, Any], *, alg: str = "RS256", kid: str | None = "first", key: Any = None) -> str:
        header = {"alg": alg, **({"kid": kid} if kid else {})}
        return jwt.encode(header, claims, key or self.keys[kid or "first"], algorithms=[alg])

    def sign_with_public_key(self, claims: dict[str, Any]) -> str:
        """HS256, the shared secret being the public key, which everybody knows."""
        parts = [_base64(json.dumps(part).encode()) for part in ({"alg": "HS256", "kid": "first"}, claims)]
        pem = self.keys["first"].as_pem(private=False)
        return ".".join([*parts, _base64(hmac.digest(pem, ".".join(parts).encode(), "sha256"))])

    def document(self) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/jwks",
        } | self.metadata

    def jwks(self) -> dict[str, Any]:
        shared = {"kty": "oct", "kid": "shared", "k": _base64(b"s" * 32)}
        return {"keys": [*KeySet([self.keys[kid] for kid in self.published]).as_dict()["keys"], shared]}

    def exchange(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        challenge, token = self.tokens.pop(form.get("code", ""), ("", ""))
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if not token or _base64(digest) != challenge:
            return 400, {"error": "invalid_grant"}
        return 200, {"access_token": "opaque", "token_type": "Bearer", "id_token": token}


@contextmanager
def running_issuer() -> Iterator[FakeIssuer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.requests.append(self.path)
            documents = {"/.well-known/openid-configuration": issuer.document, "/jwks": issuer.jwks}
            self.answer(200, documents[self.path]())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            issuer.forms.append(form)
            issuer.authorizations.append(self.headers.get("Authorization"))
            self.answer(*issuer.exchange(form))

        def answer(self, status: int, value: dict[str, Any]) -> None:
            body = json.dumps(value).encode()
            self.send_response(503 if issuer.down else status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer = FakeIssuer(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")
