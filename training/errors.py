"""Errors of a tagger by kind and by what they would mean to a patient.

Every wrong entity is one error of one kind. Gold and predicted entities that overlap are one error together: of type
where their words are the same, of boundary otherwise; where one takes in several, each of these is an error. A gold
entity that nothing wrong overlaps is missing, a predicted one is hallucinated. Where the entity is negated, the error
counts as one of negation instead: that is where a wrong code does most harm.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clincode.decode import TagSpan, spans_of
from clincode.model import BertForClinicalNER
from training.explore import sentences_of
from training.loop import predict_words
from training.plots import RED, canvas, saved
from training.rules import window_negated

KINDS = ("boundary", "type", "missing", "hallucinated", "negation")
CRITICAL, MODERATE, MINOR = 3, 2, 1
COLOURS = (RED, "#ef8a62", "#a8a8a8")
SEVERITIES = {CRITICAL: "critical", MODERATE: "moderate", MINOR: "minor"}
_DIAGNOSES = {"DIAG", "DIAGNOSIS", "Disease"}
_MEDICATIONS = {"MED", "MEDICATION", "Chemical"}


@dataclass(frozen=True, slots=True)
class ErrorInstance:
    """One error. Spans are of words, the last one included; None where there is no gold or no predicted entity."""

    kind: str
    severity: int
    words: tuple[str, ...]
    gold: TagSpan | None
    predicted: TagSpan | None

    def text(self, span: TagSpan | None) -> str:
        """The span's words, or a dash."""
        return " ".join(self.words[span.first : span.last + 1]) if span else "–"


def classify_errors(
    words: Sequence[str], gold_tags: Sequence[str], predicted_tags: Sequence[str]
) -> list[ErrorInstance]:
    """The errors of one sentence, in the order of their words."""
    gold, predicted = list(spans_of(gold_tags)), list(spans_of(predicted_tags))
    wrong = [span for span in gold if span not in predicted]
    guesses = [span for span in predicted if span not in gold]
    pairs: list[tuple[TagSpan | None, TagSpan | None]] = [(_partner(guess, wrong), guess) for guess in guesses]
    paired = {span for span, _ in pairs}
    pairs += [(span, _partner(span, guesses)) for span in wrong if span not in paired]
    pairs.sort(key=lambda pair: min(span.first for span in pair if span is not None))
    return [_instance(tuple(words), gold_span, guess) for gold_span, guess in pairs]


def error_analysis(
    model: BertForClinicalNER,
    dataset_split: Iterable[Any],
    tokenizer: Any,
    device: Any,
    label_names: Sequence[str],
    num_examples: int = 100,
) -> dict[str, list[ErrorInstance]]:
    """Kind → errors in the first ``num_examples`` examples; every kind is there, be it empty."""
    sentences = sentences_of(dataset_split, label_names)[:num_examples]
    predicted, _ = predict_words(model, [s.words for s in sentences], tokenizer, device, label_names)
    return by_kind(
        error
        for sentence, tags in zip(sentences, predicted, strict=True)
        for error in classify_errors(sentence.words, sentence.tags, tags)
    )


def by_kind(errors: Iterable[ErrorInstance]) -> dict[str, list[ErrorInstance]]:
    """All five kinds, with their errors."""
    found: dict[str, list[ErrorInstance]] = {kind: [] for kind in KINDS}
    for error in errors:
        found[error.kind].append(error)
    return found


def severity_distribution(errors: Mapping[str, Sequence[ErrorInstance]]) -> dict[str, int]:
    """``critical``, ``moderate``, ``minor`` → number of errors."""
    counts = Counter(error.severity for instances in errors.values() for error in instances)
    return {name: counts[severity] for severity, name in SEVERITIES.items()}


def summary(errors: Mapping[str, Sequence[ErrorInstance]], examples: int = 3) -> str:
    """Count and share of every kind, and the first ``examples`` of each: gold on the left, predicted on the right."""
    total = sum(map(len, errors.values()))
    lines = []
    for kind, instances in errors.items():
        lines.append(f"{kind:<13}{len(instances):>5}  {len(instances) / total if total else 0:>6.1%}")
        for error in instances[:examples]:
            sides = [f"{error.text(span)} [{span.tag if span else ''}]" for span in (error.gold, error.predicted)]
            lines.append(f"    {sides[0]:<48} {sides[1]}")
    return "\n".join(lines)


def plot_errors(errors: Mapping[str, Sequence[ErrorInstance]], out: Path | None = None) -> Any:
    """Errors by kind, the bars stacked by severity; returns the matplotlib figure, written to ``out`` if given."""
    figure, axis = canvas(7, 1.4 + 0.45 * len(errors))
    left: list[float] = [0.0] * len(errors)
    for (severity, name), colour in zip(SEVERITIES.items(), COLOURS, strict=True):
        counts = [sum(error.severity == severity for error in instances) for instances in errors.values()]
        axis.barh(list(errors), counts, left=left, label=name, color=colour)
        left = [before + count for before, count in zip(left, counts, strict=True)]
    axis.invert_yaxis()
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.set(xlabel="errors", xlim=(0, 1.04 * max(*left, 1)))
    axis.grid(axis="x", color="#e3e8ee")
    figure.legend(loc="outside upper center", ncols=len(SEVERITIES), frameon=False)
    return saved(figure, out)


def _instance(words: tuple[str, ...], gold: TagSpan | None, predicted: TagSpan | None) -> ErrorInstance:
    if gold is None:
        kind = "hallucinated"
    elif predicted is None:
        kind = "missing"
    else:
        kind = "type" if (gold.first, gold.last) == (predicted.first, predicted.last) else "boundary"
    severity = _severity(kind, gold, predicted)
    place = gold or predicted
    assert place is not None, "an error has a gold or a predicted entity"
    negated = window_negated(words, place.first, place.last + 1)
    return ErrorInstance("negation" if negated else kind, severity, words, gold, predicted)


def _severity(kind: str, gold: TagSpan | None, predicted: TagSpan | None) -> int:
    """Critical: a diagnosis that is missed, a medication that is missed or invented, or either taken for another type.
    Minor: the right thing in the wrong boundaries. All else is moderate."""
    tags = {span.tag for span in (gold, predicted) if span}
    if kind == "boundary" and len(tags) == 1:
        return MINOR
    if tags & _MEDICATIONS or (gold and gold.tag in _DIAGNOSES):
        return CRITICAL
    return MODERATE


def _partner(span: TagSpan, others: Iterable[TagSpan]) -> TagSpan | None:
    """Of the others the one that shares most words with the span; None where none shares any."""
    best = max(others, key=lambda other: _overlap(other, span), default=None)
    return best if best and _overlap(best, span) else None


def _overlap(first: TagSpan, second: TagSpan) -> int:
    return max(0, min(first.last, second.last) - max(first.first, second.first) + 1)
