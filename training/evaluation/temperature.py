"""Temperature scaling (Guo et al. 2017): the one number that makes confidences mean what they say.

Fitted are the confidences that a coder sees, those of whole entities: of all temperatures the one is taken at which the
log-likelihood of "right" and "wrong" is highest. It leaves the entities themselves as they are.
"""

import math
from collections.abc import Callable, Collection, Sequence
from typing import Any

from tqdm import tqdm

from training.calibration import Pairs, reliability
from training.corpora import TaggedSentence
from training.evaluation.reading import Found, Reading, right_or_wrong

LOWEST, HIGHEST = 0.25, 4.0
BINS = 10
LEAST = 30
"""Entities without which nothing is fitted: the temperature stays 1."""
_STEPS = 16
_GOLDEN = (math.sqrt(5) - 1) / 2


def fit_temperature(reading: Reading, sentences: Sequence[TaggedSentence], tags: Collection[str]) -> float:
    """The temperature for a corpus that neither trained nor will score the model; 1 where it has too few entities."""
    return _fitted(lambda t: right_or_wrong(reading.found(t), sentences, tags))


def negative_log_likelihood(pairs: Pairs) -> float:
    """Mean over the pairs; a confidence of exactly 0 or 1 that is wrong costs as much as one of a millionth."""
    clipped = [(min(max(confidence, 1e-6), 1 - 1e-6), right) for confidence, right in pairs]
    return -sum(math.log(c if right else 1 - c) for c, right in clipped) / max(len(clipped), 1)


def calibration(pairs_before: Pairs, pairs_after: Pairs, temperature: float, how: str) -> dict[str, Any]:
    """What a report shows: ECE, NLL and the bins before and after; ``how`` says on what the temperature was fitted."""
    figures: dict[str, Any] = {"temperature": temperature, "how": how, "n": len(pairs_before)}
    for name, pairs in (("before", pairs_before), ("after", pairs_after)):
        ece, rows = reliability(pairs, BINS)
        figures[name] = {
            "ece": ece if pairs else None,
            "nll": negative_log_likelihood(pairs) if pairs else None,
            "bins": [list(row) for row in rows],
        }
    return figures


def cross_fitted(reading: Reading, sentences: Sequence[TaggedSentence], tags: Collection[str]) -> Pairs:
    """Pairs of every entity at the temperature that the other half of the documents gives: where one corpus must both
    fit and measure, no entity is measured by what it helped to fit."""
    pairs: list[tuple[float, float]] = []
    for half in (0, 1):
        temperature = _fitted(lambda t, rest=1 - half: _half(reading, sentences, tags, rest, t))  # type: ignore[misc]
        pairs += _half(reading, sentences, tags, half, temperature)
    return pairs


def _half(
    reading: Reading, sentences: Sequence[TaggedSentence], tags: Collection[str], half: int, temperature: float
) -> Pairs:
    documents: list[list[Found]] = list(reading.by_document(temperature))
    found = [one for document in documents[half::2] for one in document]
    return right_or_wrong(found, sentences, tags)


def _fitted(pairs_at: Callable[[float], Pairs]) -> float:
    """Golden-section search over the logarithm: the likelihood has one peak in practice."""
    if len(pairs_at(1.0)) < LEAST:
        return 1.0
    low, high = math.log(LOWEST), math.log(HIGHEST)
    inner = [high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)]
    costs = [negative_log_likelihood(pairs_at(math.exp(point))) for point in inner]
    for _ in tqdm(range(_STEPS), desc="temperature", unit="step", leave=False):
        if costs[0] < costs[1]:
            high, inner[1], costs[1] = inner[1], inner[0], costs[0]
            inner[0] = high - _GOLDEN * (high - low)
            costs[0] = negative_log_likelihood(pairs_at(math.exp(inner[0])))
        else:
            low, inner[0], costs[0] = inner[0], inner[1], costs[1]
            inner[1] = low + _GOLDEN * (high - low)
            costs[1] = negative_log_likelihood(pairs_at(math.exp(inner[1])))
    return round(math.exp((low + high) / 2), 3)
