"""One HTML file on what a tagger does on a corpus: scores, confusions, errors and, of a run, how it learnt.

The file needs nothing beside it: figures are embedded. It holds no text of the corpus unless examples are asked for.
"""

import base64
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from clincode.decode import TagSpan, spans_of
from clincode.labels import OUTSIDE, TAG_TO_TYPE, split_label
from training.corpora import Guideline, TaggedSentence
from training.run_log import METRICS_FILE

if TYPE_CHECKING:
    from training.errors import ErrorInstance

EXAMPLES_A_KIND = 5
_NONE = "none"
_COLOURS = ("#4878a8", "#b8c4d0", "#d9a441", "#8fae6b")
_SEVERITY_COLOURS = ("#a83c2c", "#e39b4b", "#f2d9a0")
_Counts = npt.NDArray[np.int64]


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
        raise _not_installed() from None
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
            _f1_section(systems),
            _confusion_section("Words", "words", tags, OUTSIDE, token_confusion(gold, found, tags)),
            _confusion_section("Entities", "entities", tags, _NONE, entity_confusion(gold, found, tags)),
            _errors_section(errors),
            *([_history_section(list(history))] if history is not None else []),
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


def token_confusion(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], tags: Sequence[str]) -> _Counts:
    """Words by annotated (rows) and predicted (columns) tag: ``(tags + 1, tags + 1)``, the last being outside."""
    pairs = (
        (split_label(a)[1] or OUTSIDE, split_label(b)[1] or OUTSIDE)
        for one, other in zip(gold, predicted, strict=True)
        for a, b in zip(one, other, strict=True)
    )
    return _matrix(pairs, (*tags, OUTSIDE))


def entity_confusion(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], tags: Sequence[str]) -> _Counts:
    """Entities by annotated (rows) and predicted (columns) tag: ``(tags + 1, tags + 1)``, the last being none.

    An annotated entity is held against the predicted one that it shares the largest part of their words with; each is
    used once. What shares no word with anything is missed (last column) or made up (last row).
    """
    pairs = (
        (one.tag if one else _NONE, other.tag if other else _NONE)
        for a, b in zip(gold, predicted, strict=True)
        for one, other in _paired(spans_of(a), spans_of(b))
    )
    return _matrix(pairs, (*tags, _NONE))


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


def _matrix(pairs: Iterable[tuple[str, str]], names: Sequence[str]) -> _Counts:
    counts = Counter(pairs)
    return np.array([[counts[row, column] for column in names] for row in names], dtype=np.int64)


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


def _f1_section(systems: Sequence[tuple[str, Mapping[str, Any]]]) -> Section:
    rows = [_score_rows(scores) for _, scores in systems]
    names = [row["name"] for row in rows[0]]
    figure, axis = _canvas(7, 1.2 + 0.2 * len(names) * (len(systems) + 1))
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


def _confusion_section(heading: str, unit: str, tags: Sequence[str], rest: str, counts: _Counts) -> Section:
    names = [*(TAG_TO_TYPE[tag].value for tag in tags), rest]
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(totals, 1)
    figure, axis = _canvas(1.9 + 0.95 * len(names), 1.1 + 0.75 * len(names))
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), share in np.ndenumerate(shares):
        colour = "white" if share > 0.6 else "#1d2733"
        text = f"{share:.0%}\n{counts[row, column]:,}" if counts[row, column] else "·"
        axis.text(column, row, text, ha="center", va="center", color=colour, fontsize=9)
    axis.set(xticks=range(len(names)), yticks=range(len(names)), xlabel="predicted", ylabel="annotated")
    axis.set_xticklabels(names, rotation=35, ha="right", rotation_mode="anchor")
    axis.set_yticklabels(names)
    note = {
        "words": "Each row is what the words annotated as one type were predicted as: share of the row, and count.",
        "entities": "Each annotated entity beside the predicted one that it shares most words with, whatever the "
        f"boundaries; “{rest}” is missed (last column) or made up (last row).",
    }[unit]
    right = "; ".join(f"{name} {share:.0%}" for name, share in zip(names, shares.diagonal(), strict=True))
    return Section(f"Confusion of {heading.lower()}", note, _png(figure), f"Heat map; share on the diagonal: {right}")


def _errors_section(errors: Mapping[str, Sequence["ErrorInstance"]]) -> Section:
    from training.errors import SEVERITIES

    counts = {kind: Counter(error.severity for error in instances) for kind, instances in errors.items()}
    figure, axis = _canvas(7, 1.4 + 0.45 * len(errors))
    left = np.zeros(len(errors))
    for (severity, name), colour in zip(SEVERITIES.items(), _SEVERITY_COLOURS, strict=True):
        widths = np.array([count[severity] for count in counts.values()], dtype=float)
        axis.barh(list(errors), widths, left=left, color=colour, label=name)
        left += widths
    axis.invert_yaxis()
    axis.set(xlabel="errors", xlim=(0, 1.04 * max(*left, 1)))
    axis.grid(axis="x", color="#e3e8ee")
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=len(SEVERITIES), frameon=False)
    rows = [[kind, *(count[severity] for severity in SEVERITIES), count.total()] for kind, count in counts.items()]
    total = ["all", *(sum(column) for column in list(zip(*rows, strict=True))[1:])]
    alt = "Bars of errors by kind: " + "; ".join(f"{kind} {count.total()}" for kind, count in counts.items())
    note = "By kind, and by what they would mean to a patient; an error near words that negate counts as negation."
    return Section("Errors", note, _png(figure), alt, [["kind", *SEVERITIES.values(), "all"], *rows, total])


def _history_section(history: Sequence[Mapping[str, float]]) -> Section:
    epochs = [line["epoch"] for line in history]
    figure, axes = _canvas(7, 3, columns=2)
    for axis, name, label in zip(axes, ("loss", "devel_f1"), ("training loss", "devel F1"), strict=True):
        axis.plot(epochs, [line[name] for line in history], marker="o", color=_COLOURS[0])
        axis.set(xlabel="epoch", title=label, xticks=epochs if len(epochs) <= 12 else axis.get_xticks())
        axis.grid(color="#e3e8ee")
    rows = [[f"{line['epoch']:.0f}", f"{line['loss']:.4f}", f"{line['devel_f1']:.3f}"] for line in history]
    alt = f"Training loss and devel F1 over {len(history)} epochs"
    note = "Loss is the mean over the epoch; devel F1 is the strict micro F1 on the run's devel corpus."
    return Section("Training", note, _png(figure), alt, [["epoch", "loss", "devel F1"], *rows])


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


def _canvas(width: float, height: float, *, columns: int = 1) -> tuple[Any, Any]:
    """A figure of so many inches, and its axes; drawn without a display and without matplotlib's global state."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise _not_installed() from None
    figure = Figure(figsize=(width, height))
    figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.1)
    axes = figure.subplots(1, columns, squeeze=False)[0]
    for axis in axes:
        axis.set_axisbelow(True)
    return figure, axes[0] if columns == 1 else axes


def _png(figure: Any) -> str:
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def _not_installed() -> ValueError:
    return ValueError("the report needs matplotlib and jinja2: pip install 'clincode[reports]'")
