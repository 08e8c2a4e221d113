"""TorchServe with an archive of which one byte was changed: no worker becomes ready, and the cause is said."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from .conftest import Server, free_ports

ARCHIVE = "bert-clinical-ner.mar"

pytestmark = pytest.mark.integration


def test_a_worker_refuses_weights_with_a_changed_byte(server: Server, root: Path, tmp_path: Path) -> None:
    source = Path(server.environment["CLINCODE_MODEL_STORE"]) / ARCHIVE
    store = tmp_path / "store"
    store.mkdir()
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(store / ARCHIVE, "w") as new:
        for member in old.infolist():
            data = bytearray(old.read(member))
            if member.filename == "model.safetensors":
                data[len(data) // 2] ^= 1
            new.writestr(member, bytes(data))
    ports = free_ports(5)
    environment = {
        **os.environ,
        "PYTHON": sys.executable,
        "CLINCODE_RUN_DIR": str(tmp_path / "run"),
        "CLINCODE_MODEL_STORE": str(store),
        "TS_INFERENCE_ADDRESS": f"http://127.0.0.1:{ports[0]}",
        "TS_MANAGEMENT_ADDRESS": f"http://127.0.0.1:{ports[1]}",
        "TS_METRICS_ADDRESS": f"http://127.0.0.1:{ports[2]}",
        "TS_GRPC_INFERENCE_PORT": str(ports[3]),
        "TS_GRPC_MANAGEMENT_PORT": str(ports[4]),
    }

    def serve(command: str) -> subprocess.CompletedProcess[str]:
        script = str(root / "scripts" / "serve.sh")
        return subprocess.run(
            [script, command], env=environment, capture_output=True, text=True, timeout=400, check=False
        )

    try:
        assert serve("start").returncode == 0
        waited = serve("wait")
    finally:
        serve("stop")
    assert waited.returncode != 0
    last = waited.stderr.strip().splitlines()[-1]
    assert "BundleError" in last
    assert "model.safetensors: was changed" in last
