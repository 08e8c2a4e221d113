"""What must not get worse whatever the F1 says: latency, errors, confidence. Pure.

A guardrail is broken where the candidate is out of bounds *and* chance does not explain it. The bound alone would throw
out every seventh equal model on the noise of a p95, the test alone would throw out a model for a millisecond that is
certain.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from gateway.rollout.measures import Arm, Floats, fisher_p, ks_distance, ks_p, two_sided_p

P95 = 0.95
_QUANTILES = (0.1, 0.5, 0.9)
_LEAST = 10
"""Notes of an arm below which nothing is said of a distribution."""


@dataclass(frozen=True, slots=True)
class Guardrail:
    """``change`` is relative to control; ``p`` is 1 where the bound is kept."""

    name: str
    control: float
    candidate: float
    change: float
    p: float

    def is_broken(self, alpha: float) -> bool:
        return self.p < alpha

    def to_dict(self) -> dict[str, Any]:
        change = None if math.isinf(self.change) else round(self.change, 4)
        figures = {"control": round(self.control, 4), "candidate": round(self.candidate, 4)}
        return {**figures, "change": change, "p": float(f"{self.p:.3g}")}

    def __str__(self) -> str:
        change = "from nothing" if math.isinf(self.change) else f"{self.change:+.0%}"
        return f"{self.name}: {self.candidate:.4g} beside {self.control:.4g} ({change}, p {self.p:.2g})"


def guardrails(control: Arm, candidate: Arm, limit: float) -> list[Guardrail]:
    """Each with how far the candidate is from control. ``limit`` is the relative change that is let pass: upwards for
    latency and errors, either way for confidence."""
    return [
        *_latency(control, candidate, limit),
        _errors(control, candidate, limit),
        *_confidence(control, candidate, limit),
    ]


def share_p(control: Arm, candidate: Arm, share: float) -> float:
    """Two-sided p that notes were divided by ``share``; a small one means that notes of an arm get lost."""
    total = control.assigned + candidate.assigned
    if not total or not 0 < share < 1:
        return 1.0
    return two_sided_p((candidate.assigned - share * total) / math.sqrt(total * share * (1 - share)))


def _latency(control: Arm, candidate: Arm, limit: float) -> Iterator[Guardrail]:
    """p is of the shares of notes that are slower than control's slowest twentieth begins."""
    one, other = control.latencies_ms, candidate.latencies_ms
    if min(one.size, other.size) < _LEAST:
        return
    before, after = float(np.quantile(one, P95)), float(np.quantile(other, P95))
    change, p = _change(before, after), 1.0
    if change > limit:
        slow, slow_control = int(np.count_nonzero(other > before)), int(np.count_nonzero(one > before))
        p = fisher_p(slow, other.size, slow_control, one.size)
    yield Guardrail("p95 of latency (ms)", before, after, change, p)


def _errors(control: Arm, candidate: Arm, limit: float) -> Guardrail:
    change, p = _change(control.error_rate, candidate.error_rate), 1.0
    if change > limit:
        p = fisher_p(candidate.failed, candidate.assigned, control.failed, control.assigned)
    return Guardrail("error rate", control.error_rate, candidate.error_rate, change, p)


def _confidence(control: Arm, candidate: Arm, limit: float) -> Iterator[Guardrail]:
    """The mean, by a z test over notes, and the distribution by its deciles 1, 5 and 9 and Kolmogorov and
    Smirnov's test."""
    one, other = control.confidences, candidate.confidences
    if min(one.size, other.size) < _LEAST:
        return
    before, after = float(one.mean()), float(other.mean())
    change, p = _change(before, after), 1.0
    if abs(change) > limit:
        error = math.sqrt(one.var(ddof=1) / one.size + other.var(ddof=1) / other.size)
        p = two_sided_p((after - before) / error) if error else 0.0
    yield Guardrail("mean confidence", before, after, change, p)
    yield _distribution(one, other, limit)


def _distribution(one: Floats, other: Floats, limit: float) -> Guardrail:
    pairs = list(zip(np.quantile(one, _QUANTILES), np.quantile(other, _QUANTILES), strict=True))
    before, after = max(pairs, key=lambda pair: abs(_change(float(pair[0]), float(pair[1]))))
    change = _change(float(before), float(after))
    p = ks_p(one, other) if abs(change) > limit and ks_distance(one, other) > 0 else 1.0
    return Guardrail("confidence's decile that moved most", float(before), float(after), change, p)


def _change(before: float, after: float) -> float:
    if before == after:
        return 0.0
    return after / before - 1 if before else math.copysign(math.inf, after - before)
