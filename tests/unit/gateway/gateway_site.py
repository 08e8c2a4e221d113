"""The whole gateway in this process, its background work included, in front of a stand-in for TorchServe."""

import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import uvicorn
from fastapi.testclient import TestClient
from sqlalchemy import select
from torchserve_stand_in import StandIn

from gateway.app import create_app
from gateway.codes import CodePicker
from gateway.security.permissions import PERMISSIONS, Role
from gateway.services import Services
from gateway.settings import Settings
from gateway.storage.database import Database
from gateway.storage.tables import AuditRow, DeliveryRow, NoteRow

URL = "http://127.0.0.1:8000"
SECRET = "a secret of the tests, which is long enough"
PATIENCE_SECONDS = 15.0
_FOLDER = tempfile.TemporaryDirectory(prefix="clincode-gateway-")


@dataclass
class GatewaySite:
    """``client`` comes with the key of a service; ``torchserve`` is what it asks."""

    services: Services
    client: TestClient
    torchserve: StandIn
    keys: dict[Role, str] = field(default_factory=dict)

    def key(self, role: Role) -> dict[str, str]:
        """The header of a key with all that the role may do."""
        if role not in self.keys:
            name = f"test-{role}-{uuid4().hex[:8]}"
            made = self.services.security.keys.create(name, role, PERMISSIONS[role], "tests")
            self.keys[role] = made.token
        return {"Authorization": f"Bearer {self.keys[role]}"}

    def session(self, role: Role) -> tuple[str, str]:
        """The value of a person's cookie, and the token that goes with it."""
        sessions = self.services.security.sessions
        cookie = sessions.start(f"{role}-person", role, method="tests")
        found = sessions.find(cookie)
        assert found is not None
        return f"{sessions.cookie}={cookie}", found.csrf_token

    def stranger(self, address: str = "testclient") -> TestClient:
        """A client without a key, which shares nothing with ``client``; the application runs already."""
        peer = (address, 50000)
        client = TestClient(self.client.app, URL, follow_redirects=False, raise_server_exceptions=False, client=peer)
        client.portal = self.client.portal  # the application's own event loop
        return client

    def row(self, note_id: str) -> NoteRow:
        return self.services.notes.get(note_id)

    def delivery(self, note_id: str) -> DeliveryRow | None:
        with self.services.database.reading() as session:
            return session.get(DeliveryRow, note_id)

    def audited(self, note_id: str) -> list[str]:
        with self.services.database.reading() as session:
            lines = select(AuditRow.action).where(AuditRow.subject == note_id).order_by(AuditRow.number)
            return list(session.scalars(lines))

    def wait(self, note_id: str, *states: str) -> NoteRow:
        """The note's row as soon as it is in one of the states (default: done)."""
        wanted = states or ("done",)
        self.until(lambda: self.row(note_id).state in wanted, f"{note_id} is not {' or '.join(wanted)}")
        return self.row(note_id)

    def until(self, holds: Callable[[], Any], otherwise: str = "it does not come true") -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while not holds():
            assert time.monotonic() < end, otherwise
            time.sleep(0.01)


@cache
def _migrated() -> Path:
    """An empty database with all tables, to be copied: making them takes longer than most tests."""
    path = Path(_FOLDER.name) / "gateway.db"
    database = Database(f"sqlite:///{path}")
    database.migrate()
    database.close()
    return path


def build_services(folder: Path, torchserve: StandIn, codes: CodePicker, **changes: Any) -> Services:
    """On a new SQLite; ``changes`` are settings."""
    path = folder / f"gateway-{uuid4().hex[:8]}.db"
    if "database_url" not in changes:
        shutil.copy(_migrated(), path)
    values: dict[str, Any] = {
        "secret_key": SECRET,
        "database_url": f"sqlite:///{path}",
        "inference_url": torchserve.url,
        "inference_key_file": torchserve.key_file,
        "rate_limit": "1000000/minute",
    }
    services = Services.build(Settings(**values | changes))
    if "database_url" in changes:
        services.database.migrate()
    return replace(services, codes=codes)  # built once for all tests


@contextmanager
def open_gateway(folder: Path, torchserve: StandIn, codes: CodePicker, **changes: Any) -> Iterator[GatewaySite]:
    """A started gateway, without a socket."""
    services = build_services(folder, torchserve, codes, **changes)
    app = create_app(services.settings, services)
    with TestClient(app, URL, follow_redirects=False, raise_server_exceptions=False) as client:
        site = GatewaySite(services, client, torchserve)
        client.headers.update(site.key(Role.SERVICE))
        yield site


@contextmanager
def serving_gateway(services: Services) -> Iterator[int]:
    """The port of a gateway that is served as ``gateway.run`` serves it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(
            create_app(services.settings, services),
            loop="uvloop",
            http="httptools",
            log_config=None,
            access_log=False,
            server_header=False,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        yield listening.getsockname()[1]
        server.should_exit = True
        thread.join(PATIENCE_SECONDS)


def body(text: str = "Patient has pneumonia today.", **changes: Any) -> dict[str, Any]:
    """A note's request, but for what is changed."""
    return {"note_id": str(uuid4()), "note_text": text, "note_type": "progress_note", **changes}


def code_of(response: Any) -> str:
    return str(response.json()["error"]["code"])
