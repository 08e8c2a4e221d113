"""Every note that was accepted is done exactly once, whatever is killed meanwhile: TorchServe's worker, TorchServe, the
gateway itself; on SQLite and on PostgreSQL."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from postgresql_server import running_postgresql
from sqlalchemy import select

from gateway.settings import Settings
from gateway.storage.audit import Audit
from gateway.storage.database import Database
from gateway.storage.tables import AuditRow, NoteRow

from .conftest import Server
from .gateway_server import Gateway, running_gateway

pytestmark = pytest.mark.integration

NOTES = 300
PATIENCE_SECONDS = 300.0
FINDINGS = ["pneumonia", "atrial fibrillation", "type 2 diabetes", "acute cholecystitis", "gout", "anemia", "asthma"]


def test_on_sqlite(server: Server, tmp_path: Path) -> None:
    with running_gateway(server, tmp_path, lease_seconds="5") as gateway:
        kill_everything(server, gateway, f"sqlite:///{tmp_path}/gateway.db")


def test_on_postgresql(server: Server, tmp_path: Path) -> None:
    with running_postgresql() as postgresql:
        url = postgresql.new_database()
        with running_gateway(server, tmp_path, lease_seconds="5", database_url=url) as gateway:
            kill_everything(server, gateway, url)


def kill_everything(server: Server, gateway: Gateway, database_url: str) -> None:
    bodies = [
        {
            "note_id": str(uuid4()),
            "note_text": f"Visit {number}: {FINDINGS[number % len(FINDINGS)]}, no fever.",
            "note_type": "progress_note",
            "priority": "urgent" if number % 10 == 0 else "normal",
        }
        for number in range(NOTES)
    ]
    accepted: list[str] = []
    key = gateway.key()
    deaths = [
        (NOTES // 5, lambda: kill_worker(server)),
        (2 * NOTES // 5, lambda: restart_torchserve(server)),
        (3 * NOTES // 5, lambda: restart_gateway(gateway)),
    ]
    killer = threading.Thread(target=reap, args=(accepted, deaths))
    killer.start()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda body: post_until_accepted(gateway.url, key, body, accepted), bodies))
    killer.join(PATIENCE_SECONDS)
    assert not killer.is_alive()
    assert sorted(accepted) == sorted(str(body["note_id"]) for body in bodies)
    check_each_done_once(gateway, database_url, accepted)


def reap(accepted: list[str], deaths: list[tuple[int, Callable[[], None]]]) -> None:
    for after, kill in deaths:
        while len(accepted) < after:
            time.sleep(0.01)
        kill()


def post_until_accepted(url: str, key: str, body: dict[str, object], accepted: list[str]) -> None:
    """As a careful client does: the same note again until it is acknowledged."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            answer = httpx.post(
                f"{url}/api/v1/notes", json=body, headers={"Authorization": f"Bearer {key}"}, timeout=10
            )
        except httpx.HTTPError:
            time.sleep(0.2)
            continue
        assert answer.status_code == 202, answer.text
        accepted.append(str(body["note_id"]))
        return


def kill_worker(server: Server) -> None:
    for pid in descendants(torchserve_pid(server)):
        kill(pid)


def restart_torchserve(server: Server) -> None:
    pid = torchserve_pid(server)
    workers = descendants(pid)
    for each in [pid, *workers]:
        kill(each)
    time.sleep(1)  # notes go on coming in meanwhile
    server.script("serve.sh", "start")
    server.script("serve.sh", "wait")


def restart_gateway(gateway: Gateway) -> None:
    gateway.kill()
    time.sleep(0.5)
    gateway.start()


def torchserve_pid(server: Server) -> int:
    return int(server.pid_file.read_text())


def descendants(pid: int) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout.split()
    return [each for child in map(int, found) for each in (child, *descendants(child))]


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def check_each_done_once(gateway: Gateway, database_url: str, accepted: list[str]) -> None:
    database = Database(database_url)
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while states(database) != {"done": NOTES} and time.monotonic() < deadline:
            time.sleep(0.5)
        assert states(database) == {"done": NOTES}
        with database.reading() as session:
            rows = session.scalars(select(NoteRow)).all()
            deeds = session.execute(select(AuditRow.action, AuditRow.subject)).all()
            secret = (gateway.run / "secrets" / "clincode_secret_key").read_text()
            report = Audit(Settings(secret_key=secret).derived_key("audit")).verify(session)  # type: ignore[arg-type]
        assert {row.id for row in rows} == set(accepted)
        assert all(row.answer and row.answer["entities"] for row in rows)
        for action in ("note.accepted", "note.predicted"):
            counts = Counter(subject for name, subject in deeds if name == action)
            assert len(counts) == NOTES
            assert set(counts.values()) == {1}
        assert report.broken_at is None
        # Nothing was given up on the way, and nothing of the notes is in the log.
        assert "visit" not in gateway.log().lower()
    finally:
        database.close()


def states(database: Database) -> dict[str, int]:
    with database.reading() as session:
        return dict(Counter(session.scalars(select(NoteRow.state)).all()))
