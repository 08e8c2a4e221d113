"""Gates: what passes, what fails, and that nothing passes for want of evidence."""

import math
from pathlib import Path
from typing import Any

import pytest

from training.pipeline.gates import FAILED, KINDS, PASSED, WAIVED, GateError, Verdict, judge, read_gates

ROOT = Path(__file__).parents[4]
GATES = read_gates(ROOT / "config" / "gates.yaml")
GOOD: dict[str, Any] = {
    "entity_f1": 0.9,
    "type_f1": {"DIAGNOSIS": 0.86, "TEST": 0.95},
    "negation_accuracy": 0.93,
    "p95_ms": 300.0,
    "size_gb": 0.1,
    "ece": 0.04,
    "f1_against_production": {"difference": 0.01, "interval": [-0.01, 0.03]},
    "new_bias_flags": [],
}


def row(evidence: dict[str, Any], gate: str) -> Verdict:
    return next(row for row in judge(GATES, evidence).rows if row.gate.startswith(gate))


def test_production_has_the_limits_that_were_agreed() -> None:
    limits = {gate.name: (gate.kind.sign, gate.limit) for gate in GATES}
    assert limits == {
        "entity_f1": ("at_least", 0.88),
        "type_f1": ("at_least", 0.85),
        "negation_accuracy": ("at_least", 0.92),
        "p95_ms": ("below", 500.0),
        "size_gb": ("below", 4.0),
        "ece": ("at_most", 0.05),
        "f1_against_production": ("at_least", -0.005),
        "new_bias_flags": ("at_most", 0.0),
    }


def test_a_good_model_passes_every_gate() -> None:
    verdicts = judge(GATES, GOOD)
    assert verdicts.passed
    assert {row.verdict for row in verdicts.rows} == {PASSED}
    assert len(verdicts.rows) == len(KINDS) + 1  # two types


@pytest.mark.parametrize("gate", KINDS)
@pytest.mark.parametrize("missing", ["absent", None, math.nan, math.inf, "0.9", True, {}, -math.inf])
def test_missing_evidence_fails(gate: str, missing: Any) -> None:
    evidence = {**GOOD, gate: missing}
    if missing == "absent":
        del evidence[gate]
    verdicts = judge(GATES, evidence)
    assert not verdicts.passed
    assert verdicts.failures == (gate,)
    assert next(row for row in verdicts.rows if row.gate == gate).value is None


@pytest.mark.parametrize(
    ("gate", "value", "verdict"),
    [
        ("entity_f1", 0.88, PASSED),
        ("entity_f1", 0.8799, FAILED),
        ("negation_accuracy", 0.92, PASSED),
        ("negation_accuracy", 0.919, FAILED),
        ("p95_ms", 499.9, PASSED),
        ("p95_ms", 500, FAILED),
        ("size_gb", 4.0, FAILED),
        ("ece", 0.05, PASSED),
        ("ece", 0.051, FAILED),
        ("new_bias_flags", ["age:child:entity_f1"], FAILED),
        ("new_bias_flags", 0, FAILED),  # a number says nothing of which
        ("type_f1", 0.99, FAILED),
        ("f1_against_production", 0.5, FAILED),
        ("f1_against_production", {"difference": 0.0, "interval": [-0.02, 0.02]}, PASSED),
        ("f1_against_production", {"difference": -0.006, "interval": [-0.02, 0.02]}, FAILED),
        ("f1_against_production", {"difference": 0.01}, FAILED),
        ("f1_against_production", {"difference": 0.01, "interval": [0.0]}, FAILED),
        ("f1_against_production", {"difference": 0.01, "interval": [math.nan, 0.1]}, FAILED),
        ("f1_against_production", {"difference": None, "interval": [-0.1, 0.1]}, FAILED),
    ],
)
def test_limits_are_what_they_say(gate: str, value: Any, verdict: str) -> None:
    assert row({**GOOD, gate: value}, gate).verdict == verdict


def test_one_weak_type_fails_by_its_name() -> None:
    verdicts = judge(GATES, {**GOOD, "type_f1": {"DIAGNOSIS": 0.9, "PROCEDURE": 0.84, "TEST": None}})
    assert verdicts.failures == ("type_f1 PROCEDURE", "type_f1 TEST")


def test_a_small_but_steady_loss_fails_where_the_limit_allows_it(tmp_path: Path) -> None:
    gates = read_gates(written(tmp_path, f1_against_production="{at_least: -0.05}"))
    lost = {**GOOD, "f1_against_production": {"difference": -0.02, "interval": [-0.03, -0.01]}}
    assert judge(gates, lost).failures == ("f1_against_production",)
    unsure = {**GOOD, "f1_against_production": {"difference": -0.02, "interval": [-0.05, 0.01]}}
    assert judge(gates, unsure).passed


def test_stages_share_the_gates_between_them() -> None:
    one, other = (judge(GATES, GOOD, stage=stage) for stage in ("evaluation", "bias"))
    assert [row.gate for row in other.rows] == ["new_bias_flags"]
    assert len(one.rows) + len(other.rows) == len(judge(GATES, GOOD).rows)


def test_nothing_to_judge_is_no_pass() -> None:
    assert not judge((), GOOD).passed


def test_a_waived_gate_says_why(tmp_path: Path) -> None:
    gates = read_gates(written(tmp_path, size_gb='{waived: "measured at the next release"}'))
    verdicts = judge(gates, {**GOOD, "size_gb": None})
    waived = next(row for row in verdicts.rows if row.gate == "size_gb")
    assert (waived.verdict, waived.note) == (WAIVED, "measured at the next release")
    assert verdicts.passed


def written(folder: Path, drop: str = "", **changes: str) -> Path:
    lines = (ROOT / "config" / "gates.yaml").read_text(encoding="utf-8").splitlines()
    limits = dict(line.split(":", 1) for line in lines if line and not line.startswith("#"))
    limits.pop(drop, None)
    path = folder / "gates.yaml"
    path.write_text("\n".join(f"{name}: {limit}" for name, limit in {**limits, **changes}.items()), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"entity_recall": "{at_least: 0.9}"}, "unknown gate 'entity_recall'"),
        ({"drop": "ece"}, "gate 'ece' is missing"),
        ({"ece": "{at_least: 0.05}"}, "unknown key 'at_least'; known are at_most and waived"),
        ({"ece": "{at_most: 0.05, bins: 5}"}, "must have exactly one key"),
        ({"ece": "0.05"}, "must have exactly one key"),
        ({"ece": "{at_most: .nan}"}, "must be a number from 0 to 1"),
        ({"ece": "{at_most: 5}"}, "must be a number from 0 to 1, is 5"),
        ({"entity_f1": "{at_least: true}"}, "must be a number"),
        ({"entity_f1": "{at_least: '0.88'}"}, "must be a number"),
        ({"f1_against_production": "{at_least: 0.1}"}, "must be a number from -1 to 0"),
        ({"size_gb": "{waived: ''}"}, "waived must say why"),
        ({"size_gb": "{waived: true}"}, "waived must say why"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_by_name(tmp_path: Path, changes: dict[str, str], fault: str) -> None:
    with pytest.raises(GateError, match=fault):
        read_gates(written(tmp_path, **changes))


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(GateError, match=r"(?s)'ece' is missing.*unknown gate 'x'.*p95_ms|p95_ms.*"):
        read_gates(written(tmp_path, drop="ece", x="{at_least: 1}", p95_ms="{below: -1}"))


@pytest.mark.parametrize("text", ["", "- a", "a: [", "\xff\xfe"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "gates.yaml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(GateError, match=str(path)):
        read_gates(path)


def test_the_smoke_runs_gates_can_be_read() -> None:
    assert {gate.name for gate in read_gates(ROOT / "config" / "pipeline" / "smoke-gates.yaml")} == set(KINDS)
