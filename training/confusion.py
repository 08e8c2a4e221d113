"""What is taken for what: words by label, words by type, entities by type."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from clincode.decode import TagSpan, spans_of
from clincode.labels import OUTSIDE, split_label
from clincode.types import IntArray

NONE = "none"
"""The type of what is not there."""


def confusion_matrix(
    gold: Iterable[Sequence[str]], predicted: Iterable[Sequence[str]], label_names: Sequence[str]
) -> IntArray:
    """Words by annotated (rows) and predicted (columns) label: ``(labels, labels)``."""
    pairs = (pair for one, other in zip(gold, predicted, strict=True) for pair in zip(one, other, strict=True))
    return count_matrix(pairs, label_names)


def token_confusion(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], tags: Sequence[str]) -> IntArray:
    """Words by annotated (rows) and predicted (columns) tag: ``(tags + 1, tags + 1)``, the last being outside."""
    return confusion_matrix(_types(gold), _types(predicted), (*tags, OUTSIDE))


def _types(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    return [[split_label(label)[1] or OUTSIDE for label in row] for row in rows]


def entity_confusion(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], tags: Sequence[str]
) -> IntArray:
    """Entities by annotated (rows) and predicted (columns) tag: ``(tags + 1, tags + 1)``, the last being none.

    An annotated entity is held against the predicted one that it shares the largest part of their words with; each is
    used once. What shares no word with anything is missed (last column) or made up (last row).
    """
    pairs = (
        (one.tag if one else NONE, other.tag if other else NONE)
        for a, b in zip(gold, predicted, strict=True)
        for one, other in _paired(spans_of(a), spans_of(b))
    )
    return count_matrix(pairs, (*tags, NONE))


def _paired(
    gold: Sequence[TagSpan], predicted: Sequence[TagSpan]
) -> Iterator[tuple[TagSpan, TagSpan] | tuple[TagSpan, None] | tuple[None, TagSpan]]:
    shares = {(g, p): _shared(g, p) for g in gold for p in predicted}
    free_gold, free_predicted = set(gold), set(predicted)
    # Of equal shares, that of the same type.
    order = sorted(shares, key=lambda pair: (-shares[pair], pair[0].tag != pair[1].tag))
    for one, other in order:
        if shares[one, other] and one in free_gold and other in free_predicted:
            free_gold.remove(one)
            free_predicted.remove(other)
            yield one, other
    yield from ((one, None) for one in free_gold)
    yield from ((None, other) for other in free_predicted)


def _shared(one: TagSpan, other: TagSpan) -> float:
    """Words that two spans share, of all that they have (Jaccard)."""
    common = min(one.last, other.last) - max(one.first, other.first) + 1
    return max(common, 0) / (max(one.last, other.last) - min(one.first, other.first) + 1)


def count_matrix(pairs: Iterable[tuple[str, str]], names: Sequence[str]) -> IntArray:
    """How often each pair occurs, ``(names, names)``."""
    counts = Counter(pairs)
    return np.array([[counts[row, column] for column in names] for row in names], dtype=np.int64)
