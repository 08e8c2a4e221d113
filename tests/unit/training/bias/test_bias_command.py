"""``clincode evaluate bias``, on a pipeline that knows the sentences."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import cli.evaluate
from cli.main import app
from training.bias.audit import audit
from training.bias.result import BiasReport
from training.bias.templates import Template, Variant

runner = CliRunner()


@pytest.fixture(scope="module")
def report(stub: Any, some: tuple[list[Template], list[Variant]], denied: Any) -> BiasReport:
    return audit(stub(*some, denied), *some, resamples=1999)


@pytest.fixture(autouse=True)
def audited(monkeypatch: pytest.MonkeyPatch, report: BiasReport) -> tuple[str, ...]:
    """The flags of what every audit here finds."""
    monkeypatch.setattr(cli.evaluate, "audit_bias", lambda _: report)
    return report.flags


def test_it_prints_and_writes(tmp_path: Path, audited: tuple[str, ...]) -> None:
    pytest.importorskip("matplotlib")
    out, page, plot = (tmp_path / name for name in ("bias.json", "bias.html", "bias.png"))
    options = ["--json", str(out), "--report", str(page), "--plot", str(plot)]
    result = runner.invoke(app, ["evaluate", "bias", *options])
    assert result.exit_code == 0, result.output
    assert json.loads(out.read_text())["flags"] == list(audited)
    assert audited
    assert audited[0] in result.stdout
    assert "insurance: medicaid / private" in result.stdout
    assert page.stat().st_size > 10_000
    assert plot.stat().st_size > 10_000


@pytest.mark.parametrize(("known", "code"), [(0, 0), (1, 1)])
def test_a_new_flag_is_an_exit_code(tmp_path: Path, audited: tuple[str, ...], known: int, code: int) -> None:
    previous = tmp_path / "previous.json"
    previous.write_text(json.dumps({"flags": audited[known:]}), encoding="utf-8")
    result = runner.invoke(app, ["evaluate", "bias", "--previous", str(previous)])
    assert result.exit_code == code, result.output
    assert f"New flags: {audited[0] if known else 'none'}" in result.stdout


@pytest.mark.parametrize("text", ["", "[]", '{"flags": "x"}', '{"n": 1}'])
def test_a_file_that_is_no_audit_is_said_before_anything_is_read(tmp_path: Path, text: str) -> None:
    previous = tmp_path / "previous.json"
    previous.write_text(text, encoding="utf-8")
    result = runner.invoke(app, ["evaluate", "bias", "--previous", str(previous)])
    assert result.exit_code == 2
    assert "previous.json: not the JSON of a bias audit" in result.output
