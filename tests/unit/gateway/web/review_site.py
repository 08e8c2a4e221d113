"""The pages on an application of their own, where everybody is let in."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

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
        answer = values.get("answer") or {"entities": [], "codes": []}
        note = {
            "id": str(UUID(int=number)),
            "sent_id": str(UUID(int=number)),
            "text": "",
            "text_mac": "0" * 64,
            "redactions": [],
            "note_type": "progress_note",
            "urgent": False,
            "source": "notes",
            "received_at": received,
            "received_by": "key:ehr",
            "state": "done",
            "answer": answer,
            "answered_at": received + timedelta(seconds=2),
            "model_version": "bert-clinical-ner-v1.0.0",
            "lowest_confidence": min((code["confidence"] for code in answer["codes"]), default=None)
            if answer
            else None,
        }
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
