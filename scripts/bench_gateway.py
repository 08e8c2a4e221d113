"""64 clients on the real gateway in front of the real TorchServe, against TorchServe alone.

    .venv/bin/python scripts/bench_gateway.py run       # what the gateway costs, and how it takes an overload
    .venv/bin/python scripts/bench_gateway.py slots     # what CLINCODE_SLOTS does, before a stand-in for TorchServe
    .venv/bin/python scripts/bench_gateway.py batches   # what TorchServe's batches and workers do

Each starts servers of its own on free ports (the archive must be there: scripts/archive.sh), prints a table, and writes
its part of docs/gateway-load.json and docs/gateway-load.png. What is compared takes turns within one run, with the
same notes at the same times. Beside each phase stands how much of the machine other programs had; a phase that they
disturbed is measured again while --patience lasts, whatever it has shown, and the least disturbed one counts.
"""

import asyncio
import hashlib
import json
import os
import platform
import re
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, TypeVar

import gateway_load as load
import httpx
import psutil
import typer
from gateway_load import CLIENTS, Arrival, Reply, Service
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
MODEL = "bert-clinical-ner"
OVERHEAD_MS = 25.0
URGENT_RATIO = 2.0
OVERLOAD = 4.0
URGENT_SHARE = 0.1
READY_SECONDS = 2.0
DISTURBED_CORES = 0.2
"""With more than that of the machine in other programs' hands, a phase is disturbed."""
FLOOD_CLIENTS = 1024
"""Clients of an overload: so many that they never hold a note back themselves."""
DEADLINE = 10.0
ENDINGS = ("answered", "refused_503", "too_late_504", "over_deadline", "hung", "other")
CONCURRENCY = (1, 2, 4, 8, 16, 64)
UTILISATIONS = (0.5, 0.8)
SLOTS = "1+0,1+1,2+1,4+1,8+1"
VARIANTS: Mapping[str, Mapping[str, int]] = {
    "batches of 8, delay 10 ms": {"batchSize": 8, "maxBatchDelay": 10},
    "batches of 8, delay 1 ms": {"batchSize": 8, "maxBatchDelay": 1},
    "no batches": {"batchSize": 1, "maxBatchDelay": 1},
    "no batches, 2 workers": {"batchSize": 1, "maxBatchDelay": 1, "minWorkers": 2, "maxWorkers": 2},
}
Figures = dict[str, Any]
Result = TypeVar("Result")
app = typer.Typer(add_completion=False, help=__doc__)


# --- servers


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


# --- what the gateway costs


async def capacity(machine: Machine, model: Service, seconds: float, concurrency: Sequence[int]) -> list[Figures]:
    """TorchServe alone, with so many clients that each send their next note when they have an answer."""
    rows = []
    for clients in concurrency:
        texts = [text for text, _ in zip(load.notes(clients), range(200), strict=False)]
        label = f"TorchServe, {clients}"
        replies, cores = await machine.undisturbed(
            partial(load.closed_loop, model, texts, seconds, clients=clients, label=label)
        )
        latency = load.spread([reply.latency_ms for reply in replies])
        rows.append({"clients": clients, "per_second": load.throughput(replies, seconds), **latency, **cores})
    return rows


async def cost(
    machine: Machine, services: Mapping[str, Service], rate: float | None, seconds: float, rounds: int
) -> Figures:
    """The same load on each service in turn, ``rounds`` times; without a rate, all clients send without a pause."""
    replies: dict[str, list[list[Reply]]] = defaultdict(list)
    cores: dict[str, list[Figures]] = defaultdict(list)
    for turn in range(rounds):
        arrivals = load.poisson(rate, seconds, turn) if rate else []
        texts = [text for text, _ in zip(load.notes(turn), range(400), strict=False)]
        for name in list(services)[:: 1 if turn % 2 == 0 else -1]:
            label = f"{name}, {f'{rate:.1f}/s' if rate else 'no pause'}, round {turn + 1}/{rounds}"
            if rate:
                phase = partial(load.open_loop, services[name], arrivals, label=label)
            else:
                phase = partial(load.closed_loop, services[name], texts, seconds, label=label)
            got, figures = await machine.undisturbed(phase)
            replies[name].append(got)
            cores[name].append(figures)
    return {name: _side(replies[name], cores[name], seconds) for name in services} | _compared(replies, rate)


def _side(rounds: Sequence[list[Reply]], cores: Sequence[Figures], seconds: float) -> Figures:
    replies = [reply for got in rounds for reply in got]
    figures: Figures = load.spread([reply.latency_ms for reply in replies])
    figures["not_200"] = sum(reply.status != 200 for reply in replies)
    figures["per_second"] = round(sum(load.throughput(got, seconds) for got in rounds) / len(rounds), 2)
    figures["p95_of_rounds"] = [load.percentile([reply.latency_ms for reply in got], 95) for got in rounds]
    for name in cores[0]:
        figures[name] = round(sum(phase[name] for phase in cores) / len(cores), 2)
    own = [reply.own_ms for reply in replies if reply.has_timing]
    if own:
        figures["own"] = load.spread(own)
        figures["waited"] = load.spread([reply.wait_ms for reply in replies if reply.has_timing])
        figures["model"] = load.spread([reply.model_ms for reply in replies if reply.has_timing])
    return figures


def _compared(replies: Mapping[str, Sequence[list[Reply]]], rate: float | None) -> Figures:
    alone, through = ([r.latency_ms for got in replies[name] for r in got] for name in ("alone", "gateway"))
    if rate is None:  # the notes are the same, but their order is the answers'
        return {"p95_difference": round(load.percentile(through, 95) - load.percentile(alone, 95), 1)}
    difference, low, high = load.p95_difference(alone, through)
    paired = [b - a for a, b in zip(alone, through, strict=True)]
    return {"p95_difference": difference, "interval": [low, high], "paired_median": load.percentile(paired, 50)}


# --- overload


async def overload(
    machine: Machine,
    service: Service,
    rate: float,
    seconds: float,
    turns: Sequence[int],
    *,
    urgent_share: float = URGENT_SHARE,
) -> Figures:
    """A flood of normal notes at four times ``rate`` with a trickle of urgent ones; and the same urgent ones alone."""
    service = Service(service.url, service.key, DEADLINE)
    alone: list[Reply] = []
    flooded: list[Reply] = []
    after: list[Figures] = []
    cores: list[Figures] = []
    for turn in turns:
        urgent = load.poisson(rate * urgent_share, seconds, 100 + turn, urgent=True)
        normal = load.poisson(rate * OVERLOAD, seconds, 200 + turn)
        label = f"round {turn + 1}"
        got, _ = await machine.undisturbed(
            partial(load.open_loop, service, urgent, clients=FLOOD_CLIENTS, label=f"urgent alone, {label}")
        )
        alone += got
        flood = sorted([*urgent, *normal], key=lambda arrival: arrival.due)
        (got, then), figures = await machine.undisturbed(partial(_flood, service, flood, seconds, label))
        flooded += got
        after.append(then)
        cores.append(figures)
    return {
        "rate": round(rate * OVERLOAD, 2),
        "urgent_alone": load.spread([reply.latency_ms for reply in alone]),
        "urgent_flooded": load.spread([reply.latency_ms for reply in flooded if reply.urgent]),
        "normal_answered": load.spread([r.latency_ms for r in flooded if not r.urgent and r.status == 200]),
        "answered_per_second": round(
            sum(r.status == 200 and r.ended <= seconds for r in flooded) / (seconds * len(turns)), 2
        ),
        "refused_ms": load.spread([r.latency_ms for r in flooded if r.status == 503]),
        "urgent_endings": load.endings([reply for reply in flooded if reply.urgent], DEADLINE),
        "normal_endings": load.endings([reply for reply in flooded if not reply.urgent], DEADLINE),
        "after": after,
        "latencies": {
            "alone": sorted(round(reply.latency_ms) for reply in alone),
            "flooded": sorted(round(reply.latency_ms) for reply in flooded if reply.urgent),
        },
        **{name: round(sum(phase[name] for phase in cores) / len(turns), 2) for name in cores[0]},
    }


async def _flood(
    service: Service, arrivals: Sequence[Arrival], seconds: float, label: str
) -> tuple[list[Reply], Figures]:
    sending = load.open_loop(service, arrivals, clients=FLOOD_CLIENTS, label=f"overload, {label}")
    return await asyncio.gather(sending, _aftermath(service, seconds))


async def _aftermath(service: Service, seconds: float) -> Figures:
    """How soon after the last note the gateway says that it is ready, and how soon nobody waits any more."""
    await asyncio.sleep(seconds + 0.1)
    base = service.url.removesuffix("/api/v1/predict")
    start = time.perf_counter()
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {service.key}"}, timeout=30) as client:
        ready = await client.get(f"{base}/health/ready")
        ready_seconds = time.perf_counter() - start
        while (waiting := await _waiting(client, base)) and time.perf_counter() - start < 60:
            await asyncio.sleep(0.1)
        drained_seconds = time.perf_counter() - start
        again = await client.get(f"{base}/health/ready")
    return {
        "ready": ready.status_code == 200 and again.status_code == 200,
        "ready_seconds": round(ready_seconds, 2),
        "drained": not waiting,
        "drained_seconds": round(drained_seconds, 2),
    }


async def _waiting(client: httpx.AsyncClient, base: str) -> float:
    text = (await client.get(f"{base}/metrics")).text
    return sum(float(found) for found in re.findall(r"^clincode_gateway_waiting\{.*?\} ([\d.]+)", text, re.MULTILINE))


# --- judgement


def judged(report: Figures) -> list[Figures]:
    """The targets, what was measured, and whether it meets them."""
    rows = []
    for level in report["cost"]:
        low, high = level.get("interval", (None, None))
        rows.append(
            {
                "what": f"{level['name']}: p95 through the gateway less p95 of TorchServe alone, ms",
                "limit": OVERHEAD_MS,
                "value": level["p95_difference"],
                "interval": level.get("interval"),
                "verdict": load.verdict(level["p95_difference"], OVERHEAD_MS, low, high),
            }
        )
        own = level["gateway"]["own"]["p95"]
        what = f"{level['name']}: the gateway's own time a note, p95, ms"
        rows.append({"what": what, "limit": OVERHEAD_MS, "value": own, "verdict": load.verdict(own, OVERHEAD_MS)})
    flood = report["overload"]
    ratio = round(flood["urgent_flooded"]["p95"] / flood["urgent_alone"]["p95"], 2)
    bad = sum(
        flood[part][name]
        for part in ("urgent_endings", "normal_endings")
        for name in ("over_deadline", "hung", "other")
    )
    lost = flood["urgent_flooded"]["count"] - flood["urgent_endings"]["answered"]
    slowest = max(then["ready_seconds"] for then in flood["after"])
    sound = all(then["ready"] and then["drained"] for then in flood["after"])
    ready = load.verdict(slowest, READY_SECONDS) if sound else "missed"
    return [
        *rows,
        {"what": "overload: urgent p95 over its value alone", "limit": URGENT_RATIO, "value": ratio,
         "verdict": load.verdict(ratio, URGENT_RATIO)},
        {"what": "overload: urgent notes without an answer", "limit": 0, "value": lost,
         "verdict": load.verdict(lost, 0)},
        {"what": "overload: requests that ended in no allowed way", "limit": 0, "value": bad,
         "verdict": load.verdict(bad, 0)},
        {"what": "overload: ready, s after the last note", "limit": READY_SECONDS, "value": slowest, "verdict": ready},
    ]  # fmt: skip


# --- report


def circumstances() -> Figures:
    """Where and with what it was measured."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "machine": f"{os.cpu_count()} cores of {names[0] if names else platform.machine()}",
        "command": " ".join(["python", "scripts/bench_gateway.py", *sys.argv[1:]]),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("clincode", "torch", "torchserve", "fastapi", "uvicorn", "sqlalchemy")},
        },
        "load_average_before": [round(x, 2) for x in os.getloadavg()],
    }


def saved(out: Path, part: str, figures: Figures) -> None:
    """Put a part into the JSON, leave the other as it is, and draw both."""
    path = out.with_suffix(".json")
    figures["circumstances"]["load_average_after"] = [round(x, 2) for x in os.getloadavg()]
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    content[part] = figures
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    drawn(content, out.with_suffix(".png"))
    tqdm.write(f"{path}, {out.with_suffix('.png')}")


def drawn(content: Figures, path: Path) -> None:
    """What there is of: latency alone and through the gateway, urgent notes under overload, slots, batching."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(11, 8), layout="constrained")
    if "run" in content:
        _draw_cost(axes[0][0], content["run"]["cost"])
        _draw_flood(axes[0][1], content["run"]["overload"])
        where = content["run"]["circumstances"]
        figure.suptitle(f"Gateway with {CLIENTS} clients, {where['machine']}, {where['date'][:10]}")
    if "slots" in content:
        _draw_slots(axes[1][0], content["slots"]["choices"])
    if "batches" in content:
        _draw_batching(axes[1][1], content["batches"]["variants"])
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _draw_cost(axes: Any, levels: Sequence[Figures]) -> None:
    for place, side in enumerate(("alone", "gateway")):
        for shade, quantile in ((1.0, "p50"), (0.45, "p95")):
            bars = axes.bar(
                [x + 0.2 * (2 * place + (quantile == "p95")) for x in range(len(levels))],
                [level[side][quantile] for level in levels],
                0.19, color=f"C{place}", alpha=shade, label=f"{side}, {quantile}",
            )  # fmt: skip
            axes.bar_label(bars, fmt="%.0f", fontsize=7)
    axes.set(yscale="log", ylabel="ms from arrival to answer", title="TorchServe alone and through the gateway")
    axes.set_xticks([x + 0.3 for x in range(len(levels))], [level["name"] for level in levels])
    axes.legend(fontsize=8)


def _draw_flood(axes: Any, flood: Figures) -> None:
    for name, latencies in flood["latencies"].items():
        share = [(rank + 1) / len(latencies) for rank in range(len(latencies))]
        axes.step(latencies, share, where="post", label=f"urgent, {name} (n = {len(latencies)})")
    limit = URGENT_RATIO * flood["urgent_alone"]["p95"]
    axes.axvline(limit, color="grey", ls=":", label=f"{URGENT_RATIO:.0f} × p95 alone")
    axes.axhline(0.95, color="grey", lw=0.5)
    axes.set(
        xlim=(0, None),
        xlabel="ms",
        ylabel="share of urgent notes",
        title=f"Urgent notes in an overload ×{OVERLOAD:.0f}",
    )
    axes.legend(fontsize=8, loc="lower right")


def _draw_slots(axes: Any, rows: Sequence[Figures]) -> None:
    slots = [str(row["slots"]) for row in rows]
    axes.plot(slots, [row["answered_per_second"] for row in rows], "o-", color="C0", label="notes a second")
    axes.set(xlabel="slots + urgent slots", ylabel="notes a second", ylim=(0, None), title="Slots, in an overload")
    right = axes.twinx()
    right.plot(slots, [row["urgent_ratio"] for row in rows], "s--", color="C3", label="urgent p95, overload / alone")
    right.axhline(URGENT_RATIO, color="C3", lw=0.5)
    right.set(ylabel="ratio", ylim=(0, None))
    handles = [*axes.get_lines(), right.get_lines()[0]]
    axes.legend(handles, [line.get_label() for line in handles], fontsize=8, loc="lower right")


def _draw_batching(axes: Any, rows: Sequence[Figures]) -> None:
    for row in rows:
        steps = row["capacity"]
        axes.plot([s["clients"] for s in steps], [s["per_second"] for s in steps], "o-", label=row["name"])
    axes.set(xscale="log", xlabel="clients", ylabel="notes a second", ylim=(0, None), title="TorchServe alone")
    axes.legend(fontsize=8)


def _print(report: Figures) -> None:
    console = Console(width=120)
    columns = ("load", "side", "notes/s", "p50 ms", "p95 ms", "own p50", "own p95", "not 200", "others' cores")
    table = Table(*columns, title="TorchServe alone and through the gateway")
    for level in report["cost"]:
        for side in ("alone", "gateway"):
            row = level[side]
            own = row.get("own", {})
            table.add_row(
                level["name"], side, *(f"{row[name]}" for name in ("per_second", "p50", "p95")),
                str(own.get("p50", "")), str(own.get("p95", "")), str(row["not_200"]), str(row["other_cores"]),
            )  # fmt: skip
    console.print(table)
    table = Table("overload", "answered", "503", "504", "over deadline", "hung", "other", "p50 ms", "p95 ms")
    flood = report["overload"]
    for part, key in (("urgent", "urgent_flooded"), ("normal", "normal_answered")):
        spread = flood[key]
        ends = (str(count) for count in flood[f"{part}_endings"].values())
        table.add_row(part, *ends, str(spread["p50"]), str(spread["p95"]))
    alone = flood["urgent_alone"]
    table.add_row("urgent, alone", str(alone["count"]), *[""] * 5, str(alone["p50"]), str(alone["p95"]))
    console.print(table)
    table = Table("target", "limit", "measured", "95% interval", "verdict")
    for row in report["judged"]:
        low, high = row.get("interval") or ("", "")
        span = f"{low} to {high}" if row.get("interval") else ""
        table.add_row(row["what"], f"{row['limit']:g}", f"{row['value']:g}", span, row["verdict"])
    console.print(table)


# --- commands

Out = Annotated[Path, typer.Option(help="JSON and PNG, without their endings")]
Patience = Annotated[float, typer.Option(help="seconds for waiting while other programs disturb, and measuring again")]
Store = Annotated[Path, typer.Option(help="folder of the archive")]


@app.command()
def run(
    out: Out = ROOT / "docs" / "gateway-load",
    store: Store = ROOT / "model_store",
    seconds: Annotated[float, typer.Option(min=2, help="of one round")] = 7.0,
    rounds: Annotated[int, typer.Option(min=1)] = 3,
    patience: Patience = 120.0,
    workers: Annotated[int, typer.Option(help="of TorchServe, with as many slots; default: as configured")] = 0,
) -> None:
    """What the gateway costs at several loads, and what becomes of urgent notes in an overload."""
    report: Figures = {"circumstances": circumstances()}
    machine = Machine(patience)
    config = {"minWorkers": workers, "maxWorkers": workers} if workers else {}
    slots = {"slots": workers} if workers else {}
    with (
        torchserve(machine, store, **config) as (model, folder),
        gateway(machine, model, folder, **slots) as front,
    ):
        asyncio.run(_measure(report, machine, {"alone": model, "gateway": front}, seconds, rounds))
    report["circumstances"]["phases_repeated"] = machine.repeated
    report["judged"] = judged(report)
    _print(report)
    saved(out, f"run with {workers} workers" if workers else "run", report)


async def _measure(
    report: Figures, machine: Machine, services: Mapping[str, Service], seconds: float, rounds: int
) -> None:
    texts = [text for text, _ in zip(load.notes(99), range(400), strict=False)]
    for service in services.values():  # torch is slow with the first note of each length
        await load.closed_loop(service, texts, 10.0, clients=4, label="warm-up")
    report["capacity"] = await capacity(machine, services["alone"], seconds, CONCURRENCY)
    full = max(row["per_second"] for row in report["capacity"])
    if full == 0:
        raise RuntimeError("not one answer in time: the machine is too busy to measure on")
    report["cost"] = []
    for share in (*UTILISATIONS, None):
        rate = share * full if share else None
        level = await cost(machine, services, rate, seconds if share is None else 1.5 * seconds, rounds)
        report["cost"].append({"name": f"{share:.0%}" if share else "saturated", "rate": rate, **level})
    report["overload"] = await overload(machine, services["gateway"], full, 2 * seconds, range(rounds))


@app.command()
def batches(
    out: Out = ROOT / "docs" / "gateway-load",
    store: Store = ROOT / "model_store",
    seconds: Annotated[float, typer.Option(min=2, help="of one measurement")] = 6.0,
    patience: Patience = 120.0,
) -> None:
    """TorchServe alone with and without batches and with two workers, all of them up at once and measured in turn."""
    report: Figures = {"circumstances": circumstances()}
    report["variants"] = _torchserve(Machine(patience), store, seconds)
    saved(out, "batches", report)


@app.command()
def slots(
    out: Out = ROOT / "docs" / "gateway-load",
    seconds: Annotated[float, typer.Option(min=2, help="of one overload")] = 40.0,
    workers: Annotated[int, typer.Option(min=1, help="notes that the model has in hand at once")] = 1,
    choices: Annotated[str, typer.Option(help="slots, and urgent slots beyond them")] = SLOTS,
) -> None:
    """What slots cost urgent notes and gain the others, before a stand-in that needs no cores: it answers one note
    after another, each after the time that TorchServe takes for one of its length on two quiet cores."""
    report: Figures = {"circumstances": circumstances(), "workers": workers, "choices": []}
    machine = Machine()
    table = Table(
        "slots", "notes/s", "urgent alone p50", "p95", "urgent flooded p50", "p95", "ratio", "503", "504", "else"
    )
    for choice in choices.split(","):
        row = {"slots": choice, **asyncio.run(_flood_of(machine, choice, seconds, workers))}
        row["urgent_ratio"] = round(row["urgent_flooded"]["p95"] / row["urgent_alone"]["p95"], 2)
        report["choices"].append(row)
        alone, flooded = row["urgent_alone"], row["urgent_flooded"]
        _, refused, late, *bad = (row["urgent_endings"][end] + row["normal_endings"][end] for end in ENDINGS)
        figures = (row["answered_per_second"], alone["p50"], alone["p95"], flooded["p50"], flooded["p95"])
        table.add_row(choice, *(str(x) for x in (*figures, row["urgent_ratio"], refused, late, sum(bad))))
    Console(width=120).print(table)
    saved(out, "slots" if workers == 1 else f"slots with {workers} workers", report)


async def _flood_of(machine: Machine, choice: str, seconds: float, workers: int) -> Figures:
    count, urgent = map(int, choice.split("+"))
    rate = workers / load.stand_in_seconds(load.MEAN_WORDS, workers)
    with stand_in(workers) as (model, run), gateway(machine, model, run, slots=count, urgent_slots=urgent) as front:
        return await overload(machine, front, rate, seconds, [0])


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


def _torchserve(machine: Machine, store: Path, seconds: float) -> list[Figures]:
    with ExitStack() as stack:
        models = {name: stack.enter_context(torchserve(machine, store, **what))[0] for name, what in VARIANTS.items()}
        found: dict[str, list[Figures]] = defaultdict(list)
        for model in models.values():
            asyncio.run(capacity(machine, model, 1.0, [2]))
        for clients in CONCURRENCY:
            for name, model in models.items():
                found[name] += asyncio.run(capacity(machine, model, seconds, [clients]))
    rows = [{"name": name, **VARIANTS[name], "capacity": steps} for name, steps in found.items()]
    printed = Table("TorchServe alone", *(f"{clients} clients" for clients in CONCURRENCY), "p50 of 1", "p95 of 1")
    for row in rows:
        steps = row["capacity"]
        one = (f"{steps[0]['p50']:.0f}", f"{steps[0]['p95']:.0f}")
        printed.add_row(row["name"], *(f"{step['per_second']}" for step in steps), *one)
    Console(width=120).print(printed)
    return rows


if __name__ == "__main__":
    app()
