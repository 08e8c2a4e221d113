"""Every route and who may use it: one table, held against the application's routes and against real requests."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from gateway_site import GatewaySite, body, open_gateway
from torchserve_stand_in import running_stand_in

from gateway.codes import CodePicker
from gateway.security.access import CSRF_HEADER, permissions_of
from gateway.security.permissions import PERMISSIONS, Permission, Role

SERVICE, CODER, SUPERVISOR, ADMIN = Role.SERVICE, Role.CODER, Role.SUPERVISOR, Role.ADMIN

# Nobody, and who comes with a revoked key, gets into none of these.
TABLE: dict[tuple[str, str], set[Role]] = {
    ("POST", "/api/v1/predict"): {SERVICE, ADMIN},
    ("POST", "/api/v1/predict/batch"): {SERVICE, ADMIN},
    ("POST", "/api/v1/notes"): {SERVICE, ADMIN},
    ("GET", "/api/v1/notes"): {SUPERVISOR, ADMIN},
    ("GET", "/api/v1/notes/{note_id}"): {SERVICE, SUPERVISOR, ADMIN},
    ("POST", "/api/v1/notes/{note_id}/requeue"): {SUPERVISOR, ADMIN},
    ("GET", "/api/v1/notes/{note_id}/original"): {SUPERVISOR, ADMIN},
    ("GET", "/api/v1/codes"): {SERVICE, CODER, SUPERVISOR, ADMIN},
    ("POST", "/api/v1/fhir/DocumentReference"): {SERVICE, ADMIN},
    ("GET", "/api/v1/fhir/Bundle/{note_id}"): {SERVICE, SUPERVISOR, ADMIN},
    ("POST", "/api/v1/hl7/v2"): {SERVICE, ADMIN},
    ("POST", "/api/v1/health"): {SERVICE, CODER, SUPERVISOR, ADMIN},
    ("GET", "/api/v1/openapi.json"): {SERVICE, CODER, SUPERVISOR, ADMIN},
    ("GET", "/openapi.json"): {SERVICE, CODER, SUPERVISOR, ADMIN},
    ("GET", "/health/ready"): {SERVICE, CODER, SUPERVISOR, ADMIN},
    ("GET", "/metrics"): {SERVICE, ADMIN},
    ("GET", "/"): {CODER, SUPERVISOR, ADMIN},
    ("GET", "/review"): {CODER, SUPERVISOR, ADMIN},
    ("GET", "/review/next"): {CODER, SUPERVISOR, ADMIN},
    ("GET", "/review/overview"): {SUPERVISOR, ADMIN},
    ("GET", "/review/codes"): {CODER, SUPERVISOR, ADMIN},
    ("GET", "/review/notes/{note_id}"): {CODER, SUPERVISOR, ADMIN},
    ("GET", "/review/notes/{note_id}/entities/{key}"): {CODER, SUPERVISOR, ADMIN},
    ("POST", "/review/notes/{note_id}/decisions"): {CODER, SUPERVISOR, ADMIN},
}
OPEN = {
    ("GET", "/health/live"),
    ("GET", "/login"),
    ("POST", "/login"),
    ("GET", "/login/oidc"),
    ("GET", "/login/callback"),
    ("POST", "/logout"),
    ("*", "/review/static"),
}
_PROGRAMS = ("/api/", "/openapi.json", "/health/", "/metrics")
PAGES = [route for route in TABLE if not route[1].startswith(_PROGRAMS)]
IDS = [" ".join(route) for route in TABLE]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, code_picker: CodePicker) -> Iterator[GatewaySite]:
    folder = tmp_path_factory.mktemp("roles")
    with running_stand_in(folder) as stand_in, open_gateway(folder, stand_in, code_picker) as site:
        yield site


@pytest.fixture(scope="module")
def note_id(site: GatewaySite) -> str:
    sent = body()
    assert site.client.post("/api/v1/predict", json=sent).status_code == 200
    return str(sent["note_id"])


def ask(site: GatewaySite, route: tuple[str, str], note_id: str, headers: dict[str, str], address: str = "x") -> Any:
    method, template = route
    path = template.replace("{note_id}", note_id).replace("{key}", "0")
    client = site.stranger(address)
    content = json.dumps(body()) if method == "POST" else None
    kind = {"Content-Type": "application/json"} if content else {}
    return client.request(method, path, content=content, headers={**kind, **headers})


def is_refused(response: Any) -> bool:
    if response.status_code in {401, 403}:
        return True
    return response.status_code == 303 and response.headers["Location"].startswith("/login")


def test_the_table_has_every_route_and_no_other(site: GatewaySite) -> None:
    found = permissions_of(site.client.app)  # type: ignore[arg-type]
    assert {(method, path) for method, path, needed in found if needed is None} == OPEN
    assert {(method, path) for method, path, needed in found if needed is not None} == set(TABLE)
    for method, path, needed in found:
        if needed is not None:
            assert {role for role in Role if needed in PERMISSIONS[role]} == TABLE[method, path], path


def test_all_that_there_is_to_permit_is_in_use_or_is_the_command_lines(site: GatewaySite) -> None:
    asked = {needed for _, _, needed in permissions_of(site.client.app)}  # type: ignore[arg-type]
    assert set(Permission) - asked == {Permission.FEEDBACK, Permission.ADMIN}


@pytest.mark.parametrize("route", TABLE, ids=IDS)
def test_keys(site: GatewaySite, note_id: str, route: tuple[str, str]) -> None:
    for role in Role:
        response = ask(site, route, note_id, site.key(role))
        assert response.status_code < 500
        if role in TABLE[route]:
            assert not is_refused(response), f"{role}: {response.status_code}"
        else:
            assert response.status_code == 403, role
            assert "forbidden" in response.text


@pytest.mark.parametrize("route", PAGES, ids=[" ".join(route) for route in PAGES])
def test_sessions(site: GatewaySite, note_id: str, route: tuple[str, str]) -> None:
    for role in (CODER, SUPERVISOR, ADMIN):
        cookie, token = site.session(role)
        response = ask(site, route, note_id, {"Cookie": cookie, CSRF_HEADER: token})
        assert response.status_code < 500
        assert is_refused(response) == (role not in TABLE[route]), role
        if route[0] == "POST":
            without = ask(site, route, note_id, {"Cookie": cookie})
            assert (without.status_code, without.json()["error"]["code"]) == (403, "csrf")


@pytest.mark.parametrize("route", TABLE, ids=IDS)
def test_nobody(site: GatewaySite, note_id: str, route: tuple[str, str]) -> None:
    response = ask(site, route, note_id, {})
    if route in PAGES and route[0] == "GET":
        assert response.status_code == 303
        assert response.headers["Location"].startswith("/login?next=")
    else:
        assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert note_id not in response.text


@pytest.mark.parametrize("route", TABLE, ids=IDS)
def test_a_revoked_key(site: GatewaySite, note_id: str, route: tuple[str, str]) -> None:
    name = f"revoked-{abs(hash(route))}"
    made = site.services.security.keys.create(name, ADMIN, PERMISSIONS[ADMIN], "tests")
    header = {"Authorization": f"Bearer {made.token}"}
    assert not is_refused(ask(site, route, note_id, header))
    site.services.security.keys.revoke(made.key.id, "tests")
    # An address of its own: failed attempts are counted by address.
    assert ask(site, route, note_id, header, address=name).status_code == 401


@pytest.mark.parametrize("route", sorted(OPEN), ids=[" ".join(route) for route in sorted(OPEN)])
def test_what_is_open_is_open_and_tells_nothing(site: GatewaySite, note_id: str, route: tuple[str, str]) -> None:
    method, path = route
    if method == "*":
        method, path = "GET", "/review/static/review.css"
    response = site.stranger().request(method, path)
    # No provider is set up, so its ways lead nowhere; a login without a form of ours is no login.
    expected = {"/health/live": 200, "/login": 200 if method == "GET" else 403, "/logout": 303}
    expected |= {"/login/oidc": 404, "/login/callback": 404, "/review/static/review.css": 200}
    assert response.status_code == expected[path]
    assert note_id not in response.text
