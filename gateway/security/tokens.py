"""JSON Web Tokens of the identity provider: is one good, whose is it, and which role does it give."""

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwt import JWTClaimsRegistry

from gateway.security.discovery import Discovery
from gateway.security.permissions import Role
from gateway.security.secrets import is_user_name

ALGORITHMS = frozenset(f"{kind}{size}" for kind in ("RS", "ES", "PS") for size in (256, 384, 512))
"""Signatures by a private key. Never ``none``, and never HS…, whose key would be the provider's public one."""
MOST_CHARS = 16_384
LEEWAY_SECONDS = 30
_PEOPLE = (Role.ADMIN, Role.SUPERVISOR, Role.CODER)
_ANYBODY = (*_PEOPLE, Role.SERVICE)


def verified_claims(discovery: Discovery, token: str, audience: str) -> dict[str, Any] | None:
    """The claims of a token that the provider signed for this audience and that is not over; None for any other.

    Which key verifies it is for the provider's key set alone to say: what a header offers (``jwk``, ``jku``, ``x5u``)
    is not looked at.

    Raises:
        ProviderUnavailableError: the keys cannot be had.
    """
    header = _header(token) if len(token) <= MOST_CHARS else None
    if header is None:
        return None
    alg, kid = header.get("alg"), header.get("kid")
    if not isinstance(alg, str) or alg not in ALGORITHMS:
        return None
    key = discovery.key(kid) if kid is None or isinstance(kid, str) else None
    if key is None:
        return None
    claims_registry = JWTClaimsRegistry(
        leeway=LEEWAY_SECONDS,
        iss={"essential": True, "value": discovery.metadata().issuer},
        aud={"essential": True, "value": audience},
        exp={"essential": True},
        sub={"essential": True},
    )
    try:
        claims = jwt.decode(token, key, algorithms=[alg]).claims
        claims_registry.validate(claims)
    except (JoseError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return claims


def is_id_token(claims: Mapping[str, Any]) -> bool:
    """Whether it says who logged in, and so is no key to an API, though its audience may be the same."""
    if claims.get("typ") == "Bearer":  # Keycloak's word for an access token
        return False
    return claims.get("typ") == "ID" or any(name in claims for name in ("nonce", "at_hash", "c_hash"))


def role_of(claims: Mapping[str, Any], path: str, *, people_only: bool) -> Role | None:
    """The highest known role among the values of a claim; a path may lead into it (``realm_access.roles``)."""
    values = set(_values(claims, path))
    return next((role for role in (_PEOPLE if people_only else _ANYBODY) if role.value in values), None)


def user_of(claims: Mapping[str, Any]) -> str | None:
    """How the person is named in the audit log: the first usable of user name, e-mail address and subject."""
    names = ["preferred_username", "email", "sub"]
    if claims.get("email_verified") is False:
        names.remove("email")
    return next((claims[name] for name in names if is_user_name(claims.get(name))), None)


def _values(claims: Mapping[str, Any], path: str) -> Iterable[str]:
    value: Any = claims.get(path)
    if value is None:
        value = claims
        for part in path.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
    if isinstance(value, str):
        return value.split()
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _header(token: str) -> dict[str, Any] | None:
    parts = token.split(".")
    if len(parts) != 3 or not token.isascii():
        return None
    try:
        value = json.loads(base64.urlsafe_b64decode(parts[0] + "=" * (-len(parts[0]) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        return None
    return value if isinstance(value, dict) else None
