"""Confidences that mean what they say: fitting the curve, and measuring how far off it is."""

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from clincode.types import FloatArray

Pairs = Sequence[tuple[float, float]]
"""Confidence, and 1 where the answer is right, else 0."""


def isotonic(pairs: Pairs, *, least: int = 25) -> tuple[FloatArray, FloatArray]:
    """Knots of the rising curve nearest to (probability, right or not): neighbours that violate the order are pooled,
    and so are fewer than ``least``. From (0, 0)."""
    blocks: list[list[float]] = []  # sum of probabilities, sum of right ones, number
    for probability, equal in groupby(sorted(pairs), key=lambda pair: pair[0]):
        rights = [right for _, right in equal]
        blocks.append([probability * len(rights), sum(rights), float(len(rights))])
        while len(blocks) > 1 and (
            blocks[-2][2] < least or blocks[-2][1] / blocks[-2][2] >= blocks[-1][1] / blocks[-1][2]
        ):
            _pool_last(blocks)
    if len(blocks) > 1 and blocks[-1][2] < least:
        _pool_last(blocks)
    knots = [0.0, *(block[0] / block[2] for block in blocks)]
    shares = [0.0, *(block[1] / block[2] for block in blocks)]
    return np.array(knots, dtype=np.float32), np.array(shares, dtype=np.float32)


def _pool_last(blocks: list[list[float]]) -> None:
    last = blocks.pop()
    blocks[-1] = [a + b for a, b in zip(blocks[-1], last, strict=True)]


def reliability(pairs: Pairs, bins: int = 10) -> tuple[float, list[tuple[float, float, int]]]:
    """Expected calibration error over bins of equal width, and mean confidence, share right and number of each bin."""
    rows = []
    for low in range(bins):
        inside = [pair for pair in pairs if min(int(pair[0] * bins), bins - 1) == low]
        if inside:
            rows.append((float(np.mean([c for c, _ in inside])), float(np.mean([r for _, r in inside])), len(inside)))
    total = sum(count for *_, count in rows)
    return sum(abs(confidence - right) * count for confidence, right, count in rows) / max(total, 1), rows


def threshold_of(pairs: Pairs, *, wanted: float = 0.5) -> float:
    """The least confidence from which on, of the suggestions in the next tenth, at least the wanted share is right."""
    for step in range(5, 95, 5):
        low = step / 100
        inside = [right for confidence, right in pairs if low <= confidence < low + 0.1]
        if len(inside) >= 20 and np.mean(inside) >= wanted:
            return low
    return 0.5
