"""The pages on an application of their own, where everybody is let in, and a browser that talks to nobody else."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Request

from gateway.codes import CodePicker
from gateway.review.store import ReviewStore
from gateway.security.permissions import PERMISSIONS, Principal, Role
from gateway.storage.audit import Audit
from gateway.storage.database import Database
from gateway.storage.tables import NoteRow
from gateway.web import routes

TOKEN = "token-of-the-session"


@dataclass
class Who:
    """Who is logged in; tests change it."""

    name: str = "user:maria"
    role: Role = Role.SUPERVISOR

    @property
    def principal(self) -> Principal:
        return Principal(self.name, self.role, PERMISSIONS[self.role])


@dataclass
class Site:
    """The pages' application with its store; ``url`` is there where it is served."""

    app: FastAPI
    database: Database
    store: ReviewStore
    who: Who
    url: str = ""
    added: list[str] = field(default_factory=list)

    def add(self, **values: Any) -> str:
        """An answered note; each came a minute after the one before."""
        number = len(self.added) + 1
        received = datetime.now(UTC) - timedelta(hours=5) + timedelta(minutes=number)
        answer = values.get("answer", {"entities": [], "codes": []})
        note = dict(
            id=str(UUID(int=number)),
            sent_id=str(UUID(int=number)),
            text="",
            text_mac="0" * 64,
            redactions=[],
            note_type="progress_note",
            urgent=False,
            source="notes",
            received_at=received,
            received_by="key:ehr",
            state="done",
            answer=answer,
            answered_at=received + timedelta(seconds=2),
            model_version="bert-clinical-ner-v1.0.0",
            lowest_confidence=min((code["confidence"] for code in answer["codes"]), default=None) if answer else None,
        )
        note |= values
        with self.database.transaction() as session:
            session.add(NoteRow(**note))
        self.added.append(note["id"])
        return str(note["id"])


def make_site(folder: Path, codes: CodePicker) -> Site:
    database = Database(f"sqlite:///{folder / 'gateway.db'}")
    database.migrate()
    audit = Audit(b"k" * 32)
    store = ReviewStore(database, audit, codes)
    app, who = FastAPI(), Who()
    app.state.services = SimpleNamespace(database=database, audit=audit, review=store, codes=codes)
    app.include_router(routes.router)
    routes.mount_static(app)

    def let_in(request: Request) -> Principal:
        request.state.session = SimpleNamespace(csrf_token=TOKEN)
        return who.principal

    for needed in (routes.REVIEWER, routes.OVERSEER):
        app.dependency_overrides[needed.dependency] = let_in
    return Site(app, database, store, who)


@pytest.fixture(scope="session")
def codes() -> CodePicker:
    """The classification; built once."""
    return CodePicker()


@pytest.fixture
def site(tmp_path: Path, codes: CodePicker) -> Iterator[Site]:
    site = make_site(tmp_path, codes)
    yield site
    site.database.close()


@pytest.fixture
def client(site: Site) -> Iterator[httpx.Client]:
    from fastapi.testclient import TestClient

    with TestClient(site.app, follow_redirects=False) as client:
        yield client


@pytest.fixture
def served(site: Site) -> Iterator[Site]:
    """The site on a port of this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(site.app, port=port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + 20
    while not server.started and time.monotonic() < until:
        time.sleep(0.02)
    site.url = f"http://127.0.0.1:{port}"
    yield site
    server.should_exit = True
    thread.join(10)


@pytest.fixture
def make_note() -> Callable[..., tuple[str, dict[str, Any]]]:
    """A text and its answer: entities are (words, type, context …), codes (code, confidence, evidence, flags)."""
    return _make_note


def _make_note(
    text: str, entities: list[tuple[Any, ...]], codes: list[tuple[str, float, list[int], list[str]]]
) -> tuple[str, dict[str, Any]]:
    found = []
    for words, kind, *context in entities:
        start = text.index(words)
        said = context[0] if context else {}
        entity = dict(text=words, type=kind, start_char=start, end_char=start + len(words), confidence=0.9)
        entity |= dict(certainty="affirmed", temporality="current", experiencer="patient", section="ASSESSMENT")
        found.append(entity | dict(icd_codes=[], expansion=None) | said)
    listed = [
        {"code": code, "description": f"Title of {code}", "confidence": each, "evidence": evidence, "flags": flags}
        for code, each, evidence, flags in codes
    ]
    return text, {"entities": found, "codes": listed}
