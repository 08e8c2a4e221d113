"""JSON Web Tokens as credentials of the API: only what the provider's private keys signed, for us, not too long ago."""

import base64
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from fake_issuer import FakeIssuer
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from security_site import Site, bearer

from gateway.security.discovery import Discovery, is_safe
from gateway.security.permissions import Role
from gateway.security.tokens import role_of, user_of


@dataclass(frozen=True)
class FromNow:
    """Seconds from the moment when the test runs, which may be long after it was collected."""

    seconds: int


def resolved(changes: dict[str, Any]) -> dict[str, Any]:
    return {
        name: int(time.time()) + value.seconds if isinstance(value, FromNow) else value
        for name, value in changes.items()
    }


@pytest.fixture
def guarded(make: Callable[..., Site], issuer: FakeIssuer) -> Site:
    return make(oidc_issuer=issuer.url, oidc_client_id="clincode")


def status_of(site: Site, token: str, path: str = "/api/v1/predict") -> int:
    return site.browser().get(path, headers=bearer(token)).status_code


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("roles", "predict", "admin", "name"),
    [
        (["admin"], 200, 200, "user:maria"),
        (["coder"], 403, 403, None),
        (["supervisor", "offline_access"], 403, 403, None),
        (["service"], 200, 403, "client:ehr"),
        (["service", "admin"], 200, 200, "user:maria"),
        ("admin", 200, 200, "user:maria"),
        (["superuser", "Admin"], 403, 403, None),
        ([], 403, 403, None),
        ({"admin": True}, 403, 403, None),
        (None, 403, 403, None),
    ],
)
def test_a_role_is_taken_from_the_claim(
    guarded: Site, issuer: FakeIssuer, roles: Any, predict: int, admin: int, name: str | None
) -> None:
    token = issuer.sign(issuer.claims(roles=roles, azp="ehr"))
    response = guarded.client.get("/api/v1/predict", headers=bearer(token))
    assert (response.status_code, status_of(guarded, token, "/api/v1/admin")) == (predict, admin)
    if name is not None:
        assert response.json() == name


def test_good_and_without_a_role_is_said(guarded: Site, issuer: FakeIssuer) -> None:
    response = guarded.client.get("/api/v1/predict", headers=bearer(issuer.sign(issuer.claims(roles=None))))
    assert response.json()["error"]["code"] == "no_role"


@pytest.mark.parametrize("alg", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"])
def test_rsa_signatures_are_taken(guarded: Site, issuer: FakeIssuer, alg: str) -> None:
    assert status_of(guarded, issuer.sign(issuer.claims(roles=["admin"]), alg=alg)) == 200


@pytest.mark.parametrize(("alg", "curve"), [("ES256", "P-256"), ("ES384", "P-384"), ("ES512", "P-521")])
def test_elliptic_signatures_are_taken(guarded: Site, issuer: FakeIssuer, alg: str, curve: str) -> None:
    issuer.add_key("curve", curve=curve)
    token = issuer.sign(issuer.claims(roles=["admin"]), alg=alg, kid="curve")
    assert status_of(guarded, token) == 200
    issuer.add_key("other", curve=curve, publish=False)
    assert status_of(guarded, issuer.sign(issuer.claims(), alg=alg, kid="curve", key=issuer.keys["other"])) == 401


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://evil.example"}, {"iss": None}, {"iss": ["x"]}, {"iss": ""},
        {"aud": "another"}, {"aud": ["another", "account"]}, {"aud": None}, {"aud": []}, {"aud": 7},
        {"exp": FromNow(-60)}, {"exp": None}, {"exp": "tomorrow"}, {"exp": 0},
        {"nbf": FromNow(600)}, {"iat": FromNow(600)},
        {"sub": None}, {"sub": ""}, {"sub": 7},
        {"nonce": "n"}, {"at_hash": "h"}, {"typ": "ID"},
    ],
    ids=str,
)  # fmt: skip
def test_claims_that_are_not_right(guarded: Site, issuer: FakeIssuer, changes: dict[str, Any]) -> None:
    token = issuer.sign(issuer.claims(roles=["admin"], **resolved(changes)))
    response = guarded.client.get("/api/v1/predict", headers=bearer(token))
    assert (response.status_code, response.json()["error"]["code"]) == (401, "unauthenticated")


@pytest.mark.parametrize(
    "changes", [{"aud": ["account", "clincode"]}, {"typ": "Bearer", "nonce": "n"}, {"exp": FromNow(25)}], ids=str
)
def test_claims_that_are_right(guarded: Site, issuer: FakeIssuer, changes: dict[str, Any]) -> None:
    assert status_of(guarded, issuer.sign(issuer.claims(roles=["admin"], **resolved(changes)))) == 200


def forged(issuer: FakeIssuer) -> dict[str, str]:
    """Tokens with good claims that the provider did not sign."""
    claims = issuer.claims(roles=["admin"])
    good = issuer.sign(claims)
    header, payload, signature = good.split(".")
    stranger = RSAKey.generate_key(2048, {"kid": "first"})
    own_key = {"alg": "RS256", "kid": "evil", "jwk": stranger.as_dict(private=False)}
    critical = {"alg": "RS256", "kid": "first", "crit": ["b64"], "b64": False}
    return {
        "none": f"{part({'alg': 'none', 'kid': 'first'})}.{payload}.",
        "None with a signature": f"{part({'alg': 'None', 'kid': 'first'})}.{payload}.{signature}",
        "no alg": f"{part({'kid': 'first'})}.{payload}.{signature}",
        "alg no string": f"{part({'alg': ['RS256'], 'kid': 'first'})}.{payload}.{signature}",
        "HS256 by the public key": issuer.sign_with_public_key(claims),
        "HS256 by the published secret": jwt.encode(
            {"alg": "HS256", "kid": "shared"}, claims, OctKey.import_key("s" * 32)
        ),
        "a stranger's key": issuer.sign(claims, key=stranger),
        "a key that it brings along": jwt.encode(own_key, claims, stranger),
        "an unknown key": issuer.sign(claims, kid="unknown", key=stranger),
        "kid no string": f"{part({'alg': 'RS256', 'kid': ['first']})}.{payload}.{signature}",
        "kid a path": issuer.sign(claims, kid="../../dev/null", key=stranger),
        "other claims": f"{header}.{part(claims | {'sub': 'x'})}.{signature}",
        "no signature": f"{header}.{payload}.",
        "signature cut": good[:-8],
        "two parts": f"{header}.{payload}",
        "five parts": f"{good}.x.y",
        "a list": f"{header}.{part([1])}.{signature}",
        "no JSON": f"{base64.urlsafe_b64encode(b'[[').decode()}.{payload}.{signature}",
        "a list for a header": f"{part([1])}.{payload}.{signature}",
        "deep": f"{base64.urlsafe_b64encode(b'[' * 9000).decode()}.{payload}.{signature}",
        "long": f"{header}.{part('x' * 20000)}.{signature}",
        "ES256 of an RSA key": f"{part({'alg': 'ES256', 'kid': 'first'})}.{payload}.{signature}",
        "critical": f"{part(critical)}.{payload}.{signature}",
        "dots": "..",
    }


def test_what_the_provider_did_not_sign_is_nobodys(make: Callable[..., Site], issuer: FakeIssuer) -> None:
    texts = set()
    site = make(oidc_issuer=issuer.url, oidc_client_id="clincode")
    for number, (what, token) in enumerate(forged(issuer).items()):
        response = site.browser(f"10.0.0.{number}").get("/api/v1/predict", headers=bearer(token))
        assert response.status_code == 401, what
        texts.add(response.text)
    assert len(texts) == 1


def test_an_audience_of_its_own(make: Callable[..., Site], issuer: FakeIssuer) -> None:
    site = make(oidc_issuer=issuer.url, oidc_client_id="clincode", oidc_audience="api://clincode")
    assert status_of(site, issuer.sign(issuer.claims(roles=["admin"]))) == 401
    assert status_of(site, issuer.sign(issuer.claims(roles=["admin"], aud="api://clincode"))) == 200


def test_a_new_key_is_fetched_and_unknown_ones_do_not_make_it_hammer(guarded: Site, issuer: FakeIssuer) -> None:
    assert guarded.security.oidc is not None
    guarded.security.oidc.discovery._pause = 0.3
    assert status_of(guarded, issuer.sign(issuer.claims(roles=["admin"]))) == 200
    assert issuer.requests.count("/jwks") == 1
    issuer.add_key("second")
    time.sleep(0.35)
    assert status_of(guarded, issuer.sign(issuer.claims(roles=["admin"]), kid="second")) == 200
    assert issuer.requests.count("/jwks") == 2
    for _ in range(10):
        assert status_of(guarded, issuer.sign(issuer.claims(), kid="third", key=issuer.keys["first"])) == 401
    assert issuer.requests.count("/jwks") <= 3
    issuer.published.remove("first")
    time.sleep(0.35)
    assert status_of(guarded, issuer.sign(issuer.claims(), kid="third", key=issuer.keys["first"])) == 401
    assert status_of(guarded, issuer.sign(issuer.claims(roles=["admin"]))) == 401


def test_a_token_without_a_key_id_fits_a_lone_key(guarded: Site, issuer: FakeIssuer) -> None:
    token = issuer.sign(issuer.claims(roles=["admin"]), kid=None, key=issuer.keys["first"])
    assert status_of(guarded, token) == 200


def test_a_provider_that_is_down_is_no_fault_of_the_token(guarded: Site, issuer: FakeIssuer) -> None:
    issuer.down = True
    token = issuer.sign(issuer.claims(roles=["admin"]))
    response = guarded.client.get("/api/v1/predict", headers=bearer(token))
    assert (response.status_code, response.json()["error"]["code"]) == (503, "identity_provider_unavailable")
    assert response.headers["Retry-After"] == "10"
    assert guarded.client.get("/api/v1/predict", headers=bearer(guarded.key())).status_code == 200


def test_once_known_it_may_be_down(guarded: Site, issuer: FakeIssuer) -> None:
    token = issuer.sign(issuer.claims(roles=["admin"]))
    assert status_of(guarded, token) == 200
    issuer.down = True
    assert status_of(guarded, token) == 200
    assert status_of(guarded, issuer.sign(issuer.claims(), kid="second", key=issuer.keys["first"])) == 401


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://evil.example"},
        {"jwks_uri": "http://evil.example/jwks"},
        {"token_endpoint": "ftp://evil.example"},
        {"authorization_endpoint": None},
        {"issuer": None},
    ],
    ids=str,
)
def test_metadata_that_is_not_the_issuers_is_not_used(
    guarded: Site, issuer: FakeIssuer, metadata: dict[str, Any]
) -> None:
    issuer.metadata = metadata
    assert status_of(guarded, issuer.sign(issuer.claims(roles=["admin"]))) == 503


@pytest.mark.parametrize("issuer_url", ["http://login.hospital.example", "http://10.0.0.1/realms/x", "ftp://x", "x"])
def test_an_issuer_without_tls_is_refused_at_start(issuer_url: str) -> None:
    assert not is_safe(issuer_url)
    with pytest.raises(ValueError, match="CLINCODE_OIDC_ISSUER"):
        Discovery(issuer_url)


def test_bearer_tokens_are_nothing_where_no_issuer_is_set(site: Site, issuer: FakeIssuer) -> None:
    assert status_of(site, issuer.sign(issuer.claims(roles=["admin"]))) == 401


@pytest.mark.parametrize(
    ("claims", "path", "role"),
    [
        ({"roles": ["coder", "supervisor"]}, "roles", Role.SUPERVISOR),
        ({"roles": "coder"}, "roles", Role.CODER),
        ({"realm_access": {"roles": ["admin"]}}, "realm_access.roles", Role.ADMIN),
        ({"resource_access": {"clincode": {"roles": ["coder"]}}}, "resource_access.clincode.roles", Role.CODER),
        ({"https://hospital.example/roles": ["coder"]}, "https://hospital.example/roles", Role.CODER),
        ({"realm_access": ["admin"]}, "realm_access.roles", None),
        ({"realm_access": "admin"}, "realm_access.roles", None),
        ({"roles": [["admin"], 7, None]}, "roles", None),
        ({"roles": ["service"]}, "roles", None),
        ({}, "roles", None),
    ],
)
def test_the_role_of_a_person(claims: dict[str, Any], path: str, role: Role | None) -> None:
    assert role_of(claims, path, people_only=True) is role


@pytest.mark.parametrize(
    ("claims", "user"),
    [
        ({"preferred_username": "maria", "email": "m@x.example", "sub": "1"}, "maria"),
        ({"email": "m@x.example", "sub": "1"}, "m@x.example"),
        ({"email": "m@x.example", "email_verified": False, "sub": "1"}, "1"),
        ({"preferred_username": "two words", "sub": "1"}, "1"),
        ({"preferred_username": "x" * 121, "sub": "1"}, "1"),
        ({"preferred_username": 7, "sub": "1"}, "1"),
        ({"sub": "a\nb"}, None),
        ({}, None),
    ],
)
def test_the_name_of_a_person(claims: dict[str, Any], user: str | None) -> None:
    assert user_of(claims) == user
