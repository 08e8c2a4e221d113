"""One HTML file on what a tagger does on a corpus: scores, confusions, errors and, of a run, how it learnt.

The file needs nothing beside it: figures are embedded. It holds no text of the corpus unless examples are asked for.
"""

import base64
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clincode.decode import TagSpan
from clincode.labels import OUTSIDE, TAG_TO_TYPE, split_label
from clincode.types import IntArray
from training.confusion import NONE, entity_confusion, token_confusion
from training.corpora import Guideline, TaggedSentence
from training.plots import BLUE, DPI, canvas, plot_confusion, plot_history
from training.run_log import METRICS_FILE

if TYPE_CHECKING:
    from training.errors import ErrorInstance

EXAMPLES_A_KIND = 5
_COLOURS = (BLUE, "#b8c4d0", "#d9a441", "#8fae6b")


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, a sentence on how to read the figure, the figure as base64 PNG with its alternative text, a table."""

    heading: str
    note: str
    png: str
    alt: str
    rows: Sequence[Sequence[object]] = ()


@dataclass(frozen=True, slots=True)
class _Example:
    severity: str
    gold: list[tuple[str, str]]
    predicted: list[tuple[str, str]]


def write_ner_report(
    path: Path,
    *,
    title: str,
    sentences: Sequence[TaggedSentence],
    predicted: Sequence[Sequence[str]],
    guideline: Guideline,
    scores: Mapping[str, Any],
    baselines: Mapping[str, Mapping[str, Any]] | None = None,
    history: Iterable[Mapping[str, float]] | None = None,
    system: str = "model",
    examples: bool = False,
) -> None:
    """Write the report on ``predicted``, BIO tags a sentence, of what is called ``system`` in it.

    ``scores`` and those of each of ``baselines`` are as ``evaluate_ner.score_tags`` gives them. ``history`` are a run's
    figures as ``read_history`` gives them. With ``examples``, a few errors of each kind are shown in their sentences.

    Raises:
        ValueError: where the packages that draw and write are not installed.
    """
    try:
        from jinja2 import Environment, FileSystemLoader
    except ModuleNotFoundError:
        raise ValueError("the report needs jinja2: pip install 'clincode[reports]'") from None
    tags = tuple(dict.fromkeys(guideline.tags.values()))
    gold = [sentence.tags for sentence in sentences]
    found = [_only(tags, sequence) for sequence in predicted]
    errors = _errors(sentences, found)
    systems = [(system, scores), *(baselines or {}).items()]
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True)
    html = environment.get_template("ner_report.html").render(
        title=title,
        sentences=len(sentences),
        entities=scores["n"],
        guideline=guideline.name,
        tables=[(name, _score_rows(figures)) for name, figures in systems],
        figures=[
            f1_section(systems),
            confusion_section("Words", "words", tags, OUTSIDE, token_confusion(gold, found, tags)),
            confusion_section("Entities", "entities", tags, NONE, entity_confusion(gold, found, tags)),
            _errors_section(errors),
            *([history_section(list(history))] if history is not None else []),
        ],
        examples=_examples(errors) if examples else None,
    )
    path.write_text(html, encoding="utf-8")


def read_history(run: Path) -> list[dict[str, float]]:
    """The lines of ``metrics.jsonl`` in the folder of a run, in order; of an epoch written twice the last counts.

    Returns:
        Mappings with ``epoch`` (from 1), ``loss`` and ``devel_f1``; lines of single steps are left out.

    Raises:
        ValueError: names the line that is no JSON object.
        OSError: where there is no such file.
    """
    epochs: dict[float, dict[str, float]] = {}
    for number, line in enumerate((run / METRICS_FILE).read_text(encoding="utf-8").splitlines(), 1):
        try:
            values = {str(name): float(value) for name, value in json.loads(line).items()}
        except (ValueError, TypeError, AttributeError):
            raise ValueError(f"{run / METRICS_FILE}:{number}: not a line of figures") from None
        if {"epoch", "loss", "devel_f1"} <= values.keys():
            epochs[values["epoch"]] = values
    return [epochs[epoch] for epoch in sorted(epochs)]


def _only(tags: Sequence[str], sequence: Sequence[str]) -> list[str]:
    """The sequence without the tags that the corpus does not annotate."""
    return [label if split_label(label)[1] in tags else OUTSIDE for label in sequence]


def _errors(
    sentences: Sequence[TaggedSentence], predicted: Sequence[Sequence[str]]
) -> dict[str, list["ErrorInstance"]]:
    """The errors of each kind."""
    from training.errors import by_kind, classify_errors

    return by_kind(
        error
        for sentence, tags in zip(sentences, predicted, strict=True)
        for error in classify_errors(sentence.words, sentence.tags, tags)
    )


def _score_rows(scores: Mapping[str, Any]) -> list[dict[str, Any]]:
    types = [{"name": name, "total": False, **row} for name, row in scores["per_type"].items()]
    return [*types, {"name": "micro", "total": True, "n": scores["n"], **scores["micro"]}]


def f1_section(systems: Sequence[tuple[str, Mapping[str, Any]]]) -> Section:
    """Strict F1 of each system by type, with its interval; scores are as ``evaluate_ner.score_tags`` gives them."""
    rows = [_score_rows(scores) for _, scores in systems]
    names = [row["name"] for row in rows[0]]
    figure, axis = canvas(7, 1.2 + 0.2 * len(names) * (len(systems) + 1))
    height = 0.8 / len(systems)
    for index, ((system, _), values) in enumerate(zip(systems, rows, strict=True)):
        f1 = [row["f1"] for row in values]
        # A percentile interval may lie wholly on one side of the estimate where there are few entities.
        below = [max(0, row["f1"] - row["interval"][0]) for row in values]
        above = [max(0, row["interval"][1] - row["f1"]) for row in values]
        at = np.arange(len(names)) + (index - (len(systems) - 1) / 2) * height
        style = {"ecolor": "#444", "capsize": 2, "error_kw": {"lw": 1}}
        axis.barh(at, f1, height * 0.92, xerr=[below, above], label=system, color=_COLOURS[index % 4], **style)
    axis.set(yticks=range(len(names)), yticklabels=names, xlim=(0, 1), xlabel="F1")
    axis.invert_yaxis()
    axis.grid(axis="x", color="#e3e8ee")
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=len(systems), frameon=False)
    alt = "Bars of strict F1: " + "; ".join(f"{row['name']} {row['f1']:.3f}" for row in rows[0])
    return Section("F1 by type", "Lines on the bars are the intervals.", _png(figure), alt)


def confusion_section(heading: str, unit: str, tags: Sequence[str], rest: str, counts: IntArray) -> Section:
    """Words or entities (``unit``) by annotated and predicted tag; ``rest`` is the name of the last row and column."""
    names = [*(TAG_TO_TYPE[tag].value for tag in tags), rest]
    shares = counts.diagonal() / np.maximum(counts.sum(axis=1), 1)
    note = {
        "words": "Each row is what the words annotated as one type were predicted as: share of the row, and count.",
        "entities": "Each annotated entity beside the predicted one that it shares most words with, whatever the "
        f"boundaries; “{rest}” is missed (last column) or made up (last row).",
    }[unit]
    right = "; ".join(f"{name} {share:.0%}" for name, share in zip(names, shares, strict=True))
    return Section(
        f"Confusion of {heading.lower()}",
        note,
        _png(plot_confusion(counts, names)),
        f"Heat map; share on the diagonal: {right}",
    )


def _errors_section(errors: Mapping[str, Sequence["ErrorInstance"]]) -> Section:
    from training.errors import SEVERITIES, plot_errors

    counts = {kind: Counter(error.severity for error in instances) for kind, instances in errors.items()}
    rows = [[kind, *(count[severity] for severity in SEVERITIES), count.total()] for kind, count in counts.items()]
    total = ["all", *(sum(column) for column in list(zip(*rows, strict=True))[1:])]
    alt = "Bars of errors by kind: " + "; ".join(f"{kind} {count.total()}" for kind, count in counts.items())
    note = "By kind, and by what they would mean to a patient; an error near words that negate counts as negation."
    return Section(
        "Errors", note, _png(plot_errors(errors)), alt, [["kind", *SEVERITIES.values(), "all"], *rows, total]
    )


def history_section(history: Sequence[Mapping[str, float]]) -> Section:
    """The curves of a run, as ``read_history`` gives them."""
    rows = [[f"{line['epoch']:.0f}", f"{line['loss']:.4f}", f"{line['devel_f1']:.3f}"] for line in history]
    alt = f"Training loss and devel F1 over {len(history)} epochs"
    note = "Loss is the mean over the epoch; devel F1 is the strict micro F1 on the run's devel corpus."
    return Section("Training", note, _png(plot_history(history)), alt, [["epoch", "loss", "devel F1"], *rows])


def _examples(errors: Mapping[str, Sequence["ErrorInstance"]]) -> list[tuple[str, list[_Example]]]:
    """The gravest errors of each kind, ``EXAMPLES_A_KIND`` at most."""
    from training.errors import SEVERITIES

    gravest = {kind: sorted(instances, key=lambda error: -error.severity) for kind, instances in errors.items()}
    return [
        (
            kind,
            [
                _Example(SEVERITIES[e.severity], _marked(e.words, e.gold), _marked(e.words, e.predicted))
                for e in instances[:EXAMPLES_A_KIND]
            ],
        )
        for kind, instances in gravest.items()
        if instances
    ]


def _marked(words: Sequence[str], span: TagSpan | None) -> list[tuple[str, str]]:
    """A sentence in pieces, ``(text, tag)``: what stands before the span, the span, and the rest, without a tag."""
    if span is None:
        return [(" ".join(words), "")]
    cuts = (words[: span.first], ""), (words[span.first : span.last + 1], span.tag), (words[span.last + 1 :], "")
    return [(" ".join(piece), tag) for piece, tag in cuts if piece]


def _png(figure: Any) -> str:
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
