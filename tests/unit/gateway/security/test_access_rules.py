"""Who gets in, by the one dependency of the routes: keys, sessions, CSRF, throttling and limits, over HTTP."""

import time
from collections.abc import Callable

import pytest
from fastapi import APIRouter, Depends, FastAPI
from security_site import URL, Site, bearer
from starlette.staticfiles import StaticFiles

from gateway.security.access import permissions_of, require
from gateway.security.permissions import Permission, Role

OTHER = "https://evil.example"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def code_of(response: object) -> str:
    return response.json()["error"]["code"]  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/api/v1/predict", {}, 401),
        ("POST", "/api/v1/predict", {}, 401),
        ("POST", "/review/decide", {}, 401),
        ("GET", "/review", {"Sec-Fetch-Mode": "cors"}, 401),
        ("GET", "/api/v1/predict", {"Authorization": "Bearer"}, 401),
        ("GET", "/api/v1/predict", {"Authorization": "Bearer cc_nobody"}, 401),
        ("GET", "/api/v1/predict", {"Authorization": "Bearer a.b.c"}, 401),
        ("GET", "/api/v1/predict", {"Authorization": "Basic bWFyaWE6cGFzcw=="}, 401),
        ("GET", "/review", {"Authorization": "Bearer cc_nobody"}, 401),
        ("GET", "/review", {}, 303),
        ("GET", "/review?since=today", {"Sec-Fetch-Mode": "navigate"}, 303),
    ],
)
def test_nobody_is_asked_to_say_who_they_are(
    site: Site, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    response = site.client.request(method, path, headers=headers)
    assert response.status_code == status
    if status == 401:
        assert (code_of(response), response.headers["WWW-Authenticate"]) == ("unauthenticated", "Bearer")
    else:
        assert response.headers["Location"].startswith("/login?next=%2Freview")
        assert "WWW-Authenticate" not in response.headers


def test_the_way_back_after_the_login_is_the_page_that_was_asked_for(site: Site) -> None:
    location = site.client.get("/review?a=1&b=%2F%2Fx").headers["Location"]
    assert location == "/login?next=%2Freview%3Fa%3D1%26b%3D%252F%252Fx"


def test_whatever_is_wrong_with_a_key_the_answer_is_the_same(site: Site) -> None:
    token = site.key()
    prefix, identity, secret = token.split("_", 2)
    site.security.keys.revoke(identity, "tests")
    known = f"{prefix}_{identity}_{'A' * 43}"
    tokens = [token, known, f"cc_{'a' * 12}_{secret}", "cc_x", "nothing"]
    answers = [site.client.get("/api/v1/predict", headers=bearer(each)) for each in tokens]
    assert {(answer.status_code, answer.text) for answer in answers} == {(401, answers[0].text)}


def test_a_key_may_do_what_its_scopes_say(site: Site) -> None:
    key = site.key(Role.SERVICE, Permission.PREDICT, Permission.CODES)
    assert site.client.get("/api/v1/predict", headers=bearer(key)).json() == "key:ehr"
    assert site.client.post("/api/v1/predict", headers=bearer(key)).status_code == 200
    assert site.client.get("/api/v1/predict", headers={"authorization": f"bearer {key}"}).status_code == 200
    for path, permission in (("/api/v1/admin", "admin"), ("/review", "review")):
        refused = site.client.get(path, headers=bearer(key))
        assert (refused.status_code, code_of(refused)) == (403, "forbidden")
        assert f"'{permission}'" in refused.json()["error"]["message"]


@pytest.mark.parametrize(
    ("role", "statuses"),
    [
        (Role.SERVICE, (200, 403, 403)),
        (Role.CODER, (403, 200, 403)),
        (Role.SUPERVISOR, (403, 200, 403)),
        (Role.ADMIN, (200, 200, 200)),
    ],
)
def test_a_role_may_do_what_the_table_says(site: Site, role: Role, statuses: tuple[int, ...]) -> None:
    key = site.key(role)
    paths = ("/api/v1/predict", "/review?", "/api/v1/admin")
    if role is Role.SERVICE:  # a program has no session, which the page of this site shows
        assert site.client.get(paths[1], headers=bearer(key)).status_code == statuses[1]
    browser = site.browser()
    site.log_in(browser, role=role)
    assert tuple(browser.get(path).status_code for path in paths) == statuses


def test_a_revoked_key_is_out_within_a_second(site: Site) -> None:
    key = site.key()
    assert site.client.get("/api/v1/predict", headers=bearer(key)).status_code == 200
    site.security.keys.revoke(key.split("_")[1], "tests")
    assert site.client.get("/api/v1/predict", headers=bearer(key)).status_code == 401


def test_a_bad_key_is_refused_beside_a_good_session(site: Site) -> None:
    site.log_in(site.client)
    assert site.client.get("/review", headers=bearer("cc_x")).status_code == 401
    assert site.client.get("/review").json()["user"] == "maria"
    assert site.client.get("/review", headers={"Authorization": "Basic eDp5"}).json()["user"] == "maria"


def test_a_session_that_was_ended_is_out(site: Site) -> None:
    site.log_in(site.client)
    site.security.sessions.end_all("maria", "tests")
    assert site.client.get("/review").status_code == 303


@pytest.mark.parametrize(
    ("headers", "form", "status"),
    [
        ({}, {"csrf_token": "own"}, 200),
        ({"X-CSRF-Token": "own"}, {}, 200),
        ({"X-CSRF-Token": "own", "Origin": URL, "Sec-Fetch-Site": "same-origin"}, {}, 200),
        ({"X-CSRF-Token": "own", "Origin": "http://localhost:8000"}, {}, 200),
        ({}, {}, 403),
        ({}, {"csrf_token": ""}, 403),
        ({}, {"csrf_token": "wrong"}, 403),
        ({}, {"csrf_token": "other"}, 403),
        ({"X-CSRF-Token": "other"}, {}, 403),
        ({"X-CSRF-Token": "wrong"}, {"csrf_token": "own"}, 403),
        ({"X-CSRF-Token": "own", "Origin": OTHER}, {}, 403),
        ({"X-CSRF-Token": "own", "Origin": "null"}, {}, 403),
        ({"X-CSRF-Token": "own", "Origin": "http://127.0.0.1:8001"}, {}, 403),
        ({"X-CSRF-Token": "own", "Origin": "https://127.0.0.1:8000"}, {}, 403),
        ({"X-CSRF-Token": "own", "Sec-Fetch-Site": "cross-site"}, {}, 403),
        ({"X-CSRF-Token": "own", "Sec-Fetch-Site": "same-site"}, {}, 403),
    ],
)
def test_a_session_writes_from_its_own_pages_alone(
    site: Site, headers: dict[str, str], form: dict[str, str], status: int
) -> None:
    tokens = {"own": site.log_in(site.client), "other": site.log_in(site.browser(), "noor")}
    headers = {name: tokens.get(value, value) for name, value in headers.items()}
    form = {"what": "accept"} | {name: tokens.get(value, value) for name, value in form.items()}
    response = site.client.post("/review/decide", data=form, headers=headers)
    assert response.status_code == status
    assert (response.json() == "user:maria accept") if status == 200 else (code_of(response) == "csrf")


@pytest.mark.parametrize(
    ("public_url", "host", "origin", "status"),
    [
        (None, "coding.lan:8000", "http://coding.lan:8000", 200),
        (None, "coding.lan", "https://coding.lan", 200),
        (None, "coding.lan:8000", "http://coding.lan:8001", 403),
        (None, "coding.lan:8000", "http://evil.example", 403),
        ("https://coding.hospital.example", "gateway:8000", "https://Coding.Hospital.example", 200),
        ("https://coding.hospital.example", "gateway:8000", "https://hospital.example", 403),
    ],
)
def test_the_origin_is_the_public_address_or_the_one_that_was_asked(
    make: Callable[..., Site], public_url: str | None, host: str, origin: str, status: int
) -> None:
    site = make(gateway_host="0.0.0.0", public_url=public_url)
    cookie = site.security.sessions.start("maria", Role.CODER, method="tests")
    session = site.security.sessions.find(cookie)
    assert session is not None
    headers = {"Host": host, "Origin": origin, "Cookie": f"{site.security.sessions.cookie}={cookie}"}
    response = site.client.post("/review/decide", headers=headers, data={"csrf_token": session.csrf_token})
    assert response.status_code == status


def test_a_token_in_a_json_body_or_the_address_is_none(site: Site) -> None:
    token = site.log_in(site.client)
    assert site.client.post("/review/json", json={"csrf_token": token}).status_code == 403
    assert site.client.post(f"/review/json?csrf_token={token}", json={}).status_code == 403
    assert site.client.post("/review/json", json={}, headers={"X-CSRF-Token": token}).status_code == 200


def test_multipart_forms_carry_the_token_too(site: Site) -> None:
    token = site.log_in(site.client)
    fields = {"csrf_token": (None, token), "what": (None, "accept")}
    assert site.client.post("/review/decide", files=fields).json() == "user:maria accept"
    as_a_file = {"csrf_token": ("t.txt", token), "what": (None, "accept")}
    assert site.client.post("/review/decide", files=as_a_file).status_code == 403


def test_a_token_is_worth_nothing_without_its_cookie_and_a_key_needs_none(site: Site) -> None:
    token = site.log_in(site.client)
    assert site.browser().post("/review/decide", data={"csrf_token": token}).status_code == 401
    key = site.key(Role.ADMIN)
    cross = bearer(key) | {"Origin": OTHER}
    assert site.client.post("/review/decide", data={"what": "x"}, headers=cross).json() == "key:ehr x"


def test_failures_of_an_address_are_throttled_and_others_are_not(make: Callable[..., Site]) -> None:
    site = make()
    key, unused = site.key(), site.key(name="lab")
    noisy, quiet = site.browser("10.0.0.1"), site.browser("10.0.0.2")
    assert noisy.get("/api/v1/predict", headers=bearer(key)).status_code == 200
    statuses = [noisy.get("/api/v1/predict", headers=bearer(f"cc_{i}")).status_code for i in range(25)]
    assert statuses[:20] == [401] * 20
    assert statuses[-2:] == [429] * 2
    refused = noisy.get("/api/v1/predict", headers=bearer(unused))
    assert (refused.status_code, code_of(refused)) == (429, "rate_limited")
    assert 1 <= int(refused.headers["Retry-After"]) <= 120
    # Who was good before, on that address, and anybody elsewhere, get in.
    time.sleep(1.05)
    assert noisy.get("/api/v1/predict", headers=bearer(key)).status_code == 200
    assert quiet.get("/api/v1/predict", headers=bearer(unused)).status_code == 200
    # But not with a key that was revoked since.
    site.security.keys.revoke(key.split("_")[1], "tests")
    assert noisy.get("/api/v1/predict", headers=bearer(key)).status_code == 429


def test_an_old_cookie_or_none_is_no_failed_attempt(site: Site) -> None:
    site.client.cookies.set(site.security.sessions.cookie, "x" * 43)
    assert {site.client.get("/api/v1/predict").status_code for _ in range(40)} == {401}


def test_each_has_a_rate_of_their_own(make: Callable[..., Site]) -> None:
    site = make(rate_limit="5/hour")
    one, two = site.key(), site.key(name="lab")
    statuses = [site.client.get("/api/v1/predict", headers=bearer(one)).status_code for _ in range(7)]
    assert statuses == [200] * 5 + [429] * 2
    refused = site.client.get("/api/v1/predict", headers=bearer(one))
    assert code_of(refused) == "rate_limited"
    assert 1 <= int(refused.headers["Retry-After"]) <= 7200
    assert site.client.get("/api/v1/predict", headers=bearer(two)).status_code == 200


def test_a_rate_that_cannot_be_read_is_refused_at_start(make: Callable[..., Site]) -> None:
    with pytest.raises(ValueError, match="CLINCODE_RATE_LIMIT"):
        make(rate_limit="many")


def test_without_auth_everybody_is_local_but_other_sites_pages(make: Callable[..., Site]) -> None:
    site = make(auth="off")
    assert site.client.get("/api/v1/admin").json() == "local"
    assert site.client.get("/review").json()["user"] == "local"
    assert site.client.post("/review/decide", data={"what": "x"}).json() == "local x"
    assert site.client.post("/api/v1/predict", headers={"Origin": OTHER}).status_code == 403
    assert site.client.post("/api/v1/predict", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403


def test_the_permission_of_every_route_can_be_read(site: Site) -> None:
    found = {(method, path): permission for method, path, permission in permissions_of(site.app)}
    assert found["GET", "/api/v1/predict"] is Permission.PREDICT
    assert found["POST", "/review/decide"] is Permission.REVIEW
    assert found["GET", "/api/v1/admin"] is Permission.ADMIN
    assert found["POST", "/login"] is None
    assert found["GET", "/openapi.json"] is None


def test_permissions_of_routers_and_mounts_are_read_too(tmp_path: object) -> None:
    router = APIRouter(prefix="/inner")
    router.add_api_route("/both", lambda: 1, dependencies=[require(Permission.CODES)])
    outer = APIRouter(prefix="/outer")
    outer.include_router(router, dependencies=[require(Permission.ADMIN), Depends(lambda: None)])
    app = FastAPI(openapi_url=None)
    app.include_router(outer)
    app.mount("/static", StaticFiles(directory=str(tmp_path)))
    assert sorted(permissions_of(app), key=str) == [
        ("*", "/static", None),
        ("GET", "/outer/inner/both", Permission.ADMIN),
        ("GET", "/outer/inner/both", Permission.CODES),
    ]
