"""``clincode drift``: a reference learnt from files, and the status with its exit code."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from drift_samples import NEW, OLD, entity, types_of
from typer.testing import CliRunner

from cli.drift import drift_app
from monitoring.drift.monitor import DriftMonitor
from monitoring.drift.reference import read_reference
from monitoring.drift.store import write_state

RUN = CliRunner()


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    lines = [
        {
            "text": f"{OLD} Seen by Dr. Harold Whitcombe.",
            "answer": {"entities": [entity(kind) for kind in types_of(number)]},
        }
        for number in range(150)
    ]
    (tmp_path / "notes.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    out = tmp_path / "reference.json"
    notes = str(tmp_path / "notes.jsonl")
    result = RUN.invoke(
        drift_app, ["reference", "--text", notes, "--answers", notes, "--source", "tests", "--out", str(out)]
    )
    assert result.exit_code == 0, result.output
    assert "from 150 texts; 150 answered notes" in result.output
    return out


def test_a_reference_holds_counts_of_masked_text(reference: Path) -> None:
    content = reference.read_text()
    assert "pneumonia" in content
    assert "whitcombe" not in content.lower()
    assert read_reference(reference).sources == ("tests",)
    assert read_reference(reference).answers is not None


def test_status_without_alert(reference: Path) -> None:
    result = RUN.invoke(drift_app, ["status", "--reference", str(reference)])
    assert result.exit_code == 0
    assert "0 notes in the window" in result.output


def test_status_with_alerts_ends_with_one(reference: Path, tmp_path: Path) -> None:
    monitor = DriftMonitor(read_reference(reference))
    at = datetime.now(UTC) - timedelta(days=7)
    for number in range(1000):
        types = ["PROCEDURE", *types_of(number)]
        monitor.observe(f"{NEW} {'pneumonia ' * 20}", types, [0.9] * len(types), "operative_report", at)
    write_state(tmp_path / "drift.npz", monitor.state())
    options = ["--reference", str(reference), "--state", str(tmp_path / "drift.npz"), "--labels", str(tmp_path)]
    result = RUN.invoke(drift_app, ["status", *options])
    assert result.exit_code == 1
    assert "ALERT words" in result.output
    assert "ALERT types" in result.output
    assert "what adds most to KL" in result.output
    assert "│ pneumonia" in result.output
    assert "knee" not in result.output  # the reference does not name it
    result = RUN.invoke(drift_app, ["status", "--json", *options])
    assert {alert["kind"] for alert in json.loads(result.stdout)["alerts"]} == {"words", "types"}


@pytest.mark.parametrize("line", ['{"text": "a"}', '{"text": "a", "answer": {"entities": [{"type": "GENE"}]}}'])
def test_answers_that_are_none_are_one_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "notes.jsonl"
    path.write_text(line)
    arguments = ["reference", "--text", str(path), "--answers", str(path), "--out", str(tmp_path / "out.json")]
    result = RUN.invoke(drift_app, arguments)
    assert result.exit_code == 2
    assert "error: a note of --answers has" in result.output
    assert not (tmp_path / "out.json").exists()
