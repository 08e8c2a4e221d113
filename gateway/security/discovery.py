"""What an OpenID Connect provider says of itself: its endpoints and its signing keys, fetched when first needed."""

import ipaddress
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, RSAKey

from gateway.security.refusals import ProviderUnavailableError

SECONDS = 5.0
"""How long one fetch may take."""
_FRESH_SECONDS = 3600.0
_PAUSE_SECONDS = 10.0
"""Between fetches, after one that failed or that an unknown key asked for."""

SigningKey = RSAKey | ECKey


@dataclass(frozen=True, slots=True)
class Metadata:
    issuer: str
    """As it stands in the tokens."""
    authorization_endpoint: str
    token_endpoint: str
    token_auth_methods: tuple[str, ...]
    keys: Mapping[str | None, SigningKey]
    """By their id; a lone key is found without one too."""
    fetched_at: float


class Discovery:
    """The provider's metadata and keys, kept for an hour. Safe to share between threads; blocks while it fetches, and
    where there is an older state, only in the one thread that renews it."""

    def __init__(self, issuer: str, *, pause_seconds: float = _PAUSE_SECONDS) -> None:
        """Raises ValueError for an issuer without TLS that is not on loopback."""
        self.issuer = issuer.rstrip("/")
        if not is_safe(self.issuer):
            raise ValueError("CLINCODE_OIDC_ISSUER must be an https address")
        self._pause = pause_seconds
        self._known: Metadata | None = None
        self._tried_at: float | None = None
        self._lock = threading.Lock()

    def metadata(self) -> Metadata:
        """Raises ProviderUnavailableError where it was never reached."""
        known = self._known
        if known is None or time.monotonic() - known.fetched_at > _FRESH_SECONDS:
            known = self._renewed(known)
        if known is None:
            raise ProviderUnavailableError
        return known

    def key(self, kid: str | None) -> SigningKey | None:
        """The signing key of that id. An unknown one makes it look again, once in a while: keys are changed."""
        known = self.metadata()
        if kid not in known.keys and (renewed := self._renewed(known)) is not None:
            known = renewed
        return known.keys.get(kid)

    def _renewed(self, known: Metadata | None) -> Metadata | None:
        if not self._lock.acquire(blocking=known is None):
            return known
        try:
            if self._known is not known:  # another thread has done it meanwhile
                return self._known
            if self._tried_at is not None and time.monotonic() - self._tried_at < self._pause:
                return known
            self._tried_at = time.monotonic()
            self._known = self._fetch()
            return self._known
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError, AttributeError):
            return known
        finally:
            self._lock.release()

    def _fetch(self) -> Metadata:
        with httpx.Client(timeout=SECONDS, follow_redirects=False) as client:
            document = _json(client, f"{self.issuer}/.well-known/openid-configuration")
            issuer = document["issuer"]
            if not isinstance(issuer, str) or issuer.rstrip("/") != self.issuer:
                raise ValueError("the metadata is another issuer's")
            urls = [document[name] for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")]
            if not all(isinstance(url, str) and is_safe(url) for url in urls):
                raise ValueError("an endpoint is without TLS")
            keys = _signing_keys(_json(client, urls[2]))
        methods = tuple(document.get("token_endpoint_auth_methods_supported") or ("client_secret_basic",))
        return Metadata(issuer, urls[0], urls[1], methods, keys, time.monotonic())


def is_safe(url: str) -> bool:
    """Whether what is sent there cannot be read on the way: https, or this very machine."""
    parts = urlsplit(url)
    if parts.scheme == "https":
        return bool(parts.hostname)
    if parts.scheme != "http" or not parts.hostname:
        return False
    try:
        return parts.hostname == "localhost" or ipaddress.ip_address(parts.hostname).is_loopback
    except ValueError:
        return False


def _json(client: httpx.Client, url: str) -> dict[str, Any]:
    value = client.get(url).raise_for_status().json()
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def _signing_keys(document: Mapping[str, Any]) -> dict[str | None, SigningKey]:
    """Those that can verify a signature; shared secrets and kinds that are not known are left out."""
    keys: dict[str | None, SigningKey] = {}
    for entry in document["keys"]:
        if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
            continue
        try:
            key = JWKRegistry.import_key(entry)
        except (JoseError, ValueError, KeyError, TypeError):
            continue
        if isinstance(key, RSAKey | ECKey):
            keys[entry.get("kid")] = key
    if len(keys) == 1:
        keys[None] = next(iter(keys.values()))
    return keys
