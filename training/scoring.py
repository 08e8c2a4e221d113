"""Strict entity scores: a prediction counts where its type and both of its boundaries are right.

Entities are ``(sentence, first word, last word, tag)``; a correct one is in both sets, so precision, recall and F1
follow from set sizes alone. ``match_schemes`` adds nervaluate's partial and type matches (SemEval-2013 task 9).
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from nervaluate import Evaluator

from clincode.decode import spans_of

Entity = tuple[int, int, int, str]
Scores = dict[str, float]
Interval = list[float]


def entity_set(tag_sequences: Iterable[Sequence[str]], *, tags: Collection[str] | None = None) -> set[Entity]:
    """Entities of BIO sequences; those of other tags than ``tags`` are left out."""
    return {
        (index, span.first, span.last, span.tag)
        for index, sequence in enumerate(tag_sequences)
        for span in spans_of(sequence)
        if tags is None or span.tag in tags
    }


def prf(correct: int, predicted: int, gold: int) -> Scores:
    """Precision, recall and F1; 0 where a denominator is 0."""
    precision = correct / predicted if predicted else 0.0
    recall = correct / gold if gold else 0.0
    f1 = 2 * precision * recall / (precision + recall) if correct else 0.0
    return {"precision": precision, "recall": recall, "f1": f1}


def strict_scores(gold: set[Entity], predicted: set[Entity], *, names: Mapping[str, str]) -> dict[str, Any]:
    """``{"micro": {…}, "per_type": {name: {…}}, "n": gold entities}``; ``names`` maps tags to what they are called."""
    correct = gold & predicted
    counts = [Counter(entity[3] for entity in group) for group in (correct, predicted, gold)]
    per_type = {name: {**prf(*(count[tag] for count in counts)), "n": counts[2][tag]} for tag, name in names.items()}
    return {"micro": prf(len(correct), len(predicted), len(gold)), "per_type": per_type, "n": len(gold)}


def bootstrap_intervals(
    gold: set[Entity],
    predicted: set[Entity],
    sentences: int,
    *,
    tags: Sequence[str],
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[Interval, dict[str, Interval]]:
    """Percentile bootstrap of F1 over sentences (Efron and Tibshirani 1993, chapter 13).

    A resample draws as many sentences as there are, with replacement. The interval is of the choice of sentences alone:
    another seed of training may lie outside it.

    Returns:
        ``[low, high]`` of micro F1 over all tags, and of F1 by tag; ``[0, 0]`` where there is nothing to find or found.

    Raises:
        ValueError: where ``level`` does not lie between 0 and 1 or there is no resample to draw.
    """
    if not 0 < level < 1 or resamples < 1:
        raise ValueError(f"level {level} must lie between 0 and 1, and resamples {resamples} must be at least 1")
    # (sentences, 3 groups, tags + 1): the last column is the sum over tags.
    counts = np.stack([_tag_counts(group, sentences, tags) for group in (gold & predicted, predicted, gold)], axis=1)
    counts = np.concatenate([counts, counts.sum(axis=2, keepdims=True)], axis=2).reshape(sentences, 3 * (len(tags) + 1))
    draw = np.random.default_rng(seed)
    weights = (np.bincount(draw.integers(sentences, size=sentences), minlength=sentences) for _ in range(resamples))
    sums = np.stack([weight @ counts for weight in weights]) if sentences else np.zeros((1, counts.shape[1]))
    correct, n_predicted, n_gold = sums.reshape(len(sums), 3, -1).transpose(1, 0, 2)
    f1 = 2 * correct / np.maximum(n_predicted + n_gold, 1)
    low, high = np.quantile(f1, [(1 - level) / 2, (1 + level) / 2], axis=0)
    *by_tag, micro = ([float(a), float(b)] for a, b in zip(low, high, strict=True))
    return micro, dict(zip(tags, by_tag, strict=True))


def _tag_counts(entities: set[Entity], sentences: int, tags: Sequence[str]) -> npt.NDArray[np.float64]:
    """How many entities of each tag a sentence has: ``(sentences, tags)``."""
    column = {tag: index for index, tag in enumerate(tags)}
    counts = np.zeros((sentences, len(tags)))
    for sentence, _, _, tag in entities:
        counts[sentence, column[tag]] += 1
    return counts


def match_schemes(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], tags: Collection[str]
) -> dict[str, Scores]:
    """nervaluate's strict, exact, partial and type scores over all tags."""
    evaluator = Evaluator([list(s) for s in gold], [list(s) for s in predicted], tags=sorted(tags), loader="list")
    overall = evaluator.evaluate()["overall"]
    return {
        scheme: {"precision": result.precision, "recall": result.recall, "f1": result.f1}
        for scheme, result in overall.items()
    }
