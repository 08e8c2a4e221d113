"""How many replicas for how many notes a day, and what they cost: arithmetic on a measured throughput.

    .venv/bin/python scripts/size.py                          # from docs/gateway-load.json (scripts/bench_gateway.py)
    .venv/bin/python scripts/size.py --per-second 5.7 --source "docs/…, 2 cores"      # from a figure of your own
    .venv/bin/python scripts/size.py --price 0.526 --peak 4 --utilisation 0.6 --notes 20000

Prints the table, and without --notes writes it and the chart into docs/sizing.md and docs/images/sizing.png. The price
is yours to give: the default is the list price of g4dn.xlarge, on demand, in us-east-1. Throughput that was measured on
another machine than the one that is paid for makes costs of what-if, and the page says so.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
MEASURED = ROOT / "docs" / "gateway-load.json"
PAGE = ROOT / "docs" / "sizing.md"
CHART = ROOT / "docs" / "images" / "sizing.png"
HOURS_A_MONTH = 730.0
NOTES = (1_000, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000)
_BLOCK = re.compile(r"(<!-- sizing: begin -->\n).*?(<!-- sizing: end -->)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Throughput:
    """Notes a second of one replica with all its work, and where the figure is from."""

    per_second: float
    source: str


@dataclass(frozen=True, slots=True)
class Terms:
    """``peak`` is the busiest hour's rate over the day's mean; ``utilisation`` the share of a replica's throughput that
    is planned with, so that queues stay short and one more than the peak is no outage."""

    peak: float = 3.0
    utilisation: float = 0.6
    price: float = 0.526
    least: int = 2
    most: int = 8


@dataclass(frozen=True, slots=True)
class Size:
    """``replicas`` carry the busiest hour and ``steady`` the day's mean; the autoscaler's cost lies between."""

    notes: int
    peak_rate: float
    replicas: int
    steady: int
    enough: bool
    month_least: float
    month_most: float

    def per_thousand(self, hours: float = HOURS_A_MONTH) -> tuple[float, float]:
        thousands = self.notes * hours / 24 / 1000
        return self.month_least / thousands, self.month_most / thousands


def size(notes: int, throughput: Throughput, terms: Terms) -> Size:
    """What ``notes`` notes a day need. Where the most replicas are too few, ``enough`` is false and the cost theirs."""
    planned = throughput.per_second * terms.utilisation
    mean = notes / 86_400
    wanted = math.ceil(round(mean * terms.peak / planned, 9))
    replicas = min(terms.most, max(terms.least, wanted))
    steady = min(replicas, max(terms.least, math.ceil(round(mean / planned, 9))))
    month = terms.price * HOURS_A_MONTH
    return Size(notes, mean * terms.peak, replicas, steady, wanted <= terms.most, steady * month, replicas * month)


def largest(throughput: Throughput, terms: Terms) -> int:
    """Notes a day that the most replicas carry."""
    return math.floor(round(terms.most * throughput.per_second * terms.utilisation / terms.peak * 86_400, 3))


def measured(content: Mapping[str, Any]) -> Throughput:
    """The gateway's throughput with all clients at work, as scripts/bench_gateway.py wrote it.

    Raises:
        ValueError: there is no such measurement in it.
    """
    try:
        run = content["run"]
        [saturated] = [level["gateway"]["per_second"] for level in run["cost"] if level["name"] == "saturated"]
        where = run["circumstances"]
        return Throughput(
            float(saturated), f"{where['machine']}, {where['date'][:10]}, `{where['command']}`, through the gateway"
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"no throughput of the gateway in it ({type(error).__name__}: {error})") from None


def rows(sizes: Sequence[Size]) -> Iterator[tuple[str, ...]]:
    yield ("notes a day", "peak, notes/s", "replicas at the peak", "at the mean", "$ a month", "$ per 1000 notes")
    for each in sizes:
        cheap, dear = each.per_thousand()
        yield (
            f"{each.notes:,}",
            f"{each.peak_rate:.2f}",
            str(each.replicas) if each.enough else f"more than {each.replicas}",
            str(each.steady),
            _span(each.month_least, each.month_most, 0) if each.enough else "–",
            _span(cheap, dear, 2) if each.enough else "–",
        )


def _span(low: float, high: float, digits: int) -> str:
    texts = [f"{value:,.{digits}f}" for value in (low, high)]
    return texts[0] if texts[0] == texts[1] else f"{texts[0]} to {texts[1]}"


def page(sizes: Sequence[Size], throughput: Throughput, terms: Terms) -> str:
    """The page's part that is computed."""
    head, *body = rows(sizes)
    lines = [f"| {' | '.join(row)} |" for row in (head, *body)]
    lines.insert(1, f"|{'---|' * len(head)}")
    return "\n".join(
        [
            f"One replica gives **{throughput.per_second:g} notes a second** ({throughput.source}).",
            f"Of that {terms.utilisation:.0%} is planned with; the busiest hour has {terms.peak:g} times the mean; a",
            f"replica costs ${terms.price:g} an hour; there are {terms.least} to {terms.most}, which carry at most",
            f"**{largest(throughput, terms):,} notes a day** on these terms.",
            "",
            *lines,
            "",
            "![Cost against notes a day](images/sizing.png)",
            "",
        ]
    )


def draw(path: Path, throughput: Throughput, terms: Terms) -> None:
    """Cost against notes a day, with other throughputs too: what a replica does is what is known least."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    for number, factor in enumerate((1, 2, 4, 8)):
        shown = Throughput(throughput.per_second * factor, "")
        end = largest(shown, terms)
        points = [round(10 ** (4 + step / 200 * (math.log10(end) - 4))) for step in range(201)]
        sizes = [size(notes, shown, terms) for notes in points]
        low, high = [s.month_least for s in sizes], [s.month_most for s in sizes]
        name = f"{shown.per_second:g} notes/s" + (" (measured)" if factor == 1 else f" (were it {factor} times that)")
        axes.plot(points, high, f"C{number}", label=name, drawstyle="steps-post", lw=2 if factor == 1 else 1.2)
        if factor == 1:
            saving = "what an autoscaler can save"
            axes.fill_between(points, low, high, color="C0", alpha=0.15, step="post", label=saving)
    axes.set(xscale="log", xlabel="notes a day", ylabel=rf"\$ a month, at \${terms.price:g} an hour and replica")
    axes.set_ylim(bottom=0)
    planned = f"planned with {terms.utilisation:.0%}"
    axes.set_title(f"{terms.least} to {terms.most} replicas, peak {terms.peak:g} times the mean, {planned}")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, title="throughput of a replica", loc="upper left")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main(
    per_second: Annotated[float | None, typer.Option(min=0.01, help="of one replica; default: from --measured")] = None,
    source: Annotated[str, typer.Option(help="where --per-second is from")] = "a figure that was given",
    measured_in: Annotated[Path, typer.Option("--measured", help="what scripts/bench_gateway.py wrote")] = MEASURED,
    notes: Annotated[list[int] | None, typer.Option(min=1, help="a day; more than one is allowed")] = None,
    peak: Annotated[float, typer.Option(min=1, help="busiest hour over the day's mean")] = 3.0,
    utilisation: Annotated[float, typer.Option(min=0.05, max=0.95, help="that is planned with")] = 0.6,
    price: Annotated[float, typer.Option(min=0, help="$ an hour for one replica's instance")] = 0.526,
    least: Annotated[int, typer.Option(min=1)] = 2,
    most: Annotated[int, typer.Option(min=1)] = 8,
) -> None:
    """Replicas and costs for notes a day."""
    try:
        if per_second is not None:
            throughput = Throughput(per_second, source)
        else:
            throughput = measured(json.loads(measured_in.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        typer.echo(f"error: {measured_in}: {error}; give --per-second", err=True)
        raise typer.Exit(2) from None
    if most < least:
        raise typer.BadParameter("--most is less than --least")
    terms = Terms(peak, utilisation, price, least, most)
    sizes = [size(each, throughput, terms) for each in notes or NOTES]
    head, *body = rows(sizes)
    table = Table(*head, title=f"{throughput.per_second:g} notes/s a replica: {throughput.source}")
    for row in body:
        table.add_row(*row)
    Console().print(table)
    Console().print(f"{most} replicas carry {largest(throughput, terms):,} notes a day on these terms.")
    if not notes:
        text = PAGE.read_text(encoding="utf-8")
        computed = page(sizes, throughput, terms)
        PAGE.write_text(_BLOCK.sub(lambda match: f"{match[1]}\n{computed}\n{match[2]}", text), encoding="utf-8")
        draw(CHART, throughput, terms)
        typer.echo(f"{PAGE}, {CHART}", err=True)


if __name__ == "__main__":
    typer.run(main)
