"""A real TorchServe with the built archive, started and stopped by the project's own scripts."""

import hashlib
import json
import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

MODEL = "bert-clinical-ner"
ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Server:
    """A running server, and every note that was sent to it."""

    inference: str
    management: str
    metrics: str
    run: Path
    posted: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)

    def script(self, name: str, *arguments: str) -> None:
        """Run one of the project's scripts on this server."""
        subprocess.run([ROOT / "scripts" / name, *arguments], env=self.environment, check=True, timeout=600)

    @property
    def pid_file(self) -> Path:
        """TorchServe's; its folder is elsewhere where the run folder's path is long (scripts/serve.sh)."""
        path = f"{self.run}/tmp"
        short = Path(f"/tmp/clincode-{hashlib.sha256(str(self.run).encode()).hexdigest()[:16]}")
        return (Path(path) if len(path) <= 85 else short) / ".model_server.pid"

    def key(self, which: str) -> str:
        return str(json.loads((self.run / "key_file.json").read_text(encoding="utf-8"))[which]["key"])

    def headers(self, which: str = "inference") -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key(which)}"}

    @property
    def url(self) -> str:
        return f"{self.inference}/predictions/{MODEL}"

    def post(self, body: bytes | str | dict[str, Any], content_type: str = "application/json") -> httpx.Response:
        """Send a body as it is, a dictionary as JSON; its ``note_text`` is remembered."""
        if isinstance(body, dict):
            if isinstance(body.get("note_text"), str):
                self.posted.append(body["note_text"])
            body = json.dumps(body)
        headers = {**self.headers(), "Content-Type": content_type}
        return httpx.post(self.url, content=body, headers=headers, timeout=120)

    def log_lines(self) -> list[str]:
        """Every line of every log file, and what was printed once the server was open: before that no note could
        come in, and Java greets with warnings in plain English, which has pieces in common with any note."""
        lines: list[str] = []
        for file in sorted((self.run / "logs").iterdir()):
            text = file.read_text(encoding="utf-8", errors="replace")
            if file.name == "console.log":
                text = text.partition("Model server started.")[2]
            lines += text.splitlines()
        return lines


def request(note_text: Any = "Denies chest pain.", **changes: Any) -> dict[str, Any]:
    """A valid request, but for what is changed."""
    return {"note_id": str(uuid.uuid4()), "note_text": note_text, "note_type": "progress_note", **changes}


@pytest.fixture(scope="session")
def server(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """CLINCODE_TEST_MODEL names a model folder to serve in place of the newest release."""
    run = tmp_path_factory.mktemp("serve")
    rules = tmp_path_factory.mktemp("rules")
    own_cue = "cue\tcategory\tdirection\treach\nsine morbo\tnegated\tbackward\t\n"
    (rules / "context_cues.tsv").write_text(own_cue, encoding="utf-8")
    model = os.environ.get("CLINCODE_TEST_MODEL")
    store = tmp_path_factory.mktemp("store") if model else root / "model_store"
    http = [f"http://127.0.0.1:{port}" for port in free_ports(3)]
    grpc = free_ports(2)
    environment = {
        **os.environ,
        "PYTHON": sys.executable,
        "CLINCODE_RUN_DIR": str(run),
        "CLINCODE_MODEL_STORE": str(store),
        "CLINCODE_RULES": str(rules),
        "TS_INFERENCE_ADDRESS": http[0],
        "TS_MANAGEMENT_ADDRESS": http[1],
        "TS_METRICS_ADDRESS": http[2],
        "TS_GRPC_INFERENCE_PORT": str(grpc[0]),
        "TS_GRPC_MANAGEMENT_PORT": str(grpc[1]),
        # Off by default; on here, so that it is allowed_urls that refuses a foreign model.
        "TS_ENABLE_MODEL_API": "true",
    }

    sample = json.loads((root / "scripts" / "sample_request.json").read_text(encoding="utf-8"))
    running = Server(http[0], http[1], http[2], run, [sample["note_text"]], environment)
    running.script("archive.sh", *([model] if model else []))
    try:
        running.script("serve.sh", "start")
        running.script("serve.sh", "wait")
        yield running
    finally:
        running.script("serve.sh", "stop")


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for probe in sockets:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in sockets]
    finally:
        for probe in sockets:
            probe.close()
