"""Two models on the same notes: is the one worse, or is it the choice of notes?"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from clincode.types import FloatArray
from training.scoring import Entity

RESAMPLES = 2000


def f1_difference(
    gold: set[Entity],
    one: set[Entity],
    other: set[Entity],
    notes: Sequence[int],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """Strict micro F1 of ``one`` less that of ``other``, with its 95% interval by paired bootstrap over notes.

    ``notes[i]`` is the note of sentence ``i``: whole notes are drawn, with replacement, and both models are scored on
    each draw.

    Returns:
        ``difference``, ``interval`` (None where there are no two notes), ``notes``.
    """
    count = len(set(notes))
    column = {note: index for index, note in enumerate(dict.fromkeys(notes))}
    sizes = [_by_note(group, notes, column) for group in (gold & one, one, gold & other, other, gold)]
    counts = np.stack(sizes, axis=1) if count else np.zeros((0, 5), dtype=np.float32)
    difference = float(_difference(counts.sum(axis=0, keepdims=True))[0])
    if count < 2:
        return {"difference": difference, "interval": None, "notes": count}
    draw = np.random.default_rng(seed)
    sums = np.stack([counts[draw.integers(count, size=count)].sum(axis=0) for _ in range(resamples)])
    low, high = np.quantile(_difference(sums), [0.025, 0.975])
    return {"difference": difference, "interval": [float(low), float(high)], "notes": count}


def _by_note(entities: set[Entity], notes: Sequence[int], column: dict[int, int]) -> FloatArray:
    counts = np.zeros(len(column), dtype=np.float32)
    for sentence, *_ in entities:
        counts[column[notes[sentence]]] += 1
    return counts


def _difference(sums: FloatArray) -> FloatArray:
    """F1 less F1 of rows of (right, found, other's right, other's found, gold)."""
    right, found, others, theirs, gold = sums.T
    one = 2 * right / np.maximum(found + gold, 1)
    other = 2 * others / np.maximum(theirs + gold, 1)
    difference: FloatArray = one - other
    return difference
