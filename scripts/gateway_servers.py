"""The servers that scripts/bench_gateway.py measures, on ports of their own, and what else keeps the machine busy."""

import asyncio
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import gateway_load as load
import psutil
from gateway_load import Service

ROOT = Path(__file__).resolve().parents[1]
MODEL = "bert-clinical-ner"
DISTURBED_CORES = 0.2
"""With more than that of the machine in other programs' hands, a phase is disturbed."""
Figures = dict[str, Any]
Result = TypeVar("Result")


@dataclass
class Machine:
    """The servers that were started here, and what is going on beside them."""

    patience: float = 0.0
    """Seconds that may yet be spent on waiting for quiet and on measuring again."""
    pids: list[int] = field(default_factory=list)
    repeated: int = 0

    async def undisturbed(self, phase: Callable[[], Awaitable[Result]]) -> tuple[Result, Figures]:
        """What a phase returns, and who had the cores meanwhile."""
        attempts: list[tuple[float, Result, Figures]] = []
        while True:
            await self._quiet()
            start = time.monotonic()
            with self.watch() as figures:
                result = await phase()
            attempts.append((figures["other_cores"], result, figures))
            if figures["other_cores"] <= DISTURBED_CORES or self.patience <= 0:
                break
            self.patience -= time.monotonic() - start
            self.repeated += 1
        _, result, figures = min(attempts, key=lambda attempt: attempt[0])
        return result, figures

    async def _quiet(self) -> None:
        while self.patience > 0:
            with self.watch() as figures:
                await asyncio.sleep(1)
            if figures["other_cores"] <= DISTURBED_CORES:
                return
            self.patience -= 1

    @contextmanager
    def watch(self) -> Iterator[Figures]:
        """Fills in how many cores the servers, this client and everything else took."""
        figures: Figures = {}
        start, everything, ours, client = time.monotonic(), _busy(), _cpu(self.pids), time.process_time()
        yield figures
        seconds = time.monotonic() - start
        figures["server_cores"] = round((_cpu(self.pids) - ours) / seconds, 2)
        figures["client_cores"] = round((time.process_time() - client) / seconds, 2)
        total = (_busy() - everything) / seconds
        figures["other_cores"] = round(max(0.0, total - figures["server_cores"] - figures["client_cores"]), 2)


def _busy() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0))


def _cpu(pids: Sequence[int]) -> float:
    total = 0.0
    for pid in pids:
        for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
            times = process.cpu_times()
            total += times.user + times.system
    return total


@contextmanager
def torchserve(machine: Machine, store: Path, **settings: int) -> Iterator[tuple[Service, Path]]:
    """A TorchServe with the archive, whose model-config.yaml says what ``settings`` say; and its run folder."""
    with tempfile.TemporaryDirectory(prefix="load-") as name:
        run, http, grpc = Path(name), [f"http://127.0.0.1:{port}" for port in _free_ports(3)], _free_ports(2)
        (run / "store").mkdir()
        _archive_with(store / f"{MODEL}.mar", run / "store" / f"{MODEL}.mar", settings)
        environment = {
            **os.environ,
            "PYTHON": sys.executable,
            "CLINCODE_RUN_DIR": str(run),
            "CLINCODE_MODEL_STORE": str(run / "store"),
            "TS_INFERENCE_ADDRESS": http[0],
            "TS_MANAGEMENT_ADDRESS": http[1],
            "TS_METRICS_ADDRESS": http[2],
            "TS_GRPC_INFERENCE_PORT": str(grpc[0]),
            "TS_GRPC_MANAGEMENT_PORT": str(grpc[1]),
        }
        try:
            _script(environment, "serve.sh", "start")
            _script(environment, "serve.sh", "wait")
            machine.pids.append(int(_pid_file(run).read_text()))
            key = json.loads((run / "key_file.json").read_text())["inference"]["key"]
            yield Service(f"{http[0]}/predictions/{MODEL}", key), run
        finally:
            machine.pids.clear()
            _script(environment, "serve.sh", "stop")


@contextmanager
def gateway(machine: Machine, model: Service, run: Path, **settings: int) -> Iterator[Service]:
    """A gateway before that TorchServe, with a database of its own."""
    folder = Path(tempfile.mkdtemp(dir=run))
    (port,) = _free_ports(1)
    environment = {
        **os.environ,
        "PYTHON": sys.executable,
        "CLINCODE_RUN_DIR": str(folder),
        "CLINCODE_GATEWAY_PORT": str(port),
        "CLINCODE_INFERENCE_URL": model.url,
        "CLINCODE_INFERENCE_KEY_FILE": str(run / "key_file.json"),
        "CLINCODE_RATE_LIMIT": "1000000/minute",  # all clients have one key here
        **{f"CLINCODE_{name.upper()}": str(value) for name, value in settings.items()},
    }
    try:
        _script(environment, "gateway.sh", "start")
        pid = int((folder / "gateway.pid").read_text())
        machine.pids.append(pid)
        key = re.search(r"^CLINCODE_API_KEY=(.+)$", (folder / "gateway.env").read_text(), re.MULTILINE)
        assert key is not None
        yield Service(f"http://127.0.0.1:{port}/api/v1/predict", key[1])
        machine.pids.remove(pid)
    finally:
        _script(environment, "gateway.sh", "stop")


def _archive_with(archive: Path, out: Path, settings: Mapping[str, int]) -> None:
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(out, "w") as new:
        for item in old.infolist():
            content = old.read(item)
            if item.filename == "model-config.yaml":
                text = content.decode()
                for name, value in settings.items():
                    text, count = re.subn(rf"^{name}: .*$", f"{name}: {value}", text, flags=re.MULTILINE)
                    assert count == 1, name
                content = text.encode()
            new.writestr(item, content)


def _script(environment: dict[str, str], name: str, *arguments: str) -> None:
    output = subprocess.run(
        [ROOT / "scripts" / name, *arguments], env=environment, timeout=400, capture_output=True, text=True, check=False
    )
    if output.returncode:
        raise RuntimeError(f"{name} {' '.join(arguments)}: {output.stderr[-500:]}")


def _pid_file(run: Path) -> Path:
    """Where scripts/serve.sh has TorchServe put it."""
    path = f"{run}/tmp"
    short = Path(f"/tmp/clincode-{hashlib.sha256(str(run).encode()).hexdigest()[:16]}")
    return (Path(path) if len(path) <= 85 else short) / ".model_server.pid"


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


@contextmanager
def stand_in(workers: int) -> Iterator[tuple[Service, Path]]:
    """Answers as TorchServe does, but knows nothing; and its run folder."""
    with tempfile.TemporaryDirectory(prefix="load-") as name:
        run, (port,) = Path(name), _free_ports(1)
        (run / "key_file.json").write_text(json.dumps({"inference": {"key": "none"}}), encoding="utf-8")
        server = subprocess.Popen([sys.executable, load.__file__, str(port), str(workers)])
        try:
            yield Service(f"http://127.0.0.1:{port}/predictions/{MODEL}", "none"), run
        finally:
            server.kill()
            server.wait()
