"""What answers like TorchServe's inference address, for the faults that a real TorchServe cannot be made to show.

The bodies of its own refusals are those that TorchServe 0.12 was seen to send. What a model says when all is well is
tested against the real one, in tests/integration.
"""

import json
import re
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

from clincode.phi import find_identifiers

PATH = "/predictions/bert-clinical-ner"
VERSION = "bert-clinical-ner-v9.9.9"
_WORD = re.compile(r"\w{4,}")
Note = Mapping[str, Any]


@dataclass(frozen=True)
class Reply:
    """Status and body, as they are to be sent; ``broken`` cuts the connection in the middle of the body."""

    status: int
    body: Any
    after: float = 0.0
    broken: bool = False


Behaviour = Callable[[Note], Reply]


def answer(note: Note, version: str = VERSION) -> dict[str, Any]:
    """The contract's answer: each word of four letters or more is an entity, every diagnosis has a code."""
    text = note["note_text"]
    kinds = ("DIAGNOSIS", "PROCEDURE", "MEDICATION", "ANATOMY", "TEST")
    entities = [
        {
            "text": word[0],
            "type": kinds[number % len(kinds)],
            "start_char": word.start(),
            "end_char": word.end(),
            "confidence": 0.9,
            "icd_codes": [_code(0.8)] if number % len(kinds) == 0 else [],
            "is_negated": False,
            "negation_trigger": None,
            "certainty": "affirmed",
            "temporality": "current",
            "experiencer": "patient",
            "section": None,
            "expansion": None,
        }
        for number, word in enumerate(_WORD.finditer(text))
    ]
    found = find_identifiers(text)
    return {
        "note_id": note["note_id"],
        "entities": entities,
        "processing_time_ms": 3,
        "model_version": version,
        "codes": [{**_code(0.7), "evidence": [0], "flags": []}] if entities else [],
        "references": [],
        "redactions": [{"start_char": r.start, "end_char": r.end, "category": r.category} for r in found],
        "warnings": [],
    }


def _code(confidence: float) -> dict[str, Any]:
    return {"code": "J18.9", "description": "Pneumonia, unspecified organism", "confidence": confidence}


def answers(note: Note) -> Reply:
    return Reply(200, answer(note))


def slowly(seconds: float) -> Behaviour:
    return lambda note: Reply(200, answer(note), after=seconds)


def says(status: int, code: str, field: str | None = None) -> Behaviour:
    """The handler's own word on this note."""
    return lambda _: Reply(status, {"error": {"code": code, "message": "what the handler says", "field": field}})


def refuses(status: int, kind: str, message: str) -> Behaviour:
    """TorchServe's own."""
    return lambda _: Reply(status, {"code": status, "type": kind, "message": message})


def breaks_off(note: Note) -> Reply:
    return Reply(200, answer(note), broken=True)


def worker_died(_: Note) -> Reply:
    return Reply(500, {"code": 500, "type": "InternalServerException", "message": "Worker died."})


BUSY = refuses(
    503,
    "ServiceUnavailableException",
    'Model "bert-clinical-ner" has no worker to serve inference request. Please use scale workers API to add workers.',
)
STARTING = refuses(503, "InternalServerException", "Prediction failed")
NO_MODEL = refuses(404, "ModelNotFoundException", "Model not found: bert-clinical-ner")


@dataclass(frozen=True)
class Received:
    note: Note
    headers: Mapping[str, str]


@dataclass
class StandIn:
    """``next`` is used up request by request; then a note that holds one of ``by_word`` gets that; others an answer."""

    folder: Path
    port: int = 0
    version: str = VERSION
    key: str = ""
    next: deque[Behaviour] = field(default_factory=deque)
    by_word: dict[str, Behaviour] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)
    refused_keys: int = 0
    most_at_once: int = 0
    _at_once: int = 0
    _server: "ThreadingHTTPServer | None" = None
    _connections: set[socket.socket] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{PATH}"

    @property
    def key_file(self) -> Path:
        return self.folder / f"key_file_{self.port}.json"

    def texts(self) -> list[str]:
        return [each.note["note_text"] for each in self.received]

    def start(self) -> None:
        """On the same port again, with a new key, as TorchServe does."""
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), _handler(self))
        self.port = self._server.server_address[1]
        self.new_key()
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def new_key(self) -> None:
        self.key = uuid4().hex[:8]
        keys = {"inference": {"key": self.key, "expiration time": "2099-01-01T00:00:00Z"}}
        self.key_file.write_text(json.dumps(keys), encoding="utf-8")

    def stop(self) -> None:
        """Away: connections are refused, and those that are open are cut."""
        if self._server is None:
            return
        self._server.shutdown()
        self._server.server_close()
        self._server = None
        with self._lock:
            for connection in self._connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def respond(self, note: Note, headers: Mapping[str, str]) -> Reply:
        with self._lock:
            if headers.get("authorization") != f"Bearer {self.key}":
                self.refused_keys += 1
                said = "Token Authentication failed. Token either incorrect, expired, or not provided correctly"
                return refuses(400, "InvalidKeyException", said)(note)
            self.received.append(Received(note, headers))
            words = [behaviour for word, behaviour in self.by_word.items() if word in note["note_text"]]
            behaviour = self.next.popleft() if self.next else words[0] if words else self._answer
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            reply = behaviour(note)
            time.sleep(reply.after)
            return reply
        finally:
            with self._lock:
                self._at_once -= 1

    def _answer(self, note: Note) -> Reply:
        return Reply(200, answer(note, self.version))


def _handler(stand_in: StandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with stand_in._lock:
                stand_in._connections.add(self.connection)

        def finish(self) -> None:
            with stand_in._lock:
                stand_in._connections.discard(self.connection)
            with suppress(OSError):
                super().finish()

        def handle(self) -> None:
            with suppress(OSError):  # the other side, or ``stop``, has closed
                super().handle()

        def do_POST(self) -> None:
            note = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            reply = stand_in.respond(note, {name.lower(): value for name, value in self.headers.items()})
            body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            self.send_response(reply.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if reply.broken else body)
            self.close_connection = self.close_connection or reply.broken

        def log_message(self, *_: object) -> None: ...

    return Handler


@contextmanager
def running_stand_in(folder: Path, **values: Any) -> Iterator[StandIn]:
    stand_in = StandIn(folder, **values)
    stand_in.start()
    try:
        yield stand_in
    finally:
        stand_in.stop()
