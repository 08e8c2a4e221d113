"""Intervals and tests of the audit. All are of the choice of templates: what other sentences would give."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Z95 = 1.959963984540054
Counts = npt.NDArray[np.float64]
"""``(templates, 2)``: what a template adds to a ratio's numerator and to its denominator."""


@dataclass(frozen=True, slots=True)
class Score:
    """A ratio of sums with its 95% interval; NaN where its denominator is 0."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference:
    """One ratio less another on the same templates. ``p`` is two-sided, before any correction."""

    value: float
    low: float
    high: float
    p: float

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0


def wilson(count: int, of: int) -> tuple[float, float]:
    """Wilson's 95% interval of a share (1927); (0, 1) of nothing."""
    if not of:
        return 0.0, 1.0
    share, square = count / of, Z95 * Z95
    middle = (share + square / (2 * of)) / (1 + square / of)
    half = Z95 / (1 + square / of) * math.sqrt(share * (1 - share) / of + square / (4 * of * of))
    return max(0.0, middle - half), min(1.0, middle + half)


def binomial_tail(count: int, of: int, share: float) -> float:
    """The probability of ``count`` or more of ``of`` where each comes with probability ``share``."""
    return min(1.0, math.fsum(math.comb(of, k) * share**k * (1 - share) ** (of - k) for k in range(count, of + 1)))


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p values (1979), in the order given."""
    adjusted, highest = [1.0] * len(ps), 0.0
    for rank, index in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[index]))
        adjusted[index] = highest
    return adjusted


class Resamples:
    """Resamples of so many templates, drawn once for all that is asked of them.

    Intervals are those of a percentile bootstrap that draws templates, each with both of its notes.
    """

    def __init__(self, templates: int, rng: np.random.Generator, resamples: int) -> None:
        equal = np.full(templates, 1 / templates)
        self._weights = rng.multinomial(templates, equal, size=resamples).astype(np.float64)
        self._swaps = rng.integers(0, 2, size=(resamples, templates)).astype(np.float64)

    def score(self, counts: Counts) -> Score:
        """The ratio of sums."""
        return Score(_ratio(counts), *_interval(_ratios(self._weights @ counts)))

    def difference(self, group: Counts, reference: Counts) -> Difference:
        """The difference of two ratios of sums. ``p`` is of a randomisation test that swaps the two notes of templates
        (Noreen 1989), so it cannot be below 1 / (resamples + 1)."""
        value = _ratio(group) - _ratio(reference)
        low, high = _interval(_ratios(self._weights @ group) - _ratios(self._weights @ reference))
        moved = self._swaps @ (reference - group)
        chance = _ratios(group.sum(axis=0) + moved) - _ratios(reference.sum(axis=0) - moved)
        beyond = int((np.abs(chance) >= abs(value) - 1e-12).sum())
        return Difference(value, low, high, (1 + beyond) / (len(chance) + 1))


def _ratio(counts: Counts) -> float:
    return float(_ratios(counts.sum(axis=0)))


def _ratios(sums: Counts) -> npt.NDArray[np.float64]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(sums[..., 0] / sums[..., 1])


def _interval(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    known = values[~np.isnan(values)]
    if not len(known):
        return math.nan, math.nan
    low, high = np.percentile(known, (2.5, 97.5))
    return float(low), float(high)
