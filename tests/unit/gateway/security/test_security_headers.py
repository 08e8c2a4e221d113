"""The outermost layer: headers, request ids, the bound on bodies and the check of the host's name."""

import re
from collections.abc import Callable, Iterator

import pytest
from security_site import Site, bearer

from gateway.security.headers import BODY_BYTES, CONTENT_POLICY
from gateway.security.origins import is_own_host

EVERYWHERE = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/open", 200),
        ("GET", "/login", 200),
        ("GET", "/nowhere", 404),
        ("PUT", "/open", 405),
        ("GET", "/api/v1/predict", 401),
        ("GET", "/review", 303),
        ("GET", "/crash", 500),
    ],
)
def test_every_answer_has_the_headers(site: Site, method: str, path: str, status: int) -> None:
    response = site.client.request(method, path)
    assert response.status_code == status
    assert {name: response.headers.get(name) for name in EVERYWHERE} == EVERYWHERE
    assert "Permissions-Policy" in response.headers
    assert UUID.fullmatch(response.headers["X-Request-ID"])
    assert "Strict-Transport-Security" not in response.headers
    for name in EVERYWHERE:
        assert len(response.headers.get_list(name)) == 1


def test_nothing_inline_or_foreign_is_allowed() -> None:
    assert "unsafe" not in CONTENT_POLICY
    assert "http" not in CONTENT_POLICY
    assert CONTENT_POLICY.startswith("default-src 'none'; script-src 'self';")


def test_a_crash_tells_its_code_alone(site: Site) -> None:
    response = site.client.get("/crash")
    assert response.json()["error"]["code"] == "internal_error"
    assert "note" not in response.text


def test_static_files_may_be_kept(site: Site) -> None:
    assert "Cache-Control" not in site.client.get("/review/static/app.css").headers


def test_over_tls_browsers_are_told_to_stay_there(make: Callable[..., Site]) -> None:
    site = make(public_url="https://coding.hospital.example")
    assert site.client.get("/open").headers["Strict-Transport-Security"] == "max-age=31536000"


@pytest.mark.parametrize(
    ("sent", "is_kept"),
    [
        ("abc-1._Z", True),
        ("x" * 64, True),
        ("x" * 65, False),
        ("a b", False),
        ("<script>", False),
        ("a\tb", False),
        ("", False),
    ],
)
def test_a_clients_request_id_is_kept_if_it_is_harmless(site: Site, sent: str, is_kept: bool) -> None:
    response = site.client.get("/open", headers={"X-Request-ID": sent})
    given = response.headers["X-Request-ID"]
    assert response.json() == given
    assert (given == sent) is is_kept
    assert is_kept or UUID.fullmatch(given)


def chunks(size: int, of: int = 65_536) -> Iterator[bytes]:
    """A body without a Content-Length."""
    while size > 0:
        yield b"x" * min(of, size)
        size -= of


@pytest.mark.parametrize("is_chunked", [True, False])
@pytest.mark.parametrize(
    ("path", "size", "status"),
    [
        ("/open", BODY_BYTES, 200),
        ("/open", BODY_BYTES + 1, 413),
        ("/review/json", BODY_BYTES + 1, 413),  # read by FastAPI, which makes a 400 of every fault of reading
        ("/review/decide", BODY_BYTES + 1, 413),
        ("/api/v1/predict/batch", 8 * BODY_BYTES, 200),
        ("/api/v1/predict/batch", 8 * BODY_BYTES + 1, 413),
    ],
)
def test_a_body_is_bounded(site: Site, path: str, size: int, status: int, is_chunked: bool) -> None:
    headers = bearer(site.key(site.security.local_session.role))
    if path == "/review/decide":
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    elif path == "/review/json":
        headers["Content-Type"] = "application/json"
    content = chunks(size) if is_chunked else b"x" * size
    response = site.client.post(path, content=content, headers=headers)
    assert response.status_code == status
    if status == 413:
        bound = 8 * BODY_BYTES if "batch" in path else BODY_BYTES
        message = f"the body is larger than {bound} bytes"
        assert response.json() == {"error": {"code": "body_too_large", "message": message, "field": None}}
        assert response.headers["X-Frame-Options"] == "DENY"
    else:
        assert response.json() == size


@pytest.mark.parametrize("length", ["9" * 5000, "99999999999999999999", "1048577"])
def test_a_length_that_is_said_is_believed_when_it_is_too_much(site: Site, length: str) -> None:
    assert site.client.post("/open", content=b"", headers={"Content-Length": length}).status_code == 413


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8000", 200),
        ("localhost:8000", 200),
        ("LOCALHOST", 200),
        ("localhost.", 200),
        ("[::1]:8000", 200),
        ("coding.hospital.example", 200),
        ("evil.example", 421),
        ("evil.example:8000", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("evil.example@localhost", 421),
        ("localhost/evil", 421),
        ("", 421),
    ],
)
def test_on_loopback_the_host_must_be_a_name_of_the_gateway(make: Callable[..., Site], host: str, status: int) -> None:
    site = make(auth="off", public_url="http://coding.hospital.example")
    response = site.client.get("/open", headers={"Host": host})
    assert response.status_code == status
    if status == 421:
        assert response.json()["error"]["code"] == "bad_host"
        assert response.headers["Cache-Control"] == "no-store"


def test_elsewhere_the_name_is_the_operators_affair(make: Callable[..., Site]) -> None:
    site = make(gateway_host="0.0.0.0", public_url="https://coding.hospital.example")
    assert site.client.get("/open", headers={"Host": "gateway.cluster.local:8000"}).status_code == 200


@pytest.mark.parametrize("header", ["[", "[::1", "a b", "localhost\\x", "user:pass@localhost", "?", "#localhost"])
def test_a_host_that_cannot_be_read_is_nobodys(header: str) -> None:
    assert not is_own_host(header, frozenset({"localhost"}))
