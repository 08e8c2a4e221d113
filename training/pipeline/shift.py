"""Whether new data name other kinds of things than the old: the distance of their label distributions, and how often
chance alone would bring as much."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clincode.types import FloatArray
from training.pipeline.samples import TYPES


@dataclass(frozen=True, slots=True)
class Shift:
    """Total variation distance: the share of labels that would have to be of another type, 0 to 1.

    ``p`` is the share of permutations of the notes that are as far apart; shares are by type.
    """

    distance: float
    p: float
    reference: dict[str, float]
    found: dict[str, float]

    def exceeds(self, limit: float, alpha: float) -> bool:
        """Further than the limit, and not by chance: a handful of notes is far from anything."""
        return self.distance > limit and self.p < alpha


def label_shift(
    reference: Sequence[Counter[str]], found: Sequence[Counter[str]], *, permutations: int = 999, seed: int = 0
) -> Shift | None:
    """Entities by type of each reference note and of each new one, compared; None where either side has no entity.

    Whole notes are permuted, for entities of one note go together: a chi-squared test, which takes each for itself,
    finds a shift in any two sets of notes that are large enough.
    """
    rows = np.array([[note[kind] for kind in TYPES] for note in (*reference, *found)], dtype=np.float32)
    if not len(reference) or not len(found):
        return None
    inside = np.zeros(len(rows), dtype=bool)
    inside[len(reference) :] = True
    sides = [rows[~inside].sum(axis=0), rows[inside].sum(axis=0)]
    if not sides[0].sum() or not sides[1].sum():
        return None
    distance = _distance(*sides)
    draw = np.random.default_rng(seed)
    total = rows.sum(axis=0)
    further = 0
    for _ in range(permutations):
        picked = rows[draw.permutation(len(rows))[: len(found)]].sum(axis=0)
        further += _distance(total - picked, picked) >= distance - 1e-9
    shares = [dict(zip(TYPES, (side / side.sum()).tolist(), strict=True)) for side in sides]
    return Shift(distance, (further + 1) / (permutations + 1), *shares)


def _distance(one: FloatArray, other: FloatArray) -> float:
    """Total variation of two counts; where a side is empty, they are as far apart as can be."""
    if not one.sum() or not other.sum():
        return 1.0
    return float(np.abs(one / one.sum() - other / other.sum()).sum() / 2)
