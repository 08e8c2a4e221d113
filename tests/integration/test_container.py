"""What a pod does with a real TorchServe: its first process, its probes, its front, and its end."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from .conftest import MODEL, Server, free_ports, request

pytestmark = pytest.mark.integration
ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"


@dataclass
class Pod:
    """TorchServe's container and the front's, as processes."""

    environment: dict[str, str]
    front_url: str
    run: Path
    torchserve: subprocess.Popen[bytes]
    front: subprocess.Popen[bytes]
    saw: list[str]

    def probe(self, which: str) -> tuple[int, str]:
        command = [sys.executable, DEPLOY / "probes" / "ready.py", which]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stderr.strip()

    def post(self) -> httpx.Response:
        url = f"{self.front_url}/predictions/{MODEL}"
        return httpx.post(url, json=request(), headers={"Authorization": "Bearer ours"}, timeout=60)


@pytest.fixture(scope="module")
def pod(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pod]:
    """Started when the shared server is there, so that its archive is built."""
    run, ports = tmp_path_factory.mktemp("pod"), free_ports(6)
    tmp = Path(f"/tmp/clincode-pod-{os.getpid()}")  # short: the workers' sockets stand there
    tmp.mkdir()
    (run / "deployment.json").write_text(json.dumps({"inference": {"key": "ours"}}), encoding="utf-8")
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "CLINCODE_RUN_DIR": str(run),
        "CLINCODE_MODEL_STORE": server.environment["CLINCODE_MODEL_STORE"],
        "CLINCODE_CONFIG": str(ROOT / "config"),
        "TMPDIR": str(tmp),
        "TS_INFERENCE_ADDRESS": f"http://127.0.0.1:{ports[0]}",
        "TS_MANAGEMENT_ADDRESS": f"http://127.0.0.1:{ports[1]}",
        "TS_METRICS_ADDRESS": f"http://127.0.0.1:{ports[2]}",
        "TS_GRPC_INFERENCE_PORT": str(ports[3]),
        "TS_GRPC_MANAGEMENT_PORT": str(ports[4]),
        "CLINCODE_FRONT_PORT": str(ports[5]),
        "CLINCODE_FRONT_KEY_FILE": str(run / "deployment.json"),
        "CLINCODE_FRONT_UPSTREAM": f"http://127.0.0.1:{ports[0]}",
        "CLINCODE_FRONT_UPSTREAM_KEY_FILE": str(run / "key_file.json"),
        "CLINCODE_FRONT_ALIVE_FILE": str(run / "front.alive"),
    }
    for name in ("JAVA_HOME", "TS_CONFIG_FILE"):
        environment.pop(name, None)
    java = subprocess.run(
        ["bash", "-c", f'source {ROOT}/scripts/lib.sh; ensure_java "$0"; printf %s "${{JAVA_HOME:-}}"', sys.executable],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    environment |= {"JAVA_HOME": java} if java else {}
    with (run / "console.log").open("wb") as log:
        first = subprocess.Popen([DEPLOY / "serve" / "entrypoint.sh"], env=environment, stdout=log, stderr=log)
        front = subprocess.Popen(
            [sys.executable, "-m", "gateway.front"], env=environment, cwd=ROOT, stdout=log, stderr=log
        )
    running = Pod(environment, f"http://127.0.0.1:{ports[5]}", run, first, front, [])
    try:
        end = time.monotonic() + 240
        while (found := running.probe("model"))[0]:
            running.saw.append(found[1])
            assert time.monotonic() < end, found
            assert first.poll() is None, (run / "console.log").read_text(encoding="utf-8")
            time.sleep(0.3)
        yield running
    finally:
        for process in (front, first):
            process.terminate()
            process.wait(60)
        subprocess.run(["rm", "-rf", tmp], check=True)


def test_it_was_not_ready_before_a_worker_was(pod: Pod) -> None:
    assert "TorchServe has not started" in pod.saw[0]
    assert any("no worker is ready" in reason or "does not answer" in reason for reason in pod.saw), pod.saw
    assert pod.probe("model") == (0, "")
    assert pod.probe("alive") == (0, "")


def test_a_note_comes_through_the_front_with_the_deployments_key_alone(pod: Pod) -> None:
    answer = pod.post()
    assert answer.status_code == 200
    assert answer.json()["entities"]
    own = json.loads((pod.run / "key_file.json").read_text(encoding="utf-8"))["inference"]["key"]
    for key in (own, "another"):
        url = f"{pod.front_url}/predictions/{MODEL}"
        assert httpx.post(url, json=request(), headers={"Authorization": f"Bearer {key}"}).status_code == 401


def test_a_dead_worker_is_not_ready_until_there_is_another(pod: Pod) -> None:
    def workers() -> list[psutil.Process]:
        children = psutil.Process(pod.torchserve.pid).children(recursive=True)
        return [child for child in children if any("model_service_worker" in part for part in child.cmdline())]

    [worker] = workers()
    worker.kill()
    worker.wait(10)
    assert pod.probe("model")[0] == 1
    assert pod.probe("alive")[0] == 0, "TorchServe mends it by itself"
    end = time.monotonic() + 120
    while pod.probe("model")[0]:
        assert time.monotonic() < end
        time.sleep(0.5)
    assert pod.post().status_code == 200


def test_told_to_stop_the_front_ends_first_and_torchserve_leaves_no_key(pod: Pod) -> None:
    drain = subprocess.Popen([sys.executable, DEPLOY / "probes" / "drain.py", pod.run / "front.alive", "30"])
    time.sleep(0.5)
    assert drain.poll() is None
    pod.front.terminate()
    assert drain.wait(30) == 0
    pod.torchserve.terminate()
    assert pod.torchserve.wait(60) == 0
    assert not (pod.run / "key_file.json").exists()
    assert pod.probe("alive")[0] == 1
