"""Precision, recall and F1 from counts, and 95% intervals of them."""

from typing import Any

import numpy as np
import numpy.typing as npt

RESAMPLES = 1000
_Z = 1.959963984540054
_LEVELS = (0.025, 0.975)

Counts = npt.NDArray[np.int64]


def prf(correct: int, predicted: int, gold: int) -> dict[str, float]:
    """0 where a denominator is 0."""
    precision = correct / predicted if predicted else 0.0
    recall = correct / gold if gold else 0.0
    return {"precision": precision, "recall": recall, "f1": f1(precision, recall)}


def f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def share(count: int, n: int, name: str = "accuracy") -> dict[str, Any]:
    """A share with Wilson's interval (1927); null of nothing."""
    if not n:
        return {name: None, "interval": None, "n": 0}
    p, z = count / n, _Z
    middle, spread = p + z * z / (2 * n), z * ((p * (1 - p) + z * z / (4 * n)) / n) ** 0.5
    low, high = ((middle - spread) / (1 + z * z / n), (middle + spread) / (1 + z * z / n))
    return {name: p, "interval": [max(0.0, low), min(1.0, high)], "n": n}


def bootstrap_f1(counts: Counts, *, seed: int = 0) -> list[list[float]]:
    """Percentile bootstrap over notes, of as many F1 as ``counts`` has columns: ``(notes, columns, 3)``, correct,
    predicted and gold. ``[0, 0]`` where there is nothing to find or found."""
    notes, columns, _ = counts.shape
    if not notes:
        return [[0.0, 0.0] for _ in range(columns)]
    flat = counts.reshape(notes, -1).astype(np.float64)
    draw = np.random.default_rng(seed)
    sums = np.stack(
        [np.bincount(draw.integers(notes, size=notes), minlength=notes) @ flat for _ in range(RESAMPLES)]
    ).reshape(RESAMPLES, columns, 3)
    found = 2 * sums[..., 0] / np.maximum(sums[..., 1] + sums[..., 2], 1)
    low, high = np.quantile(found, _LEVELS, axis=0)
    return [[float(a), float(b)] for a, b in zip(low, high, strict=True)]
