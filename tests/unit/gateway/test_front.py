"""The front of one TorchServe: who gets in, with which key it asks, and how faults look to the gateway behind."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from torchserve_stand_in import BUSY, PATH, StandIn, breaks_off, running_stand_in, says, slowly

from clincode.types import Note
from gateway.errors import GatewayError, ModelUnavailableError
from gateway.front import FrontSettings, create_front
from gateway.serving.torchserve import BrokenOffError, TorchServe

NOTE = Note("3f2b8c1e-5d7a-4e0b-9c6f-2a1d4b8e7f90", "Zyxwort carcinoma of the Quibblebone.")
BODY = {"note_id": NOTE.note_id, "note_text": NOTE.text, "note_type": "progress_note"}


class Running:
    """A front on a port of its own, with everything around it."""

    def __init__(self, folder: Path, torchserve: StandIn) -> None:
        self.torchserve = torchserve
        self.keys = folder / "deployment.json"
        self.alive = folder / "alive"
        self.set_keys(inference="the deployment's key")
        settings = FrontSettings(
            port=8090,
            key_file=self.keys,
            upstream=f"http://127.0.0.1:{torchserve.port}",  # type: ignore[arg-type]
            upstream_key_file=torchserve.key_file,
            response_seconds=5,
            alive_file=self.alive,
        )
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        config = uvicorn.Config(create_front(settings), log_config=None, timeout_graceful_shutdown=5)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)

    def set_keys(self, **keys: str) -> None:
        self.keys.write_text(json.dumps({name: {"key": key} for name, key in keys.items()}), encoding="utf-8")

    def start(self) -> None:
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(10)

    def post(self, path: str = PATH, *, key: str = "the deployment's key", **options: object) -> httpx.Response:
        headers = {"Authorization": f"Bearer {key}"}
        return httpx.post(self.url + path, headers=headers, **({"json": BODY} | options))  # type: ignore[arg-type]

    def ask(self) -> dict[str, object]:
        """As the gateway does."""

        async def run() -> dict[str, object]:
            client = TorchServe(self.url + PATH, self.keys)
            try:
                return await client.predict(NOTE, "req-1")
            finally:
                await client.close()

        return asyncio.run(run())


@pytest.fixture
def torchserve(tmp_path: Path) -> Iterator[StandIn]:
    with running_stand_in(tmp_path) as stand_in:
        yield stand_in


@pytest.fixture
def front(tmp_path: Path, torchserve: StandIn) -> Iterator[Running]:
    running = Running(tmp_path, torchserve)
    running.start()
    yield running
    running.stop()


def test_the_gateway_gets_its_answer_and_torchserve_its_own_key(front: Running) -> None:
    assert front.ask()["note_id"] == NOTE.note_id
    (received,) = front.torchserve.received
    assert received.headers["authorization"] == f"Bearer {front.torchserve.key}"
    assert received.headers["x-request-id"] == "req-1"
    assert received.note == BODY


def test_a_torchserve_that_was_started_again_is_asked_with_its_new_key(front: Running) -> None:
    front.ask()
    front.torchserve.new_key()
    front.ask()
    assert front.torchserve.refused_keys == 1


@pytest.mark.parametrize("key", ["another", "the deployment's ke"])
def test_another_key_is_refused_as_torchserve_refuses_it(front: Running, key: str) -> None:
    answer = front.post(key=key)
    assert (answer.status_code, answer.json()["type"]) == (401, "InvalidKeyException")
    assert front.torchserve.received == []
    assert httpx.post(front.url + PATH, json=BODY).status_code == 401


def test_torchserves_own_key_opens_nothing_here(front: Running) -> None:
    assert front.post(key=front.torchserve.key).status_code == 401


def test_a_key_is_changed_without_a_refusal(front: Running) -> None:
    front.set_keys(inference="new", previous="the deployment's key")
    assert [front.post(key=key).status_code for key in ("new", "the deployment's key")] == [200, 200]
    front.set_keys(inference="new")
    assert front.post(key="another").status_code == 401  # at which the file is read again
    assert [front.post(key=key).status_code for key in ("new", "the deployment's key")] == [200, 401]


def test_without_a_key_file_nobody_gets_in(front: Running) -> None:
    front.keys.unlink()
    assert front.post().status_code == 401
    front.set_keys(inference="")
    assert httpx.post(front.url + PATH, json=BODY, headers={"Authorization": "Bearer"}).status_code == 401


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/models"), ("GET", "/models/bert-clinical-ner"), ("POST", "/models"), ("GET", "/ping"),
        ("GET", PATH), ("PUT", PATH), ("POST", "/predictions/a/b"), ("POST", "/predictions/..%2Fmodels"),
        ("GET", "/token"), ("GET", "/api-description"), ("OPTIONS", "/"), ("GET", "/metrics"),
    ],
)  # fmt: skip
def test_nothing_but_predictions_is_let_through(front: Running, method: str, path: str) -> None:
    answer = httpx.request(method, front.url + path, headers={"Authorization": "Bearer the deployment's key"})
    assert answer.status_code in (404, 405)
    assert front.torchserve.received == []


def test_each_answer_closes_its_connection_so_that_new_replicas_get_notes(front: Running) -> None:
    assert front.post().headers["connection"] == "close"
    assert front.post(key="another").headers["connection"] == "close"


def test_the_handlers_word_and_torchserves_refusals_pass_as_they_are(front: Running) -> None:
    front.torchserve.next.extend([says(422, "invalid_note", "note_text"), BUSY])
    with pytest.raises(GatewayError) as fault:
        front.ask()
    assert fault.value.body.code == "invalid_note"
    with pytest.raises(ModelUnavailableError):
        front.ask()


def test_a_broken_answer_says_that_the_note_was_in_hand(front: Running) -> None:
    front.torchserve.next.append(breaks_off)
    with pytest.raises(BrokenOffError):
        front.ask()


def test_a_torchserve_that_is_away_is_no_fault_of_the_notes(front: Running) -> None:
    front.torchserve.stop()
    assert front.post().status_code == 503
    with pytest.raises(ModelUnavailableError) as fault:
        front.ask()
    assert not isinstance(fault.value, BrokenOffError)


def test_a_body_without_end_is_refused(front: Running) -> None:
    answer = front.post(json=None, content=b" " * ((8 << 20) + 1))
    assert answer.status_code == 413
    assert front.torchserve.received == []


def test_alive_asks_for_no_key(front: Running) -> None:
    assert httpx.get(front.url + "/health/live").json() == {"status": "ok"}


def test_told_to_stop_it_answers_what_it_has_and_then_says_so(front: Running) -> None:
    assert front.alive.exists()
    front.torchserve.next.append(slowly(1.0))
    found: list[int] = []
    asking = threading.Thread(target=lambda: found.append(front.post().status_code))
    asking.start()
    while not front.torchserve.received:
        time.sleep(0.01)
    front._server.should_exit = True
    time.sleep(0.5)
    assert front.alive.exists(), "TorchServe would stop with a note in hand"
    front.stop()
    asking.join()
    assert found == [200]
    assert not front.alive.exists()
