"""A request that the model did not answer is remembered while two versions are compared, and only then."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from gateway_site import GatewaySite, body
from sqlalchemy import select
from torchserve_stand_in import StandIn, breaks_off, says

from clincode.errors import ClincodeError
from gateway.errors import GatewayError, conflict
from gateway.serving.failures import is_failure, keep_failure
from gateway.serving.routing import Routing, read_routing
from gateway.storage.audit import Audit
from gateway.storage.database import Database
from gateway.storage.retention import Retention
from gateway.storage.tables import FailureRow

ERROR = GatewayError(504, "deadline_exceeded", "too late")


def routing(folder: Path, **more: object) -> Routing:
    targets = {name: {"url": f"http://127.0.0.1/{name}", "key_file": "keys.json"} for name in ("stable", "next")}
    path = folder / "routing.yaml"
    path.write_text(yaml.safe_dump({"production": "stable", "targets": targets, **more}), encoding="utf-8")
    return read_routing(path)


def kept(database: Database) -> list[tuple[str, str, str]]:
    with database.reading() as session:
        return [(row.note_id, row.route, row.code) for row in session.scalars(select(FailureRow))]


@pytest.mark.parametrize(
    ("error", "counts"),
    [
        (ERROR, True),
        (GatewayError(503, "model_unavailable", "away"), True),
        (GatewayError(503, "queue_full", "too many"), False),
        (GatewayError(422, "too_long", "of the note"), False),
        (conflict("note_id_taken", "another text"), False),
        (ClincodeError("internal_error", "ours"), True),
        (KeyError("start_char"), True),
    ],
)
def test_what_counts(error: Exception, counts: bool) -> None:
    assert is_failure(error) is counts


def test_a_note_is_kept_once_and_its_target_with_it(database: Database, tmp_path: Path) -> None:
    compared = routing(tmp_path, canary={"target": "next", "share": 1.0})
    for _ in range(2):
        keep_failure(database, compared, "A-note", ERROR)
    keep_failure(database, compared, "b", KeyError("x"))
    assert kept(database) == [("A-note", "next", "deadline_exceeded"), ("b", "next", "internal_error")]


def test_nothing_is_kept_where_nothing_is_compared(database: Database, tmp_path: Path) -> None:
    keep_failure(database, routing(tmp_path), "a", ERROR)
    assert kept(database) == []


def test_a_database_that_is_away_is_no_fault_of_the_clients(tmp_path: Path) -> None:
    nowhere = Database(f"sqlite:///{tmp_path}/none/x.db")
    keep_failure(nowhere, routing(tmp_path, canary={"target": "next", "share": 1.0}), "a", ERROR)


def test_failures_go_with_the_notes_of_their_time(database: Database, audit: Audit) -> None:
    now = datetime.now(UTC)
    with database.transaction() as session:
        for name, days in (("old", 31), ("new", 29)):
            session.add(FailureRow(note_id=name, at=now - timedelta(days=days), route="next", code="x"))
    Retention(database, audit, 30).purge()
    assert [name for name, _, _ in kept(database)] == ["new"]


def test_through_the_api(open_site: Callable[..., GatewaySite], torchserve: StandIn, tmp_path: Path) -> None:
    """Both versions are the same stand-in: what breaks off is asked of production too, and fails."""
    target = {"url": torchserve.url, "key_file": str(torchserve.key_file)}
    path = tmp_path / "routing.yaml"
    content = {"production": "stable", "targets": {"stable": target, "next": target}}
    path.write_text(yaml.safe_dump(content | {"canary": {"target": "next", "share": 1.0}}), encoding="utf-8")
    site = open_site(routing_file=path)
    torchserve.by_word = {"tuberculosis": breaks_off, "sarcoidosis": says(422, "too_long")}
    good, bad, worse, refused = body(), body("tuberculosis"), body("Tuberculosis: tuberculosis."), body("sarcoidosis")
    assert site.client.post("/api/v1/predict", json=good).status_code == 200
    assert site.client.post("/api/v1/predict", json=bad).status_code == 503
    assert "error" in site.client.post("/api/v1/predict/batch", json={"notes": [worse]}).json()["results"][0]
    assert site.client.post("/api/v1/predict", json=refused).status_code == 422
    found = {name: (route, code) for name, route, code in kept(site.services.database)}
    assert found == dict.fromkeys((bad["note_id"], worse["note_id"]), ("next", "model_unavailable"))
