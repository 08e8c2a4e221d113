"""What two arms are compared by: the difference of micro-F1 from counts per note, its error, tests and sample sizes.

Notes are the units that are independent, entities of a note are not: every error here is of notes.
"""

import math
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from gateway.feedback.intervals import Counts

Floats = npt.NDArray[np.float64]
_NORMAL = NormalDist()
_AT_ONCE = 2_000_000
"""Labels that are shuffled in one go."""


def no_counts() -> Counts:
    return np.zeros((0, 3), dtype=np.int64)


def no_floats() -> Floats:
    return np.zeros(0)


@dataclass(frozen=True, slots=True)
class Arm:
    """What is known of the notes that one target was to answer."""

    counts: Counts = field(default_factory=no_counts)
    """A row for each note that was reviewed whole: true positives, false positives, false negatives."""
    latencies_ms: Floats = field(default_factory=no_floats)
    """Of the notes that the target answered."""
    confidences: Floats = field(default_factory=no_floats)
    """Of the notes with entities that the target answered: the mean over the note's entities."""
    assigned: int = 0
    """Notes that were to be answered by it, and were, or failed; those still waiting are not counted."""
    failed: int = 0
    """Of those: notes with at least one failure. A note that production had to answer instead is one."""
    finished: int = 0
    """Notes whose review was finished, whole or not."""

    @property
    def reviewed(self) -> int:
        return len(self.counts)

    @property
    def error_rate(self) -> float:
        return self.failed / self.assigned if self.assigned else 0.0

    @property
    def p95_ms(self) -> float | None:
        return float(np.quantile(self.latencies_ms, 0.95)) if self.latencies_ms.size else None


@dataclass(frozen=True, slots=True)
class Difference:
    """Candidate's micro-F1 less control's. ``error`` is its standard error, infinite where too little is known."""

    control: float
    candidate: float
    error: float
    control_sd: float
    candidate_sd: float
    """Of one note's part in the F1: the standard error times the root of the number of notes."""

    @property
    def value(self) -> float:
        return self.candidate - self.control

    @property
    def z(self) -> float:
        return self.value / self.error if self.error > 0 else math.copysign(math.inf, self.value) * (self.value != 0)


def f1_of(counts: Counts) -> tuple[float, float]:
    """Micro-F1 and the standard deviation of a note's part in it (the delta method); infinite for fewer than two
    notes, or notes without any entity."""
    found, all_of_it = _parts(counts)
    total = all_of_it.sum()
    if len(counts) < 2 or not total:
        return 0.0, math.inf
    f1 = found.sum() / total
    rest = found - f1 * all_of_it
    return float(f1), float(math.sqrt((rest @ rest) / (len(counts) - 1)) / (total / len(counts)))


def difference(control: Arm, candidate: Arm) -> Difference:
    (f1_control, sd_control), (f1_candidate, sd_candidate) = f1_of(control.counts), f1_of(candidate.counts)
    known = math.isfinite(sd_control) and math.isfinite(sd_candidate)
    variance = sd_control**2 / control.reviewed + sd_candidate**2 / candidate.reviewed if known else math.inf
    return Difference(f1_control, f1_candidate, math.sqrt(variance), sd_control, sd_candidate)


def permutation_p(control: Counts, candidate: Counts, *, permutations: int = 9999, seed: int = 0) -> float:
    """Two-sided p of equal micro-F1: notes change their arms at random.

    The statistic is studentised (Chung and Romano 2013), so that p is right too where the arms have different spreads
    or sizes and only their F1 is equal.
    """
    found, all_of_it = _parts(np.concatenate([control, candidate]))
    moments = np.stack([found, all_of_it, found * found, found * all_of_it, all_of_it * all_of_it], axis=1)
    n, n_candidate = len(moments), len(candidate)
    if min(n_candidate, n - n_candidate) < 2:
        return 1.0
    total = moments.sum(axis=0)
    seen = abs(float(_studentised(moments[n - n_candidate :].sum(axis=0)[None], total, n_candidate, n)[0]))
    draw, extreme, done = np.random.default_rng(seed), 0, 0
    while done < permutations:
        rows = min(permutations - done, max(1, _AT_ONCE // n))
        labels = np.zeros((rows, n))
        for row in labels:
            row[draw.choice(n, n_candidate, replace=False, shuffle=False)] = 1.0
        t = _studentised(labels @ moments, total, n_candidate, n)
        extreme += int(np.count_nonzero(np.abs(t) >= seen - 1e-12))
        done += rows
    return (extreme + 1) / (permutations + 1)


def sample_size(sd: float, effect: float, *, alpha: float = 0.05, power: float = 0.8) -> int:
    """Reviewed notes of each arm to find ``effect`` (of F1) with that power in a two-sided test.

    Raises:
        ValueError: a figure does not make sense.
    """
    if not (sd >= 0 and math.isfinite(sd)) or effect <= 0 or not 0 < alpha < 1 or not 0 < power < 1:
        raise ValueError("sd must be 0 or more, the difference positive, alpha and power between 0 and 1")
    return max(2, math.ceil(2 * (sd * (quantile(1 - alpha / 2) + quantile(power)) / effect) ** 2))


def power_of(n: int, sd: float, effect: float, *, alpha: float = 0.05) -> float:
    """That a two-sided test of ``n`` notes an arm finds ``effect``, in the right direction."""
    return _NORMAL.cdf(effect / (sd * math.sqrt(2 / n)) - quantile(1 - alpha / 2))


def quantile(probability: float) -> float:
    return _NORMAL.inv_cdf(probability)


def two_sided_p(z: float) -> float:
    return 2 * _NORMAL.cdf(-abs(z))


def fisher_p(hits: int, n: int, other_hits: int, other_n: int) -> float:
    """One-sided p (Fisher's exact test) that ``hits`` of ``n`` are so many by chance, beside ``other_hits`` of
    ``other_n``."""
    drawn, total = hits + other_hits, n + other_n
    most = min(drawn, n)
    if hits <= max(0, drawn - other_n):
        return 1.0
    base = _log_choose(total, drawn)
    logs = [_log_choose(n, k) + _log_choose(other_n, drawn - k) - base for k in range(hits, most + 1)]
    return min(1.0, math.fsum(map(math.exp, logs)))


def ks_distance(one: Floats, other: Floats) -> float:
    """Greatest distance between two empirical distributions; 0 where either is empty."""
    if not one.size or not other.size:
        return 0.0
    values = np.concatenate([one, other])
    steps = (np.searchsorted(np.sort(each), values, side="right") / each.size for each in (one, other))
    return float(np.abs(next(steps) - next(steps)).max())


def ks_p(one: Floats, other: Floats) -> float:
    """Kolmogorov and Smirnov's asymptotic two-sided p, with Stephens' correction for small samples."""
    if not one.size or not other.size:
        return 1.0
    root = math.sqrt(one.size * other.size / (one.size + other.size))
    x = (root + 0.12 + 0.11 / root) * ks_distance(one, other)
    if x < 0.2:
        return 1.0
    return min(1.0, max(0.0, 2 * math.fsum((-1) ** (k - 1) * math.exp(-2 * (k * x) ** 2) for k in range(1, 101))))


def _parts(counts: Counts) -> tuple[Floats, Floats]:
    """A note's 2·TP and 2·TP + FP + FN, whose sums' ratio is the micro-F1."""
    found, false, missed = counts.astype(np.float64).T
    return 2 * found, 2 * found + false + missed


def _studentised(sums: Floats, total: Floats, n: int, of_n: int) -> Floats:
    """The difference over its error, for rows of the candidate's moment sums; the control has the rest."""
    f1, variance = zip(*(_f1_and_variance(*each) for each in ((sums, n), (total - sums, of_n - n))), strict=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        t: Floats = (f1[0] - f1[1]) / np.sqrt(variance[0] + variance[1])
    return np.nan_to_num(t, nan=0.0)


def _f1_and_variance(sums: Floats, n: int) -> tuple[Floats, Floats]:
    found, all_of_it, found2, both, all2 = sums.T
    whole = np.maximum(all_of_it, 1.0)
    f1: Floats = found / whole
    rest: Floats = np.maximum(found2 - 2 * f1 * both + f1 * f1 * all2, 0.0)
    variance: Floats = rest * n / (n - 1) / whole**2
    return f1, variance


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
