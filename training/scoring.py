"""Strict entity scores: a prediction counts where its type and both of its boundaries are right.

Entities are ``(sentence, first word, last word, tag)``; a correct one is in both sets, so precision, recall and F1
follow from set sizes alone. ``match_schemes`` adds nervaluate's partial and type matches (SemEval-2013 task 9).
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from nervaluate import Evaluator

from clincode.decode import spans_of

Entity = tuple[int, int, int, str]
Scores = dict[str, float]


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


def strict_scores(gold: set[Entity], predicted: set[Entity], *, names: dict[str, str]) -> dict[str, object]:
    """``{"micro": {…}, "per_type": {name: {…}}, "n": gold entities}``; ``names`` maps tags to what they are called."""
    correct = gold & predicted
    counts = [Counter(entity[3] for entity in group) for group in (correct, predicted, gold)]
    per_type = {name: {**prf(*(count[tag] for count in counts)), "n": counts[2][tag]} for tag, name in names.items()}
    return {"micro": prf(len(correct), len(predicted), len(gold)), "per_type": per_type, "n": len(gold)}


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
