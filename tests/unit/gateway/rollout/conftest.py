"""A deployment with two versions: a database on both kinds, a routing file that a gateway reads, and a past to put
notes into."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from rollout_site import BEGAN, MODELS, ROUTING, make_answer

from gateway.rollout.control import Rollouts
from gateway.serving.routing import read_routing
from gateway.storage.audit import Audit
from gateway.storage.database import Database
from gateway.storage.tables import DecisionRow, FailureRow, NoteRow


@pytest.fixture
def routing_file(tmp_path: Path) -> Path:
    path = tmp_path / "routing.yaml"
    path.write_text(ROUTING, encoding="utf-8")
    path.chmod(0o640)
    return path


@pytest.fixture
def rollouts(database: Database, audit: Audit, routing_file: Path) -> Rollouts:
    return Rollouts(database, audit, routing_file)


@pytest.fixture
def add_notes(database: Database, routing_file: Path) -> Callable[..., list[str]]:
    """Puts ``count`` answered notes into the database which the routing file gives to ``target``, and returns their
    ids. ``hits`` of ten entities are accepted by a coder, the others are rejected; none is decided without ``hits``."""
    made = 0

    def add(
        target: str, count: int, *, hits: int | None = None, after: timedelta = timedelta(hours=1), **values: Any
    ) -> list[str]:
        nonlocal made
        routing, ids = read_routing(routing_file), []
        while len(ids) < count:
            made += 1
            note_id = str(UUID(int=made << 64 | made * 7919))
            if routing.target_for(note_id) == target:
                ids.append(note_id)
        at = BEGAN + after
        review = {"review_state": "finished", "finished_at": at, "review_version": 10} if hits is not None else {}
        note = {
            "text": "x" * 60,
            "text_mac": "0" * 64,
            "redactions": [],
            "note_type": "progress_note",
            "urgent": False,
            "source": "notes",
            "received_at": at,
            "received_by": "key:ehr",
            "state": "done",
            "answer": make_answer(),
            "answered_at": at,
            "model_version": MODELS[target],
            "route": target,
            **review,
            **values,
        }
        with database.transaction() as session:
            session.add_all(NoteRow(id=note_id, sent_id=note_id, **note) for note_id in ids)
            session.flush()
            session.add_all(
                DecisionRow(
                    note_id=note_id,
                    number=number + 1,
                    at=at,
                    by="user:maria",
                    kind="accept_entity" if number < (hits or 0) else "reject_entity",
                    body={"kind": "accept_entity" if number < (hits or 0) else "reject_entity", "entity": str(number)},
                )
                for note_id in ids
                for number in range(10 if hits is not None else 0)
            )
        return ids

    return add


@pytest.fixture
def add_failures(database: Database) -> Callable[..., None]:
    """Requests that left no note behind."""

    def add(target: str, count: int, *, after: timedelta = timedelta(hours=1), ids: list[str] | None = None) -> None:
        names = ids or [f"{target}-{number}" for number in range(count)]
        with database.transaction() as session:
            session.add_all(
                FailureRow(note_id=each, at=BEGAN + after, route=target, code="deadline_exceeded") for each in names
            )

    return add


@pytest.fixture
def at() -> Callable[[float], datetime]:
    """So many hours after the rollout began."""
    return lambda hours: (BEGAN + timedelta(hours=hours)).astimezone(UTC)
