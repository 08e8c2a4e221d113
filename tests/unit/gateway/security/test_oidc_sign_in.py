"""Signing in at an identity provider: a real one that runs (``oidc_provider_mock``), and one that misbehaves."""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import oidc_provider_mock
import pytest
from fake_issuer import FakeIssuer
from fastapi.testclient import TestClient
from httpx import Response
from security_site import Site

from gateway.security.build import Security

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:authlib")  # of the provider that is imitated

USERS = [
    oidc_provider_mock.User(sub="1", claims={"preferred_username": "maria", "roles": ["coder", "uma_authorization"]}),
    oidc_provider_mock.User(sub="2", claims={"email": "noor@hospital.example", "realm_access": {"roles": ["admin"]}}),
    oidc_provider_mock.User(sub="3", claims={"preferred_username": "nobody", "roles": ["visitor"]}),
]


@pytest.fixture(scope="module")
def provider_url() -> Iterator[str]:
    with oidc_provider_mock.run_server_in_thread(require_nonce=True, user_claims=USERS) as server:
        yield f"http://localhost:{server.server_port}"


@pytest.fixture
def at_provider(make: Callable[..., Site], provider_url: str) -> Site:
    return make(oidc_issuer=provider_url, oidc_client_id="clincode", oidc_client_secret="s+c/ret")


@pytest.fixture
def at_fake(make: Callable[..., Site], issuer: FakeIssuer) -> Site:
    return make(oidc_issuer=issuer.url, oidc_client_id="clincode", oidc_client_secret="s+c/ret")


def query_of(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def leave(client: TestClient, next_path: str = "/review") -> str:
    response = client.get("/login/oidc", params={"next": next_path})
    assert response.status_code == 303
    return response.headers["Location"]


def allowed(url: str, sub: str) -> str:
    """The path at which the provider sends the browser back, the person having said yes."""
    answer = httpx.post(url, data={"sub": sub})
    assert answer.status_code == 302
    back = urlsplit(answer.headers["Location"])
    assert f"{back.scheme}://{back.netloc}{back.path}" == "http://127.0.0.1:8000/login/callback"
    return f"{back.path}?{back.query}"


def signed(issuer: FakeIssuer, url: str, **changes: Any) -> dict[str, str]:
    """The query of the way back from the provider of the tests, whose ID token has these changes."""
    asked = query_of(url)
    claims = issuer.claims(nonce=asked["nonce"]) | changes
    issuer.tokens["code"] = (asked["code_challenge"], issuer.sign({k: v for k, v in claims.items() if v is not None}))
    return {"code": "code", "state": asked["state"]}


def come_back(client: TestClient, query: dict[str, str]) -> Response:
    return client.get("/login/callback", params=query)  # type: ignore[return-value]


def test_a_person_signs_in_and_lands_where_they_were_going(
    at_provider: Site, audited: Callable[[Security], Any]
) -> None:
    client = at_provider.client
    assert 'href="/login/oidc?next=/review%3Fa%3D1"' in client.get("/login?next=/review%3Fa=1").text
    response = client.get(allowed(leave(client, "/review?a=1"), "1"))
    assert (response.status_code, response.headers["Location"]) == (303, "/review?a=1")
    assert client.get("/review").json() | {"csrf": ""} == {"user": "maria", "role": "coder", "csrf": ""}
    assert [line[:2] for line in audited(at_provider.security)] == [("user:maria", "login.succeeded")]


def test_a_claim_inside_a_claim_and_an_address_for_a_name(make: Callable[..., Site], provider_url: str) -> None:
    secret = {"oidc_client_id": "clincode", "oidc_client_secret": "s+c/ret"}
    site = make(oidc_issuer=provider_url, oidc_role_claim="realm_access.roles", **secret)
    assert site.client.get(allowed(leave(site.client), "2")).status_code == 303
    assert site.client.get("/review").json()["user"] == "noor@hospital.example"
    assert site.client.get("/api/v1/admin").status_code == 200


def test_who_has_no_role_stays_outside(at_provider: Site, audited: Callable[[Security], Any]) -> None:
    response = at_provider.client.get(allowed(leave(at_provider.client), "3"))
    assert response.status_code == 403
    assert "This account has no role here." in response.text
    assert at_provider.client.get("/review").status_code == 303
    assert audited(at_provider.security) == [
        ("anonymous", "login.failed", "login", '{"method":"oidc","reason":"no_role"}')
    ]


def test_what_the_provider_is_asked_for(at_fake: Site, issuer: FakeIssuer) -> None:
    url = leave(at_fake.client)
    asked = query_of(url)
    assert url.startswith(f"{issuer.url}/authorize?")
    assert asked["redirect_uri"] == "http://127.0.0.1:8000/login/callback"
    assert (asked["response_type"], asked["client_id"]) == ("code", "clincode")
    assert (asked["scope"], asked["code_challenge_method"]) == ("openid profile email", "S256")
    assert min(len(asked[name]) for name in ("state", "nonce", "code_challenge")) == 43
    again = query_of(leave(at_fake.client))
    assert all(asked[name] != again[name] for name in ("state", "nonce", "code_challenge"))


def test_the_code_is_exchanged_with_the_verifier_and_the_secret(at_fake: Site, issuer: FakeIssuer) -> None:
    assert come_back(at_fake.client, signed(issuer, leave(at_fake.client))).status_code == 303
    [form] = issuer.forms
    assert (form["grant_type"], form["code"], len(form["code_verifier"])) == ("authorization_code", "code", 43)
    assert issuer.authorizations == ["Basic Y2xpbmNvZGU6cyUyQmMlMkZyZXQ="]  # clincode:s%2Bc%2Fret
    assert "client_secret" not in form


def test_a_provider_that_wants_the_secret_in_the_form(at_fake: Site, issuer: FakeIssuer) -> None:
    issuer.metadata = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    assert come_back(at_fake.client, signed(issuer, leave(at_fake.client))).status_code == 303
    assert issuer.forms[0]["client_secret"] == "s+c/ret"
    assert issuer.authorizations == [None]


def test_a_client_without_a_secret_has_its_verifier_alone(make: Callable[..., Site], issuer: FakeIssuer) -> None:
    site = make(oidc_issuer=issuer.url, oidc_client_id="clincode")
    assert come_back(site.client, signed(issuer, leave(site.client))).status_code == 303
    assert issuer.authorizations == [None]
    assert "client_secret" not in issuer.forms[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"nonce": "another"}, {"nonce": None}, {"nonce": ""}, {"aud": "another"}, {"aud": None},
        {"aud": ["clincode", "another"]}, {"aud": ["clincode", "another"], "azp": "another"},
        {"iss": "https://evil.example"}, {"exp": 1}, {"exp": None}, {"sub": None},
        {"preferred_username": None, "sub": "two words"},
    ],
    ids=str,
)  # fmt: skip
def test_an_id_token_that_is_not_right(at_fake: Site, issuer: FakeIssuer, changes: dict[str, Any]) -> None:
    response = come_back(at_fake.client, signed(issuer, leave(at_fake.client), **changes))
    assert response.status_code == 400
    assert "could not be finished" in response.text
    assert at_fake.client.get("/review").status_code == 303


def test_two_audiences_and_we_asked(at_fake: Site, issuer: FakeIssuer) -> None:
    changes = {"aud": ["clincode", "another"], "azp": "clincode"}
    assert come_back(at_fake.client, signed(issuer, leave(at_fake.client), **changes)).status_code == 303


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "another"}, {"state": ""}, {"state": "é"}, {"code": ""}, {"code": "another"},
        {"iss": "https://evil.example"}, {"error": "access_denied", "code": ""},
    ],
    ids=str,
)  # fmt: skip
def test_a_way_back_that_was_not_ours(at_fake: Site, issuer: FakeIssuer, changes: dict[str, str]) -> None:
    response = come_back(at_fake.client, signed(issuer, leave(at_fake.client)) | changes)
    assert response.status_code == 400
    assert "access_denied" not in response.text


def test_a_way_back_in_another_browser_or_a_second_time_leads_nowhere(at_fake: Site, issuer: FakeIssuer) -> None:
    query = signed(issuer, leave(at_fake.client))
    token = issuer.tokens["code"]
    assert come_back(at_fake.browser(), query).status_code == 400
    other = at_fake.browser()
    leave(other)
    assert come_back(other, query).status_code == 400
    assert come_back(at_fake.client, query).status_code == 303
    issuer.tokens["code"] = token
    assert come_back(at_fake.client, query).status_code == 400


@pytest.mark.parametrize("memory", ["", "x", "gAAAAA", "é"])
def test_a_memory_that_was_not_sealed_here(at_fake: Site, issuer: FakeIssuer, memory: str) -> None:
    query = signed(issuer, leave(at_fake.client))
    headers = {"Cookie": f"clincode_oidc={memory}".encode()}
    response = at_fake.browser().get("/login/callback", params=query, headers=headers)  # type: ignore[arg-type]
    assert response.status_code == 400


def test_who_takes_too_long_starts_again(at_fake: Site, issuer: FakeIssuer, monkeypatch: pytest.MonkeyPatch) -> None:
    query = signed(issuer, leave(at_fake.client))
    monkeypatch.setattr("gateway.security.oidc.STATE_SECONDS", -1)
    assert come_back(at_fake.client, query).status_code == 400


def test_a_session_that_was_planted_is_replaced(at_fake: Site, issuer: FakeIssuer) -> None:
    at_fake.log_in(at_fake.client, "mallory")
    planted = at_fake.client.cookies[at_fake.security.sessions.cookie]
    response = come_back(at_fake.client, signed(issuer, leave(at_fake.client)))
    assert response.cookies[at_fake.security.sessions.cookie] != planted
    assert at_fake.security.sessions.find(planted) is None


@pytest.mark.parametrize("target", ["//evil.example", "/\\evil.example", "https://evil.example"])
def test_the_way_on_stays_here(at_fake: Site, issuer: FakeIssuer, target: str) -> None:
    response = come_back(at_fake.client, signed(issuer, leave(at_fake.client, target)))
    assert response.headers["Location"] == "/review"


def test_a_provider_that_is_down_is_said(at_fake: Site, issuer: FakeIssuer) -> None:
    issuer.down = True
    response = at_fake.client.get("/login/oidc")
    assert response.status_code == 503
    assert "The identity provider does not answer at the moment." in response.text
    issuer.down = False
    assert at_fake.security.oidc is not None
    at_fake.security.oidc.discovery._pause = 0
    query = signed(issuer, leave(at_fake.client))
    issuer.down = True
    assert come_back(at_fake.client, query).status_code == 503


def test_failed_ways_back_are_throttled(at_fake: Site) -> None:
    statuses = [come_back(at_fake.client, {"code": "x", "state": "y"}).status_code for _ in range(23)]
    assert statuses[:20] == [400] * 20
    assert statuses[-1] == 429


def test_nothing_secret_is_in_the_browsers_memory(at_fake: Site) -> None:
    asked = query_of(leave(at_fake.client))
    memory = at_fake.client.cookies["clincode_oidc"]
    assert asked["state"] not in memory
    assert asked["nonce"] not in memory
