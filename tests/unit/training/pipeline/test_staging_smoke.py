"""Whether a staged model answers: what counts as a fault, and asking a server."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from training.pipeline.smoke import ask_server, faults_of

VERSION = "bert-clinical-ner-v1.1.0"
TEXT = "Denies zebrafever."


def answer(**changes: Any) -> dict[str, Any]:
    entities = [{"text": "zebrafever", "start_char": 7, "end_char": 17}]
    return {"model_version": VERSION, "entities": entities, **changes}


@pytest.mark.parametrize(
    ("answers", "faults"),
    [
        ([answer(), answer()], []),
        ([answer(), answer(entities=[])], []),
        ([answer(entities=[]), answer(entities=[])], ["something is found in 0 of 2 notes only"]),
        ([answer(), "HTTP 503"], ["note 2: HTTP 503"]),
        ([answer(), answer(model_version="other")], ["note 2: answered by other"]),
        (
            [answer(), answer(entities=[{"text": "zebrafever", "start_char": 6, "end_char": 16}])],
            ["note 2: 1 entities are not where they are said to be"],
        ),
    ],
)
def test_faults_name_the_note_by_its_place(answers: list[Any], faults: list[str]) -> None:
    found = faults_of(answers, [TEXT, TEXT], VERSION)
    assert found == faults
    assert "zebrafever" not in " ".join(found)


class Server(BaseHTTPRequestHandler):
    status = 200
    seen: list[tuple[str | None, dict[str, Any]]] = []  # noqa: RUF012 - one server, one list

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.seen.append((self.headers.get("Authorization"), body))
        content = json.dumps(answer()).encode()
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    Server.status, Server.seen = 200, []
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}/predictions/m"
        running.shutdown()
        thread.join()


def test_a_server_is_asked_with_its_key(server: str, tmp_path: Path) -> None:
    key = tmp_path / "key.json"
    key.write_text(json.dumps({"inference": {"key": "k-1"}}))
    assert ask_server(server, key, [TEXT], VERSION) == []
    ((authorization, body),) = Server.seen
    assert authorization == "Bearer k-1"
    assert (body["note_text"], body["note_type"]) == (TEXT, "progress_note")


def test_a_server_that_refuses_is_a_fault(server: str) -> None:
    Server.status = 401
    assert ask_server(server, None, [TEXT], VERSION)[0] == "note 1: HTTP 401"


def test_no_server_is_a_fault() -> None:
    assert ask_server("http://127.0.0.1:9/predictions/m", None, [TEXT], VERSION)[0] == "note 1: ConnectError"
