"""Requests that mean harm, byte for byte over a socket: each is refused in the envelope, and nothing is given away."""

import base64
import json
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from gateway_site import body, build_services, serving_gateway
from postgresql_server import PostgreSql
from torchserve_stand_in import running_stand_in

from gateway.codes import CodePicker
from gateway.security.headers import BODY_BYTES_OF
from gateway.security.permissions import PERMISSIONS, Role

SECRET_WORDS = "Zyxwort carcinoma"
JSON = "application/json"
# Whatever of these is in an answer: somebody has read a file, or code has broken.
LEAKS = ("root:", "Traceback", "site-packages", 'File "', "jinja2", "import ", "sqlalchemy", "/work/", "Zyxwort")


@dataclass
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key == name.lower()), "")


@dataclass
class Wire:
    """A served gateway, and a key with every permission."""

    port: int
    key: str

    def send(self, *pieces: bytes) -> Answer:
        """Bytes as they are; the answer of the server, or status 0 where it only hangs up."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            with suppress(ConnectionError):
                for piece in pieces:
                    connection.sendall(piece)
            received = b""
            with suppress(ConnectionError):
                while chunk := connection.recv(1 << 16):
                    received += chunk
        head, _, content = received.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines[1:])]
        return Answer(int(lines[0].split(" ")[1]) if received else 0, headers, content)

    def ask(
        self, method: str, target: str, content: bytes = b"", kind: str = JSON, *, chunked: bool = False, more: str = ""
    ) -> Answer:
        size = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(content)}"
        head = f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self.key}\r\n"
        head += f"Connection: close\r\nContent-Type: {kind}\r\n{size}\r\n{more}\r\n"
        if chunked:
            content = b"%x\r\n%b\r\n0\r\n\r\n" % (len(content), content) if content else b"0\r\n\r\n"
        return self.send(head.encode("latin-1"), content)


@pytest.fixture(scope="module")
def wire(tmp_path_factory: pytest.TempPathFactory, code_picker: CodePicker, postgresql: PostgreSql) -> Iterator[Wire]:
    """On PostgreSQL, which takes fewer characters than SQLite."""
    folder = tmp_path_factory.mktemp("hostile")
    with running_stand_in(folder) as stand_in:
        services = build_services(folder, stand_in, code_picker, database_url=postgresql.new_database())
        made = services.security.keys.create("hostile", Role.ADMIN, PERMISSIONS[Role.ADMIN], "tests")
        with serving_gateway(services) as port:
            yield Wire(port, made.token)


def check(answer: Answer, *statuses: int) -> None:
    """It is refused, in the form of its route, and gives nothing away."""
    assert 400 <= answer.status < 500, answer
    if statuses:
        assert answer.status in statuses, answer
    text = answer.body.decode()
    assert not [leak for leak in LEAKS if leak in text], text[:500]
    if answer.header("content-type").startswith("application/hl7-v2"):
        assert text.startswith("MSH|")
    elif answer.header("content-type") == "application/fhir+json":
        assert json.loads(text)["resourceType"] == "OperationOutcome"
    else:
        assert json.loads(text).keys() == {"error"}
        assert json.loads(text)["error"].keys() == {"code", "message", "field"}
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", answer.header("x-request-id"))
    assert answer.header("x-content-type-options") == "nosniff"


TRAVERSALS = [
    "../pages.py",
    "../../pages.py",
    "../../../../../../../../etc/passwd",
    "%2e%2e/pages.py",
    "%2e%2e%2fpages.py",
    "..%2fpages.py",
    "%252e%252e%252fpages.py",
    "..%252f..%252f..%252fetc%252fpasswd",
    "/etc/passwd",
    "%2fetc%2fpasswd",
    "//etc/passwd",
    "..;/pages.py",
    "..;/..;/..;/etc/passwd",
    "..%5cpages.py",
    "..\\..\\etc\\passwd",
    "....//....//etc/passwd",
    "%c0%ae%c0%ae/pages.py",
    "..%c0%afpages.py",
    "%u002e%u002e/pages.py",
    "file:///etc/passwd",
    "review.css/../../pages.py",
    "review.css%00",
    "%00",
    "..%00/pages.py",
    "%ff%fe",
    "%",
    "%zz",
    "a" * 300,
    "a/" * 3000,
    "~root",
    ".git/config",
]
PLACES = {
    "static": "/review/static/{}",
    "note": "/api/v1/notes/{}",
    "original": "/api/v1/notes/{}/original",
    "bundle": "/api/v1/fhir/Bundle/{}",
    "unknown": "/api/v2/{}",
}


@pytest.mark.parametrize("place", PLACES)
def test_no_way_leads_out_of_a_folder(wire: Wire, place: str) -> None:
    for way in TRAVERSALS:
        answer = wire.ask("GET", PLACES[place].format(way))
        assert answer.status in {400, 404, 405}, (way, answer)
        check(answer)


@pytest.mark.parametrize("place", ["/review/notes/{}", "/review/notes/{}/entities/0"])
def test_no_page_leads_out_either(wire: Wire, place: str) -> None:
    for way in TRAVERSALS:
        answer = wire.ask("GET", place.format(way))
        assert answer.status in {400, 404}, (way, answer)
        assert not [leak for leak in LEAKS if leak in answer.body.decode()], way


POSTS: dict[str, tuple[str, bool]] = {
    "/api/v1/predict": (JSON, True),
    "/api/v1/predict/batch": (JSON, True),
    "/api/v1/notes": (JSON, True),
    "/api/v1/fhir/DocumentReference": ("application/fhir+json", True),
    "/api/v1/hl7/v2": ("application/hl7-v2", True),
    "/review/notes/{}/decisions": (JSON, True),
    "/login": ("application/x-www-form-urlencoded", True),
    # Without a session nothing of their bodies is ever read.
    "/api/v1/notes/{}/requeue": (JSON, False),
    "/api/v1/health": (JSON, False),
    "/logout": ("application/x-www-form-urlencoded", False),
}


@pytest.mark.parametrize("path", POSTS)
def test_a_body_has_an_end(wire: Wire, path: str) -> None:
    kind, is_read = POSTS[path]
    target = path.format(uuid4())
    size = BODY_BYTES_OF.get(target, 1 << 20) + 1
    told = f"Content-Length: {size}"
    head = f"POST {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {wire.key}\r\nContent-Type: {kind}\r\n"
    check(wire.send(f"{head}{told}\r\nConnection: close\r\n\r\n".encode()), 413)  # before any of it has come
    answer = wire.ask("POST", target, b"a" * size, kind, chunked=True)
    if is_read:
        check(answer, 413)
    else:
        assert answer.status in {200, 303, 404, 413, 503}


def test_the_list_of_posts_is_whole(wire: Wire) -> None:
    document = json.loads(wire.ask("GET", "/openapi.json").body)
    told = {re.sub(r"\{\w+\}", "{}", path) for path, methods in document["paths"].items() if "post" in methods}
    assert told == {path for path in POSTS if path.startswith("/api/")}


def fhir(**attachment: Any) -> bytes:
    text = base64.b64encode(SECRET_WORDS.encode()).decode()
    content = [{"attachment": {"contentType": "text/plain", "data": text} | attachment}]
    return json.dumps({"resourceType": "DocumentReference", "status": "current", "content": content}).encode()


def deep(levels: int, inside: bytes = b"1") -> bytes:
    return b'{"a":' * levels + inside + b"}" * levels


MALFORMED = {
    "empty": b"",
    "nul": b"\x00",
    "half": b'{"note_id": "',
    "deep": deep(100_000),
    "deep list": b"[" * 500_000,
    "wide": json.dumps({str(number): number for number in range(60_000)}).encode(),
    "long number": b'{"note_id": ' + b"9" * 100_000 + b"}",
    "exponent": b'{"note_id": 1e999999}',
    "nan": b'{"note_id": NaN}',
    "twice": b'{"note_text": "Zyxwort", "note_text": "carcinoma"}',
    "latin": '{"note_text": "Zyxwört"}'.encode("latin-1"),
    "utf-16": '{"note_text": "Zyxwort"}'.encode("utf-16"),
    "surrogate": b'{"note_id": "\\ud800", "note_text": "\\udfff Zyxwort", "note_type": "\\ud800"}',
    "surrogate key": b'{"\\ud800": "Zyxwort"}',
    "decision": b'{"version": 0, "decision": {"kind": "\\ud800", "\\ud800": "Zyxwort"}}',
    "decision field": b'{"version": 0, "decision": {"kind": "finish", "\\ud800": "Zyxwort"}}',
    "comment": b'{"version": 0, "decision": {"kind": "comment", "text": "\\ud800 Zyxwort"}}',
    "prototype": b'{"__proto__": {"x": "Zyxwort"}, "constructor": 1}',
    "text": SECRET_WORDS.encode(),
    "xml": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
    "yaml": b"!!python/object/apply:os.system ['id']",
    "list": b'["Zyxwort"]',
    "string": b'"Zyxwort carcinoma"',
    "null": b"null",
    "true": b"true",
    "binary": bytes(range(256)) * 64,
    "fhir url": fhir(url="http://127.0.0.1:1/secret", data=None),
    "fhir html": fhir(contentType="text/html"),
    "fhir charset": fhir(contentType="text/plain; charset=zyx"),
    "fhir codec": fhir(contentType="text/plain; charset=unicode_escape"),
    "fhir header": fhir(contentType="text/plain;\r\nX: Zyxwort"),
    "fhir base64": fhir(data="Zyxwort!"),
    "fhir hash": fhir(hash="Zyxwort"),
    "fhir size": fhir(size=-1),
    "fhir deep": deep(2_000, fhir()),
    "fhir bundle": json.dumps({"resourceType": "Bundle", "type": "history", "entry": [{}] * 6_000}).encode(),
    "fhir entry": b'{"resourceType": "Bundle", "type": "history", "entry": [null, 1, "Zyxwort"]}',
    "fhir types": b'{"resourceType": ["Zyxwort"], "status": {}, "content": "Zyxwort"}',
    "hl7 head": b"MSH|",
    "hl7 separators": b"MSH||||||||MDM^T02|1|P|2.5.1\rTXA|1",
    "hl7 same separators": b"MSH|||||a|b|c||MDM^T02|1|P|2.5.1\rTXA|1|x|Zyxwort",
    "hl7 nul": b"MSH|^~\\&|\x00|\x00",
    "hl7 long": b"MSH|^~\\&|" + b"A" * 100_000,
    "hl7 many": b"MSH|^~\\&|A|B|C|D|1||MDM^T02|1|P|2.5.1\r" + b"OBX|1|TX|||Zyxwort\r" * 20_000,
    "hl7 escapes": b"MSH|^~\\&|A|B|C|D|1||MDM^T02|1|P|2.5.1\rTXA|1|DS\rOBX|1|TX|||\\Xzz\\\\" + b"\\" * 5_000,
    "hl7 codec": b"MSH|^~\\&|A|B|C|D|1||MDM^T02|1|P|2.5.1||||||zyx\rTXA|1|DS||||||||||D1\rOBX|1|TX|||Zyxwort",
    "hl7 batch": b"FHS|^~\\&|A\rBHS|^~\\&|A\rMSH|^~\\&|A",
}


@pytest.mark.parametrize("path", [path for path, (_, is_read) in POSTS.items() if is_read and path != "/login"])
def test_what_does_not_fit_is_refused_and_not_quoted(wire: Wire, path: str) -> None:
    for name, content in MALFORMED.items():
        answer = wire.ask("POST", path.format(uuid4()), content, POSTS[path][0])
        assert 400 <= answer.status < 500, (name, answer)
        check(answer)


@pytest.mark.parametrize(
    "kind", ["text/html", "multipart/form-data", "multipart/form-data; boundary=" + "x" * 300, "/"]
)
def test_bodies_of_another_kind(wire: Wire, kind: str) -> None:
    for path, (own, is_read) in POSTS.items():
        if is_read and own != "application/x-www-form-urlencoded":
            check(wire.ask("POST", path.format(uuid4()), b"--x\r\nZyxwort\r\n", kind), 415, 422)


INJECTION = "x\r\nSet-Cookie: evil=1\r\n\r\n<script>"


def test_nothing_that_is_sent_becomes_a_header(wire: Wire) -> None:
    escaped = INJECTION.replace("\r", "%0d").replace("\n", "%0a").replace(" ", "%20")
    answers = [
        wire.ask("POST", "/api/v1/predict", json.dumps(body(note_id=INJECTION)).encode()),
        wire.ask("POST", "/api/v1/notes", json.dumps(body(webhook_url=f"http://{INJECTION}")).encode()),
        wire.ask("GET", f"/api/v1/notes/{escaped}"),
        wire.ask("GET", f"/api/v1/fhir/Bundle/{escaped}"),
        wire.ask("GET", f"/{escaped}"),
    ]
    for answer in answers:
        check(answer)
        assert "set-cookie" not in dict(answer.headers)
    login = wire.send(f"GET /login?next={escaped} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    way = wire.send(f"GET /review?x={escaped} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    assert (login.status, way.status) == (200, 303)
    for answer in (login, way):
        assert not any("evil" in value for name, value in answer.headers if name != "location")
        assert b"<script>" not in answer.body


@pytest.mark.parametrize("sent", ["a b", "a" * 65, "<x>", "é", "a;b", "\x7f", "a\tb", "../x", "%0d%0a"])
def test_a_request_id_that_does_not_fit_is_replaced(wire: Wire, sent: str) -> None:
    answer = wire.ask("GET", "/api/v1/notes/x", more=f"X-Request-ID: {sent}\r\n")
    assert answer.header("x-request-id") != sent
    if answer.status != 400:  # the server may refuse the character in a header itself
        check(answer, 404)
        assert [name for name, _ in answer.headers].count("x-request-id") == 1


@pytest.mark.parametrize("method", ["TRACE", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "HEAD"])
@pytest.mark.parametrize("path", ["/api/v1/predict", "/api/v1/notes", "/api/v1/fhir/DocumentReference", "/login"])
def test_other_methods(wire: Wire, method: str, path: str) -> None:
    answer = wire.ask(method, path, more="X-Echo: Zyxwort\r\n")
    assert answer.status == 405
    allowed = set(answer.header("allow").split(", "))
    assert allowed
    assert allowed <= {"GET", "POST"}
    if method != "HEAD":
        check(answer)


@pytest.mark.parametrize("method", ["POST", "DELETE", "TRACE"])
def test_other_methods_on_files(wire: Wire, method: str) -> None:
    answer = wire.ask(method, "/review/static/review.css")
    check(answer, 405)
    assert set(answer.header("allow").split(", ")) == {"GET", "HEAD"}


@pytest.mark.parametrize(
    "request_line",
    [
        "CONNECT evil.example:443 HTTP/1.1",
        "GET http://evil.example/ HTTP/1.1",
        "GET /api/v1/notes\x00x HTTP/1.1",
        "GET /api/v1/notes HTTP/9.9",
        "G\x01T / HTTP/1.1",
        "GET",
        "",
    ],
)
def test_what_is_no_request_to_this_server_gets_nothing(wire: Wire, request_line: str) -> None:
    head = f"{request_line}\r\nHost: localhost\r\nAuthorization: Bearer {wire.key}\r\nConnection: close\r\n\r\n"
    answer = wire.send(head.encode("latin-1"))
    assert answer.status in {0, 303, 400, 404, 405}
    assert not any(leak in answer.body.decode() for leak in LEAKS)
    assert "evil" not in str(answer.headers)


@pytest.mark.parametrize(
    "framing",
    [
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Content-Length: -5",
        "Content-Length: 5x",
        "Content-Length: 99999999999999999999999999",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    ],
)
def test_a_body_whose_end_is_in_doubt_is_not_taken(wire: Wire, framing: str) -> None:
    smuggled = b"0\r\n\r\nGET /api/v1/notes HTTP/1.1\r\nHost: localhost\r\n\r\n"
    head = f"POST /api/v1/predict HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {wire.key}\r\n"
    head += f"Content-Type: {JSON}\r\n{framing}\r\n\r\n"
    answer = wire.send(head.encode(), smuggled)
    assert 400 <= answer.status < 500
    assert b"HTTP/1.1" not in answer.body  # one answer, not two


@pytest.mark.parametrize(
    "target",
    [
        "/api/v1/codes?q=" + "a" * 50_000,
        "/api/v1/codes?q=a&limit=" + "9" * 5_000,
        "/api/v1/codes?q=",
        "/api/v1/codes",
        "/api/v1/notes?limit=%00",
        "/api/v1/notes?state=Zyxwort",
        "/api/v1/notes?offset=Zyxwort",
        "/review/codes?q=" + "a" * 50_000,
        "/review/overview?days=Zyxwort",
    ],
)
def test_queries_that_do_not_fit(wire: Wire, target: str) -> None:
    check(wire.ask("GET", target), 422)


@pytest.mark.parametrize(
    "query", ["x=" + "a" * 60_000, "&".join(f"x{n}=1" for n in range(5_000)), "%00=%00", "q=%ff%fe", "&&&==", "x[]=1"]
)
@pytest.mark.parametrize("path", ["/api/v1/notes/{}", "/api/v1/fhir/Bundle/{}"])
def test_queries_that_nobody_asked_for_change_nothing(wire: Wire, path: str, query: str) -> None:
    check(wire.ask("GET", f"{path.format(uuid4())}?{query}"), 404)


@pytest.mark.parametrize("query", ["%00", "%ff", "a" * 200, "%", "'%20OR%201=1--", "(((((", "*", "\\", "%0d%0a", "𝔸"])
def test_odd_words_find_nothing_and_break_nothing(wire: Wire, query: str) -> None:
    quoted = "".join(c if ord(c) < 128 else "".join(f"%{b:02x}" for b in c.encode()) for c in query)
    for path in ("/api/v1/codes?q=", "/review/codes?q=", "/review?department=", "/review/next?after="):
        answer = wire.ask("GET", path + quoted)
        assert answer.status in {200, 303, 404}, answer
        assert b"Traceback" not in answer.body


@pytest.mark.parametrize(
    "header",
    [
        "Authorization: Bearer " + "x" * 20_000,
        "Authorization: Bearer cc_\x7f",
        "Authorization: Basic Zyxwort",
        "Authorization:",
        "Authorization: Bearer a.b.c\r\nAuthorization: Bearer d.e.f",
        "Cookie: clincode_session=" + "x" * 20_000,
        "Cookie: clincode_session=%00; clincode_session=\x7f",
        "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-User: admin\r\nX-Original-URL: /api/v1/notes",
    ],
)
def test_credentials_that_are_none(wire: Wire, header: str) -> None:
    head = f"GET /api/v1/notes HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{header}\r\n\r\n"
    answer = wire.send(head.encode("latin-1"))
    assert answer.status in {400, 401}
    if answer.status == 401:
        check(answer)


def test_characters_that_a_database_does_not_take(wire: Wire) -> None:
    sent = body()
    assert wire.ask("POST", "/api/v1/predict", json.dumps(sent).encode()).status == 200
    decide = f"/review/notes/{sent['note_id']}/decisions"
    for bad in ("a\x00b", "\ud800"):
        comment = {"version": 0, "decision": {"kind": "finish", "comment": bad}}
        check(wire.ask("POST", decide, json.dumps(comment).encode()), 422)
        metadata = body(metadata={"department": bad})
        for path in ("/api/v1/predict", "/api/v1/notes"):
            check(wire.ask("POST", path, json.dumps(metadata).encode()), 422)
        document = json.loads(fhir()) | {"subject": {"reference": f"Patient/{bad}"}, "id": "x"}
        check(wire.ask("POST", "/api/v1/fhir/DocumentReference", json.dumps(document).encode()), 422)
    message = MALFORMED["hl7 codec"].replace(b"zyx", b"ASCII").replace(b"D1", b"D\\X00\\1\x00")
    answer = wire.ask("POST", "/api/v1/hl7/v2", message, "application/hl7-v2")
    assert answer.status in {200, 422}


def test_it_still_serves(wire: Wire) -> None:
    answer = wire.ask("POST", "/api/v1/predict", json.dumps(body()).encode())
    assert answer.status == 200
