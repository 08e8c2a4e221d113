"""The login page: a code, its form's own protection, and where it leads."""

import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest
from fastapi.testclient import TestClient
from security_site import URL, Site

from gateway.security.build import Security
from gateway.security.permissions import Role


class Page(HTMLParser):
    """Inputs and links of a page, its labels, and what the policy would not let run."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.inputs: dict[str, dict[str, str | None]] = {}
        self.links: list[str] = []
        self.labelled: set[str | None] = set()
        self.inline: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "input":
            self.inputs[str(found["name"])] = found
        if tag == "a":
            self.links.append(str(found["href"]))
        if tag == "label":
            self.labelled.add(found["for"])
        if tag in {"script", "style"} or any(name.startswith("on") or name == "style" for name in found):
            self.inline.append(tag)


def open_page(client: TestClient, query: str = "") -> dict[str, Any]:
    """The fields of the form as a browser would send them."""
    response = client.get(f"/login{query}")
    assert response.status_code == 200
    return {name: each.get("value") or "" for name, each in Page(response.text).inputs.items()}


def new_code(site: Site, user: str = "maria", role: Role = Role.CODER) -> str:
    return site.security.logins.create(user, role, "tests")


def test_a_link_fills_in_the_code_and_enter_logs_in(site: Site, audited: Callable[[Security], Any]) -> None:
    code = new_code(site)
    for _ in range(3):  # a previewer, a scanner, the person
        form = open_page(site.browser(), f"?code={code}")
        assert form["code"] == code
    form = open_page(site.client, f"?code={code}&next=/review%3Fa=1")
    response = site.client.post("/login", data=form)
    assert (response.status_code, response.headers["Location"]) == (303, "/review?a=1")
    assert site.client.get("/review").json()["user"] == "maria"
    assert "clincode_form" not in site.client.cookies
    assert [line[:2] for line in audited(site.security)][1:] == [("user:maria", "login.succeeded")]
    assert code not in str(audited(site.security))


@pytest.mark.parametrize(
    ("changes", "prefix"),
    [({}, "clincode_"), ({"public_url": "https://coding.hospital.example"}, "__Host-clincode")],
)
def test_the_cookies_flags(make: Callable[..., Site], changes: dict[str, str], prefix: str) -> None:
    site = make(**changes)
    client = site.browser()
    client.base_url = site.security.settings.url
    form = open_page(client)
    response = client.post("/login", data=form | {"code": new_code(site)})
    cookie = next(each for each in response.headers.get_list("set-cookie") if "Max-Age=36000" in each)
    name, *flags = re.split("; ?", cookie)
    assert name.startswith(prefix)
    assert {"HttpOnly", "Path=/", "SameSite=lax"} <= set(flags)
    assert ("Secure" in flags) is bool(changes)
    assert not any(flag.startswith("Domain") for flag in flags)


def test_wrong_used_and_unknown_codes_are_told_apart_by_nobody(site: Site) -> None:
    used = new_code(site)
    site.security.logins.redeem(used)
    texts = set()
    for code in (used, "made up", "", "x" * 1000):
        response = site.client.post("/login", data=open_page(site.client) | {"code": code})
        assert response.status_code == 401
        texts.add(response.text)
    assert len(texts) == 1
    assert 'role="alert"' in texts.pop()


@pytest.mark.parametrize(
    ("form", "headers", "cookie", "status"),
    [
        ({}, {}, "own", 303),
        ({}, {"Origin": URL}, "own", 303),
        ({}, {"Origin": "https://evil.example"}, "own", 403),
        ({}, {"Origin": "null"}, "own", 403),
        ({}, {"Sec-Fetch-Site": "cross-site"}, "own", 403),
        ({}, {}, None, 403),
        ({}, {}, "planted", 403),
        ({"token": ""}, {}, "own", 403),
        ({"token": "0" * 64}, {}, "own", 403),
        ({"token": "é"}, {}, "own", 403),
    ],
)
def test_another_site_cannot_log_somebody_in(
    site: Site, form: dict[str, str], headers: dict[str, str], cookie: str | None, status: int
) -> None:
    code = new_code(site)
    sent = open_page(site.client) | {"code": code} | form
    if cookie != "own":
        site.client.cookies.clear()
        if cookie:
            site.client.cookies.set("clincode_form", "p" * 43)
    assert site.client.post("/login", data=sent, headers=headers).status_code == status
    assert (site.security.logins.redeem(code) is None) is (status == 303)


def test_a_session_that_was_planted_is_not_taken_over(site: Site) -> None:
    name = site.security.sessions.cookie
    attacker = site.security.sessions.start("mallory", Role.CODER, method="tests")
    form = open_page(site.client)
    site.client.cookies.set(name, attacker)
    response = site.client.post("/login", data=form | {"code": new_code(site)})
    fresh = response.cookies[name]
    assert fresh != attacker
    assert site.security.sessions.find(attacker) is None
    session = site.security.sessions.find(fresh)
    assert session is not None
    assert session.user == "maria"


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example", "https:evil.example",
        "javascript:alert(1)", "/\t/evil.example", "/\n/evil.example", "\t//evil.example", " /review", "review", "",
        "/review\r\nSet-Cookie: a=b", "/é", "/" + "x" * 2000, "///evil.example", "//\\evil.example",
    ],
)  # fmt: skip
def test_the_way_on_stays_on_this_gateway(site: Site, target: str) -> None:
    form = open_page(site.client) | {"code": new_code(site), "next": target}
    assert site.client.post("/login", data=form).headers["Location"] == "/review"
    assert site.client.get("/login", params={"next": target}).headers["Location"] == "/review"


def test_guessing_codes_is_throttled(site: Site, audited: Callable[[Security], Any]) -> None:
    form = open_page(site.client)
    statuses = [site.client.post("/login", data=form | {"code": str(i)}).status_code for i in range(24)]
    assert statuses[:20] == [401] * 20
    code = new_code(site)
    refused = site.client.post("/login", data=form | {"code": code})
    assert refused.status_code == 429
    assert "Too many failed attempts; wait and try again." in refused.text
    assert int(refused.headers["Retry-After"]) >= 1
    other = site.browser("10.0.0.9")
    assert other.post("/login", data=open_page(other) | {"code": code}).status_code == 303
    assert sum(line[1] == "login.failed" for line in audited(site.security)) <= 21


def test_who_is_in_is_led_on(site: Site) -> None:
    site.log_in(site.client)
    response = site.client.get("/login?next=/review%3Fa=1")
    assert (response.status_code, response.headers["Location"]) == (303, "/review?a=1")


def test_without_auth_there_is_nothing_to_log_in_to(make: Callable[..., Site]) -> None:
    assert make(auth="off").client.get("/login").headers["Location"] == "/review"


@pytest.mark.parametrize(("token", "status"), [("own", 303), ("other", 403), ("", 403)])
def test_logging_out_ends_the_session_and_needs_its_token(site: Site, token: str, status: int) -> None:
    tokens = {"own": site.log_in(site.client), "other": site.log_in(site.browser(), "noor"), "": ""}
    cookie = site.client.cookies[site.security.sessions.cookie]
    response = site.client.post("/logout", data={"csrf_token": tokens[token]})
    assert response.status_code == status
    assert (site.security.sessions.find(cookie) is None) is (status == 303)
    if status == 303:
        assert response.headers["Location"] == "/login"
        dropped = response.headers["Set-Cookie"]
        assert dropped.startswith(f'{site.security.sessions.cookie}="";')
        assert "Max-Age=0;" in dropped


def test_logging_out_from_another_site_or_without_a_session(site: Site) -> None:
    token = site.log_in(site.client)
    headers = {"Origin": "https://evil.example"}
    assert site.client.post("/logout", data={"csrf_token": token}, headers=headers).status_code == 403
    assert site.browser().post("/logout").status_code == 303
    assert site.client.get("/logout").status_code == 405


def test_the_page_is_usable_and_runs_nothing_inline(site: Site) -> None:
    response = site.client.get("/login", params={"code": '"><script>alert(1)</script>', "next": '/"><b>'})
    page = Page(response.text)
    assert page.inline == []
    visible = {each["id"] for each in page.inputs.values() if each.get("type") != "hidden"}
    assert visible == page.labelled == {"code"}
    assert page.inputs["code"]["value"] == '"><script>alert(1)</script>'
    assert '<html lang="en">' in response.text
    assert not any("oidc" in link for link in page.links)
    assert site.client.get("/login/oidc").status_code == 404
    assert site.client.get("/login/callback").status_code == 404
