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
import re
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import gateway_load as load
import httpx
import typer
from gateway_load import Arrival, Reply, Service
from gateway_report import OVERLOAD, circumstances, judged, printed, saved
from gateway_servers import Machine, gateway, stand_in, torchserve
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
URGENT_SHARE = 0.1
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
app = typer.Typer(add_completion=False, help=__doc__)


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
    printed(report)
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
