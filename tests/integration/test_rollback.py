"""A version is taken back by a change of the routing file, under load, and no request fails."""

import json
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from .conftest import Server, free_ports
from .gateway_server import Gateway, running_gateway

pytestmark = pytest.mark.integration

LIMIT_SECONDS = 5.0
OLD, NEW = "bert-clinical-ner-v1.0.0", "bert-clinical-ner-v1.1.0"


@pytest.fixture(scope="module")
def next_server(server: Server, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A second TorchServe with the same weights under the next version's name."""
    release = tmp_path_factory.mktemp("releases") / NEW
    shutil.copytree(root / "model_store" / OLD, release)
    manifest = json.loads((release / "manifest.json").read_text(encoding="utf-8"))
    (release / "manifest.json").write_text(json.dumps({**manifest, "version": NEW}), encoding="utf-8")
    run, store = tmp_path_factory.mktemp("serve-next"), tmp_path_factory.mktemp("store-next")
    http = [f"http://127.0.0.1:{port}" for port in free_ports(3)]
    grpc = free_ports(2)
    environment = {
        **server.environment,
        "CLINCODE_RUN_DIR": str(run),
        "CLINCODE_MODEL_STORE": str(store),
        "TS_INFERENCE_ADDRESS": http[0],
        "TS_MANAGEMENT_ADDRESS": http[1],
        "TS_METRICS_ADDRESS": http[2],
        "TS_GRPC_INFERENCE_PORT": str(grpc[0]),
        "TS_GRPC_MANAGEMENT_PORT": str(grpc[1]),
    }
    running = Server(http[0], http[1], http[2], run, [], environment)
    running.script("archive.sh", str(release))
    try:
        running.script("serve.sh", "start")
        running.script("serve.sh", "wait")
        yield running
    finally:
        running.script("serve.sh", "stop")


@dataclass
class Load:
    """Clients that go on asking; each answer's time, status and version."""

    gateway: Gateway
    answers: list[tuple[float, int, str]] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        with self.gateway.client() as client:
            while not self.stop.is_set():
                body = {"note_id": str(uuid4()), "note_text": "Pneumonia, no fever.", "note_type": "progress_note"}
                sent = time.monotonic()
                try:
                    answer = client.post("/api/v1/predict", json=body)
                    version = answer.json().get("model_version", "")
                    self.answers.append((sent, answer.status_code, version))
                except httpx.HTTPError as error:
                    self.answers.append((sent, 0, type(error).__name__))


def test_rollback_under_load(server: Server, next_server: Server, tmp_path: Path) -> None:
    path = tmp_path / "routing.yaml"
    route(path, server, next_server, production="next")
    with running_gateway(server, tmp_path / "run", routing_file=str(path)) as gateway:
        gateway.key()
        load = Load(gateway)
        clients = [threading.Thread(target=load.run) for _ in range(4)]
        for client in clients:
            client.start()
        time.sleep(4)
        route(path, server, next_server, production="stable")
        switched = time.monotonic()
        time.sleep(LIMIT_SECONDS + 3)
        load.stop.set()
        for client in clients:
            client.join(60)
    assert {status for _, status, _ in load.answers} == {200}
    before = {version for sent, _, version in load.answers if sent < switched - 1}
    after = {version for sent, _, version in load.answers if sent > switched + LIMIT_SECONDS}
    assert (before, after) == ({NEW}, {OLD})


def test_a_canary_gets_its_share_and_a_slip_of_the_pen_changes_nothing(
    server: Server, next_server: Server, tmp_path: Path
) -> None:
    path = tmp_path / "routing.yaml"
    route(path, server, next_server, production="stable", more="canary: {target: next, share: 0.3}\n")
    with running_gateway(server, tmp_path / "run", routing_file=str(path)) as gateway, gateway.client() as client:

        def versions(count: int) -> list[str]:
            bodies = [
                {"note_id": str(uuid4()), "note_text": "Gout.", "note_type": "progress_note"} for _ in range(count)
            ]
            results = client.post("/api/v1/predict/batch", json={"notes": bodies}).raise_for_status().json()["results"]
            return [result["model_version"] for result in results]

        seen = [version for _ in range(10) for version in versions(10)]
        assert 15 <= seen.count(NEW) <= 45
        path.write_text("production: nobody\n", encoding="utf-8")
        time.sleep(1)
        assert set(versions(10)) <= {OLD, NEW}
        ready = client.get("/health/ready")
        assert (ready.status_code, ready.json()["checks"]["routing"]) == (200, False)


def route(path: Path, server: Server, next_server: Server, *, production: str, more: str = "") -> None:
    """Write the file as an operator's editor does: beside, then in its place."""
    text = f"production: {production}\ntargets:\n"
    for name, target in (("stable", server), ("next", next_server)):
        text += f'  {name}: {{url: "{target.url}", key_file: "{target.run / "key_file.json"}"}}\n'
    beside = path.with_suffix(".new")
    beside.write_text(text + more, encoding="utf-8")
    beside.replace(path)
