"""The probes of deploy/, as programs of their own, against what answers like TorchServe and a gateway."""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

PROBES = Path(__file__).resolve().parents[2] / "deploy" / "probes"
ENTITIES = {"entities": [{"text": "Chest pain"}]}


class Place:
    """One address for all of TorchServe's and the gateway's; ``says`` maps a path to status and JSON."""

    def __init__(self, folder: Path) -> None:
        self.says: dict[str, tuple[int, Any]] = {}
        self.keys: dict[str, str | None] = {}
        self.delay = 0.0
        place = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                place.keys[self.path] = self.headers["Authorization"]
                time.sleep(place.delay)
                status, body = place.says.get(self.path, (404, {"code": 404}))
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

            def do_POST(self) -> None:
                self.do_GET()

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.port = self.server.server_address[1]
        keys = {"management": {"key": "m-key"}, "inference": {"key": "i-key"}}
        (folder / "key_file.json").write_text(json.dumps(keys), encoding="utf-8")

    def worker(self, *statuses: str) -> None:
        workers = [{"status": status} for status in statuses]
        self.says["/models/bert-clinical-ner"] = (200, [{"workers": workers}])

    def probe(self, which: str, **variables: str) -> tuple[int, str]:
        environment = {
            "TS_INFERENCE_ADDRESS": f"http://0.0.0.0:{self.port}",
            "TS_MANAGEMENT_ADDRESS": f"http://127.0.0.1:{self.port}",
            "CLINCODE_RUN_DIR": str(self.folder),
            "CLINCODE_GATEWAY_PORT": str(self.port),
            "CLINCODE_PROBE_SECONDS": "2",
            "http_proxy": "http://127.0.0.1:1",  # is not asked
            **variables,
        }
        # -I -S: nothing but the standard library is there.
        command = [sys.executable, "-I", "-S", PROBES / "ready.py", which]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
        assert "key" not in done.stderr.replace("key_file.json has no key", "")
        return done.returncode, done.stderr.strip()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    running = Place(tmp_path)
    threading.Thread(target=running.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    running.worker("READY")
    running.says["/predictions/bert-clinical-ner"] = (200, ENTITIES)
    running.says["/ping"] = (200, {"status": "Healthy"})
    running.says["/health/live"] = (200, {"status": "ok"})
    yield running
    running.server.shutdown()
    running.server.server_close()


def test_a_ready_worker_that_answers_is_ready_and_each_is_asked_with_its_own_key(place: Place) -> None:
    assert place.probe("model") == (0, "")
    assert place.keys == {
        "/models/bert-clinical-ner": "Bearer m-key",
        "/predictions/bert-clinical-ner": "Bearer i-key",
    }


def loading(place: Place) -> None:
    place.worker("UNLOADING")


def without_workers(place: Place) -> None:
    place.worker()


def unknown_model(place: Place) -> None:
    place.says["/models/bert-clinical-ner"] = (404, {"code": 404, "type": "ModelNotFoundException"})


def refused_key(place: Place) -> None:
    place.says["/models/bert-clinical-ner"] = (400, {"type": "InvalidKeyException"})


def failing_inference(place: Place) -> None:
    place.says["/predictions/bert-clinical-ner"] = (500, {"code": 500})


def empty_answer(place: Place) -> None:
    place.says["/predictions/bert-clinical-ner"] = (200, {"entities": []})


def no_json(place: Place) -> None:
    place.says["/predictions/bert-clinical-ner"] = (200, b"<html>")


def hanging(place: Place) -> None:
    place.delay = 3


def not_started(place: Place) -> None:
    (place.folder / "key_file.json").unlink()


def half_a_key_file(place: Place) -> None:
    (place.folder / "key_file.json").write_text('{"management": ', encoding="utf-8")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (loading, "no worker is ready (UNLOADING)"),
        (without_workers, "no worker is ready (there is none)"),
        (unknown_model, "TorchServe does not know bert-clinical-ner (status 404)"),
        (refused_key, "TorchServe does not know bert-clinical-ner (status 400)"),
        (failing_inference, "the model does not answer a sentence as it should (status 500)"),
        (empty_answer, "the model does not answer a sentence as it should (status 200)"),
        (no_json, "the model does not answer a sentence as it should (status 200)"),
        (hanging, "gives no answer (TimeoutError)"),
        (not_started, "TorchServe has not started"),
        (half_a_key_file, "TorchServe has not started"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_not_ready_says_why(place: Place, fault: Callable[[Place], None], reason: str) -> None:
    """TorchServe's /ping is healthy all the while."""
    fault(place)
    code, said = place.probe("model")
    assert code == 1
    assert said.endswith(reason)


def test_alive_is_whatever_answers(place: Place) -> None:
    assert place.probe("alive") == (0, "")
    place.says["/ping"] = (400, {"type": "InvalidKeyException"})
    assert place.probe("alive") == (0, "")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        code, said = place.probe("alive", TS_INFERENCE_ADDRESS=f"http://127.0.0.1:{free.getsockname()[1]}")
    assert code == 1
    assert "gives no answer" in said


def test_a_gateway_is_ready_by_its_database_not_by_its_model(place: Place, tmp_path: Path) -> None:
    key = tmp_path / "probe"
    key.write_text("cc_probe\n", encoding="utf-8")
    checks = {"database": True, "model": False, "routing": True}
    place.says["/health/ready"] = (503, {"status": "not_ready", "checks": checks})
    assert place.probe("gateway", CLINCODE_PROBE_KEY_FILE=str(key)) == (0, "")
    assert place.keys["/health/ready"] == "Bearer cc_probe"
    place.says["/health/ready"] = (503, {"status": "not_ready", "checks": checks | {"database": False}})
    code, said = place.probe("gateway", CLINCODE_PROBE_KEY_FILE=str(key))
    assert (code, said.partition(",")[0]) == (1, "the database does not answer")
    place.says["/health/ready"] = (401, {"error": {"code": "unauthenticated"}})
    assert place.probe("gateway", CLINCODE_PROBE_KEY_FILE=str(key))[0] == 1


def test_without_a_key_a_gateway_that_listens_is_ready(place: Place, tmp_path: Path) -> None:
    assert place.probe("gateway", CLINCODE_PROBE_KEY_FILE=str(tmp_path / "none")) == (0, "")
    assert "/health/ready" not in place.keys
    place.says["/health/live"] = (500, {})
    assert place.probe("gateway")[0] == 1


def test_an_unknown_probe_is_refused(place: Place) -> None:
    command = [sys.executable, PROBES / "ready.py", "modle"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 2


def test_draining_waits_for_the_front_and_not_for_ever(tmp_path: Path) -> None:
    file = tmp_path / "front.alive"
    command = [sys.executable, "-I", "-S", PROBES / "drain.py", file]
    assert subprocess.run([*command, "5"], check=False).returncode == 0, "nothing to wait for"
    file.touch()
    waiting = subprocess.Popen([*command, "20"])
    time.sleep(0.6)
    assert waiting.poll() is None
    file.unlink()
    assert waiting.wait(5) == 0
    file.touch()
    assert subprocess.run([*command, "0.3"], capture_output=True, check=False).returncode == 1
