"""Who is told that a note is done, how often, and that nothing of the note goes with it."""

import hashlib
import hmac
import json
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from gateway_site import GatewaySite, body, code_of
from sqlalchemy import update
from torchserve_stand_in import StandIn, says, slowly

from gateway.errors import GatewayError
from gateway.security.permissions import Role
from gateway.serving import webhooks as module
from gateway.serving.webhooks import check_webhook_url
from gateway.storage.tables import DeliveryRow

Opener = Callable[..., GatewaySite]
TEXT = "Zyxwort carcinoma of Mr. Harold Whitcombe."


@dataclass
class Receiver:
    """Takes webhooks; ``replies`` are used up first: a status, or a status and an address to go to."""

    url: str
    replies: deque[int | tuple[int, str]] = field(default_factory=deque)
    received: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    delay: float = 0.0


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            found.received.append((self.path, {k.lower(): v for k, v in self.headers.items()}, content))
            time.sleep(found.delay)
            reply = found.replies.popleft() if found.replies else 204
            status, *where = reply if isinstance(reply, tuple) else (reply,)
            self.send_response(status)
            for address in where:
                self.send_header("Location", address)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Receiver(f"http://127.0.0.1:{server.server_address[1]}/hook")
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield found
    server.shutdown()
    server.server_close()


@pytest.fixture
def site(open_site: Opener) -> GatewaySite:
    return open_site(webhook_hosts=("127.0.0.1",))


def post(site: GatewaySite, url: str, text: str = TEXT, **changes: Any) -> str:
    sent = body(text, webhook_url=url, **changes)
    response = site.client.post("/api/v1/notes", json=sent)
    assert response.status_code == 202, response.text
    return str(sent["note_id"])


def state_of(site: GatewaySite, note_id: str) -> str:
    delivery = site.delivery(note_id)
    assert delivery is not None
    return delivery.state


def test_the_note_is_told_done_under_a_signature_that_verifies(site: GatewaySite, receiver: Receiver) -> None:
    note_id = post(site, receiver.url)
    site.until(lambda: state_of(site, note_id) == "delivered")
    ((path, headers, content),) = receiver.received
    assert path == "/hook"
    stamp, digest = (part.split("=", 1)[1] for part in headers["clincode-signature"].split(","))
    key = site.services.settings.derived_key("webhook")
    assert hmac.compare_digest(hmac.new(key, f"{stamp}.".encode() + content, hashlib.sha256).hexdigest(), digest)
    assert abs(time.time() - int(stamp)) < 60
    assert headers["content-type"] == "application/json"
    url = f"http://127.0.0.1:8000/api/v1/notes/{note_id}"
    assert json.loads(content) == {"note_id": note_id, "state": "done", "url": url}
    assert site.row(note_id).state == "done"


def test_nothing_of_the_note_goes_with_it(site: GatewaySite, receiver: Receiver) -> None:
    note_id = post(site, receiver.url)
    site.until(lambda: receiver.received)
    everything = repr(receiver.received).replace(note_id, "")
    assert not any(word in everything for word in ("Zyxwort", "carcinoma", "Whitcombe", "J18", "Pneumonia"))


def test_it_waits_for_the_note(site: GatewaySite, receiver: Receiver) -> None:
    site.torchserve.next.append(slowly(0.4))
    note_id = post(site, receiver.url)
    site.until(lambda: site.torchserve.received)
    time.sleep(0.15)
    assert (receiver.received, state_of(site, note_id)) == ([], "waiting")
    site.until(lambda: receiver.received)


def test_a_note_that_was_given_up_is_told_too(site: GatewaySite, receiver: Receiver) -> None:
    site.torchserve.by_word["Zyxwort"] = says(422, "blank_text")
    note_id = post(site, receiver.url)
    site.until(lambda: receiver.received)
    assert json.loads(receiver.received[0][2])["state"] == "dead"
    assert site.row(note_id).state == "dead"


@pytest.mark.parametrize("fault", [500, 404, 429, 301])
def test_it_is_sent_again_until_it_is_taken_with_a_new_signature(
    site: GatewaySite, receiver: Receiver, fault: int
) -> None:
    receiver.replies.extend([fault] * 3)
    note_id = post(site, receiver.url)
    site.until(lambda: state_of(site, note_id) == "delivered")
    delivery = site.delivery(note_id)
    assert delivery is not None
    assert (delivery.attempts, len(receiver.received)) == (4, 4)
    assert len({content for _, _, content in receiver.received}) == 1


def test_nobody_at_the_address_is_a_fault_like_another(site: GatewaySite) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}/hook"
    note_id = post(site, url)
    site.until(lambda: (site.delivery(note_id) or DeliveryRow(attempts=0)).attempts >= 2)


def test_it_is_given_up_after_so_many_tries(
    site: GatewaySite, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ATTEMPTS", 3)
    receiver.replies.extend([500] * 9)
    note_id = post(site, receiver.url)
    site.until(lambda: state_of(site, note_id) == "dead")
    time.sleep(0.2)
    assert len(receiver.received) == 3
    assert site.row(note_id).state == "done"


def test_no_redirect_is_followed(site: GatewaySite, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ATTEMPTS", 2)
    receiver.replies.extend([(307, receiver.url.replace("/hook", "/elsewhere"))] * 2)
    note_id = post(site, receiver.url)
    site.until(lambda: state_of(site, note_id) == "dead")
    assert [path for path, _, _ in receiver.received] == ["/hook", "/hook"]


HOSTS = ("ehr.example", "127.0.0.1", "Upper.Example")


@pytest.mark.parametrize(
    "url",
    [
        "http://ehr.example/x",
        "https://ehr.example:8443/x?y=1",
        "HTTPS://EHR.EXAMPLE",
        "http://127.0.0.1:9/x",
        "http://upper.example/x",
    ],
)
def test_hosts_of_the_list_are_sent_to(url: str) -> None:
    check_webhook_url(url, HOSTS)


REFUSED = [
    ("http://evil.example/x", "webhook_host_not_allowed"),
    ("http://ehr.example.evil.example/x", "webhook_host_not_allowed"),
    ("http://ehr.example./x", "webhook_host_not_allowed"),
    ("http://evil.example#@ehr.example/", "webhook_host_not_allowed"),
    ("http://evil.example?@ehr.example/", "webhook_host_not_allowed"),
    ("http://169.254.169.254/latest/meta-data", "webhook_host_not_allowed"),
    ("http://2130706433/", "webhook_host_not_allowed"),
    ("http://[::1]/", "webhook_host_not_allowed"),
    ("http://evil.example\\@ehr.example/", "bad_webhook_url"),
    ("http://user@ehr.example/", "bad_webhook_url"),
    ("http://user:word@ehr.example/", "bad_webhook_url"),
    ("http://:word@ehr.example/", "bad_webhook_url"),
    ("ftp://ehr.example/", "bad_webhook_url"),
    ("file:///etc/passwd", "bad_webhook_url"),
    ("//ehr.example/", "bad_webhook_url"),
    ("ehr.example", "bad_webhook_url"),
    ("http://", "bad_webhook_url"),
    ("", "bad_webhook_url"),
    ("http://[::1/", "bad_webhook_url"),
    ("http://ehr.example:99999/", "bad_webhook_url"),
    ("http://ehr.example:port/", "bad_webhook_url"),
    ("http://ehr.ex\nample/", "bad_webhook_url"),
    ("http://ehr.example/a\r\nHost: evil.example", "bad_webhook_url"),
    ("http://ehr.example/\x00", "bad_webhook_url"),
    ("http://ehr.example/\ud800", "bad_webhook_url"),
    ("http://\ud800/", "bad_webhook_url"),
    ("http://ehr.example/" + "x" * 2000, "bad_webhook_url"),
]


@pytest.mark.parametrize(("url", "code"), REFUSED)
def test_other_addresses_are_refused(url: str, code: str) -> None:
    with pytest.raises(GatewayError) as fault:
        check_webhook_url(url, HOSTS)
    assert (fault.value.body.code, fault.value.status, fault.value.body.field) == (code, 422, "webhook_url")


def test_refused_addresses_are_refused_at_intake(open_site: Opener) -> None:
    site = open_site(webhook_hosts=HOSTS)
    for url, code in [*REFUSED, (7, "string_type"), ([], "string_type")]:
        sent = json.dumps(body(TEXT, webhook_url=url))
        response = site.client.post("/api/v1/notes", content=sent, headers={"Content-Type": "application/json"})
        assert (response.status_code, code_of(response)) == (422, code), url
    assert sum(site.services.notes.counts().values()) == 0


def test_without_a_list_nothing_is_sent_anywhere(gateway_site: GatewaySite, receiver: Receiver) -> None:
    response = gateway_site.client.post("/api/v1/notes", json=body(TEXT, webhook_url=receiver.url))
    assert (response.status_code, code_of(response)) == (422, "webhook_host_not_allowed")


def test_a_host_that_is_no_longer_in_the_list_is_not_sent_to(
    site: GatewaySite, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ATTEMPTS", 2)
    monkeypatch.setattr(site.services.webhooks, "_hosts", ("ehr.example",))
    note_id = post(site, receiver.url)
    site.until(lambda: state_of(site, note_id) == "dead")
    assert receiver.received == []


def test_one_address_that_cannot_be_sent_to_does_not_hold_up_the_others(
    site: GatewaySite, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ATTEMPTS", 2)
    site.torchserve.next.append(slowly(0.3))
    bad = post(site, receiver.url)
    with site.services.database.transaction() as session:  # as an older version may have let in
        session.execute(update(DeliveryRow).values(url="http://127.0.0.1:99999/hook"))
    good = post(site, receiver.url)
    site.until(lambda: state_of(site, good) == "delivered")
    site.until(lambda: state_of(site, bad) == "dead")


def test_a_note_that_gets_another_round_is_told_of_again(site: GatewaySite, receiver: Receiver) -> None:
    site.torchserve.next.append(says(422, "blank_text"))
    note_id = post(site, receiver.url)
    site.until(lambda: state_of(site, note_id) == "delivered")
    response = site.client.post(f"/api/v1/notes/{note_id}/requeue", headers=site.key(Role.ADMIN))
    assert response.status_code == 202
    site.until(lambda: len(receiver.received) == 2)
    assert [json.loads(content)["state"] for _, _, content in receiver.received] == ["dead", "done"]


@pytest.mark.parametrize("first", ["/api/v1/predict", "/api/v1/notes"])
def test_a_note_that_is_known_already_is_told_of_too(site: GatewaySite, receiver: Receiver, first: str) -> None:
    sent = body(TEXT)
    assert site.client.post(first, json=sent).is_success
    site.wait(sent["note_id"])
    post(site, receiver.url, note_id=sent["note_id"])
    site.until(lambda: receiver.received)
    assert json.loads(receiver.received[0][2])["state"] == "done"
    post(site, receiver.url, note_id=sent["note_id"])  # once is enough
    time.sleep(0.2)
    assert len(receiver.received) == 1


def test_an_answer_by_predict_wakes_the_webhook_of_a_note_that_waits(
    open_site: Opener, torchserve: StandIn, receiver: Receiver
) -> None:
    site = open_site(webhook_hosts=("127.0.0.1",), slots=1)
    torchserve.next.extend([says(500, "analysis_failed")])
    site.services.worker._pause = 0.6  # the worker sleeps meanwhile
    sent = body(TEXT)
    note_id = post(site, receiver.url, note_id=sent["note_id"])
    site.until(lambda: site.row(note_id).error or site.row(note_id).state == "done")
    assert site.client.post("/api/v1/predict", json=sent).status_code == 200
    site.until(lambda: receiver.received)
    row = site.row(note_id)
    assert (row.state, row.error, row.next_attempt_at) == ("done", None, None)
    assert "note.predicted" in site.audited(note_id)
