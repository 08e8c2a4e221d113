"""A real gateway in front of the tests' TorchServe, started, killed and looked after by the project's own commands."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from .conftest import Server, free_ports

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Gateway:
    """``environment`` holds its settings; ``run`` its secrets, keys and logs."""

    run: Path
    url: str
    environment: dict[str, str]
    keys: dict[str, str] = field(default_factory=dict)

    def start(self) -> None:
        self._script("start")

    def stop(self) -> None:
        self._script("stop")

    def kill(self) -> None:
        """SIGKILL, in the middle of whatever it does."""
        os.kill(int((self.run / "gateway.pid").read_text()), signal.SIGKILL)

    def clincode(self, *arguments: str) -> str:
        """What a command of this deployment prints."""
        return self._script("clincode", *arguments)

    def key(self, role: str = "service") -> str:
        """An API key with all that the role may do."""
        if role not in self.keys:
            self.keys[role] = self.clincode(
                "gateway", "key", "create", "--name", f"test-{role}", "--role", role
            ).strip()
        return self.keys[role]

    def login_url(self, user: str = "maria", role: str = "coder") -> str:
        return self.clincode("gateway", "login", "--user", user, "--role", role).strip()

    def client(self, role: str = "service", timeout: float = 60) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.key(role)}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=timeout)

    def log(self) -> str:
        return (self.run / "logs" / "gateway.log").read_text(encoding="utf-8")

    def _script(self, *arguments: str) -> str:
        done = subprocess.run(
            [ROOT / "scripts" / "gateway.sh", *arguments],
            env=self.environment,
            check=True,
            timeout=180,
            stdout=subprocess.PIPE,
            text=True,
        )
        return done.stdout


@contextmanager
def running_gateway(server: Server, run: Path, **settings: str) -> Iterator[Gateway]:
    """A gateway with a run folder of its own; ``settings`` are variables without their ``CLINCODE_``."""
    (port,) = free_ports(1)
    environment = {
        **os.environ,
        "PYTHON": sys.executable,
        "CLINCODE_RUN_DIR": str(run),
        "CLINCODE_GATEWAY_PORT": str(port),
        "CLINCODE_INFERENCE_URL": server.url,
        "CLINCODE_INFERENCE_KEY_FILE": str(server.run / "key_file.json"),
        **{f"CLINCODE_{name.upper()}": value for name, value in settings.items()},
    }
    gateway = Gateway(run, f"http://127.0.0.1:{port}", environment)
    try:
        gateway.start()
        yield gateway
    finally:
        gateway.stop()
