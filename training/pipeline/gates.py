"""Gates as data: what a model must reach before it goes on, and whether it does.

Every gate that there is must stand in the file, with a limit or waived with a reason: none can be lost by an oversight.
What was not measured fails.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

PASSED, FAILED, WAIVED = "passed", "FAILED", "waived"
_SIGNS = {"at_least": "≥", "at_most": "≤", "below": "<"}
_WAIVED = "waived"


class GateError(ValueError):
    """The gates' file does not fit; the message names every fault."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A gate that there is: the step that gives its evidence, the sign of its limit and the limits that make sense."""

    what: str
    stage: str
    sign: str
    lowest: float
    highest: float


KINDS: Mapping[str, Kind] = {
    "entity_f1": Kind("strict entity F1, micro", "evaluation", "at_least", 0, 1),
    "type_f1": Kind("strict F1 of the type", "evaluation", "at_least", 0, 1),
    "negation_accuracy": Kind("mentions rightly taken as negated or not", "evaluation", "at_least", 0, 1),
    "p95_ms": Kind("95th percentile of a note's time, ms", "evaluation", "below", 0, math.inf),
    "size_gb": Kind("what is deployed, GB", "evaluation", "below", 0, math.inf),
    "ece": Kind("expected calibration error", "evaluation", "at_most", 0, 1),
    "f1_against_production": Kind("F1 less production's, same notes", "evaluation", "at_least", -1, 0),
    "new_bias_flags": Kind("bias flags that production has not", "bias", "at_most", 0, math.inf),
}
STAGES = ("evaluation", "bias")


@dataclass(frozen=True, slots=True)
class Gate:
    """A gate with its limit; with ``waived``, the reason why it does not hold here, the limit is none."""

    name: str
    limit: float | None
    waived: str | None = None

    @property
    def kind(self) -> Kind:
        return KINDS[self.name]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One row of the table. ``value`` is None where nothing was measured; ``note`` says what the numbers do not."""

    gate: str
    what: str
    value: float | None
    sign: str
    limit: float | None
    verdict: str
    note: str = ""

    @property
    def shown_value(self) -> str:
        return "no evidence" if self.value is None else f"{self.value:.4g}"

    @property
    def shown_limit(self) -> str:
        return "–" if self.limit is None else f"{self.sign} {self.limit:g}"


@dataclass(frozen=True, slots=True)
class Verdicts:
    rows: tuple[Verdict, ...]

    @property
    def passed(self) -> bool:
        """False also where there is nothing to pass."""
        return bool(self.rows) and all(row.verdict != FAILED for row in self.rows)

    @property
    def failures(self) -> tuple[str, ...]:
        return tuple(row.gate for row in self.rows if row.verdict == FAILED)

    def to_dict(self) -> dict[str, Any]:
        return {"passed": self.passed, "rows": [asdict(row) for row in self.rows]}


def read_gates(path: Path) -> tuple[Gate, ...]:
    """The gates of a YAML file: ``name: {at_least: 0.88}``, or ``name: {waived: "why"}``.

    Raises:
        GateError: names every gate, key and limit that is unknown, missing or makes no sense.
    """
    try:
        data: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise GateError(f"{path}: {error}") from None
    if not isinstance(data, dict):
        raise GateError(f"{path}: must map the names of gates to their limits")
    faults = [f"unknown gate '{name}'; known are {', '.join(KINDS)}" for name in data if name not in KINDS]
    faults += [f"gate '{name}' is missing: give its limit, or waive it with a reason" for name in KINDS.keys() - data]
    gates = []
    for name in KINDS:
        if name in data:
            gate = _gate(name, data[name])
            if isinstance(gate, str):
                faults.append(gate)
            else:
                gates.append(gate)
    if faults:
        raise GateError(f"{path}: " + "; ".join(sorted(faults)))
    return tuple(gates)


def judge(gates: Iterable[Gate], evidence: Mapping[str, Any], *, stage: str | None = None) -> Verdicts:
    """The verdict on each gate, or on those of one stage.

    ``evidence`` maps names of gates to numbers; ``type_f1`` to a number a type; ``f1_against_production`` to
    ``{"difference": …, "interval": [low, high]}``; ``new_bias_flags`` to the flags' names. What is missing, null or no
    finite number fails.
    """
    rows: list[Verdict] = []
    for gate in gates:
        if stage is not None and gate.kind.stage != stage:
            continue
        found = evidence.get(gate.name)
        if gate.name == "type_f1" and isinstance(found, Mapping) and found:
            rows += [_verdict(gate, value, name=f"{gate.name} {kind}") for kind, value in found.items()]
        elif gate.name == "f1_against_production" and isinstance(found, Mapping):
            rows.append(_regression(gate, found))
        elif gate.name == "new_bias_flags" and isinstance(found, list | tuple):
            rows.append(_verdict(gate, len(found), note=", ".join(map(str, found))))
        else:
            # A bare number has no interval and no types: it is no evidence for a gate that asks for them.
            whole = gate.name in ("type_f1", "f1_against_production", "new_bias_flags")
            rows.append(_verdict(gate, None if whole else found))
    return Verdicts(tuple(rows))


def _gate(name: str, value: Any) -> Gate | str:
    """The gate, or what is wrong with it."""
    kind = KINDS[name]
    if not isinstance(value, dict) or len(value) != 1:
        return f"gate '{name}': must have exactly one key, {kind.sign} or {_WAIVED}"
    ((key, limit),) = value.items()
    if key == _WAIVED:
        if not isinstance(limit, str) or not limit.strip():
            return f"gate '{name}': {_WAIVED} must say why"
        return Gate(name, None, limit.strip())
    if key != kind.sign:
        return f"gate '{name}': unknown key '{key}'; known are {kind.sign} and {_WAIVED}"
    number = _number(limit)
    if number is None or not kind.lowest <= number <= kind.highest:
        return f"gate '{name}': {key} must be a number from {kind.lowest:g} to {kind.highest:g}, is {limit!r}"
    return Gate(name, number)


def _regression(gate: Gate, found: Mapping[str, Any]) -> Verdict:
    """Worse than the limit, or by less, but so steadily that the whole interval lies below zero."""
    interval = found.get("interval")
    bounds = [_number(bound) for bound in interval] if isinstance(interval, list | tuple) else []
    if len(bounds) != 2 or None in bounds:
        return _verdict(gate, None, note="" if gate.waived else "no interval of the difference")
    low, high = (bound for bound in bounds if bound is not None)
    row = _verdict(gate, found.get("difference"), note=f"interval {low:+.3f} to {high:+.3f}")
    if row.verdict == PASSED and high < 0:
        return Verdict(*(row.gate, row.what, row.value, row.sign, row.limit), FAILED, f"{row.note}, wholly below zero")
    return row


def _verdict(gate: Gate, value: Any, *, name: str | None = None, note: str = "") -> Verdict:
    number = _number(value)
    sign, label = _SIGNS[gate.kind.sign], name or gate.name
    if gate.waived is not None or gate.limit is None:
        return Verdict(label, gate.kind.what, number, sign, None, WAIVED, gate.waived or "")
    held = (
        number is not None
        and {
            "at_least": number >= gate.limit,
            "at_most": number <= gate.limit,
            "below": number < gate.limit,
        }[gate.kind.sign]
    )
    return Verdict(label, gate.kind.what, number, sign, gate.limit, PASSED if held else FAILED, note)


def _number(value: Any) -> float | None:
    """A finite number, and nothing that only looks like one (``true`` is 1 to Python)."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
