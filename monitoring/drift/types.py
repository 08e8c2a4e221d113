"""Are the entities of a week still of the types that they used to be? Chi-squared, with notes and not entities as what
is independent.

Pearson's statistic takes each entity for a draw of its own. Entities come in notes, and a note full of medications is
full of them: the statistic of the same mix varies far more than chi-squared does, and at p < 0.01 every other week
would be an alert. So the statistic is corrected after Rao and Scott (1981; 1984): divided by its design effect, the
mean of the generalised design effects, and referred to a chi-squared whose degrees of freedom make up for how unlike
each other these are (second order, Satterthwaite). Covariances are estimated from notes as clusters, the week's and the
reference's own: the expected shares come from a sample too, and a small reference makes a blunt test, not false alarms.

With enough entities any difference is significant. Cramér's V says how large it is, whatever their number.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from clincode.labels import EntityType
from monitoring.drift.gamma import chi2_tail

Floats = npt.NDArray[np.float64]

TYPES: tuple[str, ...] = tuple(EntityType)
LEAST_NOTES = 100
"""A week or a reference of fewer notes is not tested: their covariance would be a guess."""
_NOTHING = 1e-9
_COLUMN = {name: column for column, name in enumerate(TYPES)}


class TypeMoments:
    """What the test needs to know of any number of notes: how many, their entities by type, and the sums of products of
    these numbers within a note. A few numbers, whatever comes; moments of two sets of notes add up."""

    def __init__(self) -> None:
        self.notes = 0
        self.total: Floats = np.zeros(len(TYPES))
        self.products: Floats = np.zeros((len(TYPES), len(TYPES)))

    def add(self, entity_types: Iterable[str]) -> None:
        """One note's entities.

        Raises:
            KeyError: a type that is none.
        """
        counts = np.zeros((1, len(TYPES)))
        for name in entity_types:
            counts[0, _COLUMN[name]] += 1
        self.add_counts(counts)

    def add_counts(self, counts: Floats) -> None:
        """Many notes, a row each, with a column for each of ``TYPES``."""
        self.notes += len(counts)
        self.total += counts.sum(axis=0)
        self.products += counts.T @ counts

    def __iadd__(self, other: "TypeMoments") -> "TypeMoments":
        self.notes += other.notes
        self.total += other.total
        self.products += other.products
        return self

    @property
    def entities(self) -> int:
        return int(self.total.sum())

    @property
    def shares(self) -> Floats:
        """Of each type; half an entity is added to each, so that none is impossible."""
        shares: Floats = (self.total + 0.5) / (self.total.sum() + 0.5 * len(TYPES))
        return shares

    def covariance(self) -> Floats:
        """Of the shares, notes being independent: the ratio estimator's (Cochran, Sampling Techniques, 6.3)."""
        shares = self.total / self.total.sum()
        with_all = self.products.sum(axis=1)
        residuals = (
            self.products
            - np.outer(with_all, shares)
            - np.outer(shares, with_all)
            + self.products.sum() * np.outer(shares, shares)
        )
        covariance: Floats = residuals * (self.notes / (self.notes - 1)) / self.total.sum() ** 2
        return covariance

    def to_json(self) -> dict[str, Any]:
        return {
            "notes": self.notes,
            "entities": {name: int(self.total[column]) for name, column in _COLUMN.items()},
            "products": self.products.astype(int).tolist(),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "TypeMoments":
        """Raises KeyError, TypeError or ValueError where it is none."""
        moments = cls()
        moments.notes = int(content["notes"])
        moments.total = np.array([float(content["entities"][name]) for name in TYPES])
        products = np.array(content["products"], dtype=np.float64)
        if products.shape != moments.products.shape or min(moments.notes, moments.total.min(), products.min()) < 0:
            raise ValueError("no moments of entity types")
        moments.products = products
        return moments


@dataclass(frozen=True, slots=True)
class TypeTest:
    """``p`` is the corrected one, by which to judge; ``p_uncorrected`` is Pearson's, to be seen beside it.
    ``cramers_v`` is 0.1 for a small, 0.3 for a middling and 0.5 for a large difference by rule of thumb (Cohen)."""

    p: float
    statistic: float
    df: float
    chi2: float
    p_uncorrected: float
    design_effect: float
    cramers_v: float
    notes: int
    entities: int
    shares: Mapping[str, float]
    expected: Mapping[str, float]


def is_enough(moments: TypeMoments) -> bool:
    return moments.notes >= LEAST_NOTES and moments.entities > 0


def compare_types(week: TypeMoments, reference: TypeMoments) -> TypeTest | None:
    """A week's shares of types against those expected; null where there are too few notes of either."""
    if not is_enough(week) or not is_enough(reference):
        return None
    expected = reference.shares
    n = week.total.sum()
    difference = week.total / n - expected
    chi2 = float(n * (difference**2 / expected).sum())
    # n·D'diag(1/p)D with D of the covariance V is a sum of chi-squareds weighted by the eigenvalues of n·diag(1/p)V,
    # of which the traces of it and of its square are enough.
    weights = n * (week.covariance() + reference.covariance()) / expected[:, None]
    whole_df = len(TYPES) - 1
    trace, trace_of_square = float(np.trace(weights)), float(np.trace(weights @ weights))
    if trace < _NOTHING:  # each note has the same mix
        return None
    statistic, df = chi2 * trace / trace_of_square, trace**2 / trace_of_square
    return TypeTest(
        p=chi2_tail(statistic, df),
        statistic=statistic,
        df=df,
        chi2=chi2,
        p_uncorrected=chi2_tail(chi2, whole_df),
        design_effect=trace / whole_df,
        cramers_v=cramers_v(week.total / n, expected),
        notes=week.notes,
        entities=week.entities,
        shares=dict(zip(TYPES, map(float, week.total / n), strict=True)),
        expected=dict(zip(TYPES, map(float, expected), strict=True)),
    )


def cramers_v(found: Floats, expected: Floats) -> float:
    """√(½ Σ (p - q)² / (p + q)) of two rows of shares: Cramér's V (1946) of the table of both, each taken for as many
    entities, so that it depends on the shares alone. 0 where they agree, 1 where they have no type in common."""
    total = found + expected
    parts = np.divide((found - expected) ** 2, total, out=np.zeros_like(total), where=total > 0)
    return float(np.sqrt(parts.sum() / 2))
