"""The arithmetic of scripts/size.py."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from typer import Typer
from typer.testing import CliRunner


@pytest.fixture(scope="module")
def tool(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("size")


@pytest.mark.parametrize(
    ("notes", "replicas", "steady", "enough"),
    [
        (1, 2, 2, True),  # never less than two
        (345_600, 2, 2, True),  # 12/s at the peak, 6 of each replica: exactly two
        (345_601, 3, 2, True),
        (1_382_400, 8, 3, True),  # 48/s: exactly eight
        (1_382_401, 8, 3, False),
        (9_999_999, 8, 8, False),
    ],
)
def test_replicas_carry_the_peak(tool: ModuleType, notes: int, replicas: int, steady: int, enough: bool) -> None:
    found = tool.size(notes, tool.Throughput(10, ""), tool.Terms(peak=3, utilisation=0.6))
    assert (found.replicas, found.steady, found.enough) == (replicas, steady, enough)


def test_the_largest_is_the_last_that_is_enough(tool: ModuleType) -> None:
    throughput, terms = tool.Throughput(5.7, ""), tool.Terms()
    most = tool.largest(throughput, terms)
    assert tool.size(most, throughput, terms).enough
    assert not tool.size(most + 1, throughput, terms).enough


def test_cost_is_hours_price_and_replicas(tool: ModuleType) -> None:
    found = tool.size(1_000_000, tool.Throughput(10, ""), tool.Terms(price=0.5))
    assert (found.month_least, found.month_most) == (2 * 365, 6 * 365)
    low, high = found.per_thousand()
    assert high == pytest.approx(6 * 12 / 1000)  # six replicas, 12 $ a day each, for a thousand thousands
    assert low < high


def test_what_the_bench_wrote_is_read(tool: ModuleType, tmp_path: Path) -> None:
    where = {
        "machine": "2 cores of X",
        "date": "2027-01-02T03:04:05+00:00",
        "command": "python scripts/bench_gateway.py run",
    }
    levels = [{"name": name, "gateway": {"per_second": rate}} for name, rate in (("50%", 3.0), ("saturated", 6.25))]
    found = tool.measured({"run": {"circumstances": where, "cost": levels}})
    assert found.per_second == 6.25
    assert "2 cores of X, 2027-01-02" in found.source
    for broken in ({}, {"run": {"cost": levels[:1], "circumstances": where}}, {"run": None}):
        with pytest.raises(ValueError, match="no throughput"):
            tool.measured(broken)
    app = Typer()
    app.command()(tool.main)
    file = tmp_path / "none.json"
    done = CliRunner().invoke(app, ["--measured", str(file), "--notes", "5"])
    assert (done.exit_code, "give --per-second" in done.output) == (2, True)
    file.write_text(json.dumps({"run": {"circumstances": where, "cost": levels}}), encoding="utf-8")
    done = CliRunner().invoke(app, ["--measured", str(file), "--notes", "5"])
    assert done.exit_code == 0, done.output


def test_the_page_says_whose_throughput_it_is(tool: ModuleType, root: Path) -> None:
    text = (root / "docs" / "sizing.md").read_text(encoding="utf-8")
    assert "not on a T4" in text
    assert "cores of" in text.partition("sizing: begin")[2].partition("sizing: end")[0]
    assert (root / "docs" / "images" / "sizing.png").is_file()
