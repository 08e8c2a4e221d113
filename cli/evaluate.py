"""What the ``clincode evaluate`` commands compute and print."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from cli.models import bundle_of
from clincode.config import SERVING_HEAD, ModelConfig
from training.corpora import GUIDELINES, READERS, CorpusError, Guideline, TaggedSentence
from training.evaluate_ner import ModelTagger, Tagger, evaluate_tagger, score_tags

if TYPE_CHECKING:
    from training.bias.result import BiasReport


@dataclass(frozen=True, slots=True)
class NerEvaluation:
    """What a tagger, the ``system``, predicts on a corpus, and its scores; ``baselines`` are others' scores on it."""

    system: str
    guideline: Guideline
    sentences: list[TaggedSentence]
    predicted: list[list[str]]
    scores: dict[str, Any]
    baselines: dict[str, dict[str, Any]]

    @property
    def figures(self) -> dict[str, Any]:
        """The contract's figures, and those of the baselines where there are any."""
        return {**self.scores, "baselines": self.baselines} if self.baselines else self.scores


def evaluate_ner(
    data: Path,
    format: str,
    *,
    guideline: str | None = None,
    corpus: str | None = None,
    dictionary: Sequence[Path] = (),
    rules: bool = False,
    compare: Sequence[Path] = (),
    model: Path | None = None,
) -> NerEvaluation:
    """Tag a corpus by a model's head, or by the baseline built from ``dictionary``, and score it.

    ``guideline`` chooses the head (default: the one that serves), ``corpus`` says whose tags the file has. Both
    baselines built from ``compare`` are scored beside.
    """
    if rules and not dictionary:
        raise ValueError("--rules needs --dictionary, the training data that the rules are fitted to")
    read_as, sentences = read_corpus(data, format, corpus or guideline)
    tagger: Tagger
    if dictionary:
        system = "rules" if rules else "dictionary"
        tagger = _baselines(_training(dictionary, format, read_as), [system])[system]
    else:
        tagger = network = model_tagger(model, guideline or SERVING_HEAD)
        system = network.config.version
    predicted = tagger.tag([sentence.words for sentence in sentences])
    beside = _baselines(_training(compare, format, read_as), ["dictionary", "rules"]) if compare else {}
    return NerEvaluation(
        system,
        read_as,
        sentences,
        predicted,
        score_tags(predicted, sentences, read_as),
        {name: evaluate_tagger(baseline, sentences, read_as) for name, baseline in beside.items()},
    )


def _training(paths: Sequence[Path], format: str, guideline: Guideline) -> list[TaggedSentence]:
    return [sentence for path in paths for sentence in read_corpus(path, format, guideline.name)[1]]


def _baselines(training: Sequence[TaggedSentence], names: Sequence[str]) -> dict[str, Tagger]:
    from training.baseline import DictionaryTagger
    from training.rules import RuleTagger

    classes: dict[str, type[DictionaryTagger | RuleTagger]] = {"dictionary": DictionaryTagger, "rules": RuleTagger}
    return {name: classes[name].train(training) for name in names}


def read_corpus(data: Path, format: str, name: str | None) -> tuple[Guideline, list[TaggedSentence]]:
    """Read a corpus in the guideline named, or in the first whose tags it has."""
    if not data.exists() and format != "hub":
        raise CorpusError(f"{data}: no such file or folder")
    if name is not None and name not in GUIDELINES:
        raise CorpusError(f"no guideline '{name}'; known are {', '.join(GUIDELINES)}")
    # The fewest tags first: a corpus of diseases alone says nothing of chemicals.
    candidates = (
        [GUIDELINES[name]] if name else sorted((g for g in GUIDELINES.values() if g.tags), key=lambda g: len(g.tags))
    )
    for guideline in candidates:
        try:
            return guideline, READERS[format](data, guideline)
        except CorpusError:
            if guideline is candidates[-1]:
                raise
    raise CorpusError(f"{data}: tags of no known guideline")


def redaction_losses(paths: Sequence[Path], model: Path | None) -> dict[str, Any]:
    """``entity_loss`` of each path; the model is loaded only where a corpus has no entities."""
    from training.phi_loss import entity_loss

    return {str(path): entity_loss(path, lambda: model_tagger(model, SERVING_HEAD)) for path in paths}


def model_tagger(model: Path | None, head: str) -> ModelTagger:
    """The tagger of a model's head (by default of the newest release)."""
    from clincode.model import BertForClinicalNER, NerEngine
    from clincode.windows import Windower

    bundle = bundle_of(model)
    config = ModelConfig.load(bundle)
    if head not in config.heads:
        raise CorpusError(f"{config.version} has no head '{head}'; it has {', '.join(config.heads)}")
    engine = NerEngine(BertForClinicalNER.load(bundle, config))
    return ModelTagger(config, Windower.load(bundle, config), engine, head)


def audit_bias(model: Path | None) -> "BiasReport":
    """The bias audit of a model, in FP32 on every machine, so that reports can be compared."""
    from clincode.pipeline import Pipeline
    from training.bias.audit import audit
    from training.bias.templates import read_templates, read_variants

    return audit(Pipeline.from_bundle(bundle_of(model), precision="fp32"), read_templates(), read_variants())


def read_bias(path: Path) -> dict[str, Any]:
    """An audit's JSON; raises ``ValueError`` where the file is something else."""
    try:
        figures = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        figures = None
    if not isinstance(figures, dict) or not isinstance(figures.get("flags"), list):
        raise ValueError(f"{path}: not the JSON of a bias audit")
    return figures


def print_bias(report: "BiasReport", previous: Mapping[str, Any] | None) -> bool:
    """Print both tables and the flags; whether there are flags that the previous audit has not."""
    from training.bias.report import markdown
    from training.bias.result import new_flags

    Console().print("\n".join(markdown(report)), soft_wrap=True, markup=False, highlight=False)
    if previous is None:
        return False
    new = new_flags(report, previous)
    print(f"New flags: {', '.join(new) or 'none'}")
    return bool(new)


def print_ner(scores: Mapping[str, Any]) -> None:
    table = Table("type", "precision", "recall", "F1", "95% interval", "entities", title="strict entity scores")
    for name, row in scores["per_type"].items():
        table.add_row(name, *_percentages(row), _interval(row), str(row["n"]))
    table.add_row("micro", *_percentages(scores["micro"]), _interval(scores["micro"]), str(scores["n"]), style="bold")
    for name, baseline in scores.get("baselines", {}).items():
        table.add_row(f"micro, {name}", *_percentages(baseline["micro"]), _interval(baseline["micro"]), "")
    for scheme in ("partial", "ent_type"):
        if scheme in scores["schemes"]:
            table.add_row(f"micro, {scheme}", *_percentages(scores["schemes"][scheme]), "", "", style="dim")
    Console().print(table)


def print_exploration(name: str, figures: Mapping[str, Any]) -> None:
    table = Table("", "", title=name, show_header=False)
    table.add_row("examples", str(figures["split_sizes"]["train"]))
    table.add_row("words an example", f"{figures['avg_tokens']:.1f}")
    table.add_row("entities an example", f"{figures['avg_entities']:.2f}")
    table.add_row("words in entities", f"{figures['entity_percentage']:.1f}%")
    for label, count in figures["label_distribution"].items():
        table.add_row(label, str(count), style="dim")
    Console().print(table)


def print_assertions(scores: Mapping[str, Mapping[str, float]], title: str = "assertions") -> None:
    table = Table("", "precision", "recall", "F1", "accuracy", title=title)
    for name, row in scores.items():
        accuracy = f"{row['accuracy']:.3f}" if "accuracy" in row else ""
        table.add_row(name, *_percentages(row), accuracy)
    Console().print(table)


def print_figures(title: str, figures: Mapping[str, float | str | None]) -> None:
    table = Table("", "", title=title, show_header=False)
    for name, value in figures.items():
        shown = "unknown" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)
        table.add_row(name, shown)
    Console().print(table)


def _percentages(row: Mapping[str, float]) -> list[str]:
    return [f"{row[name]:.3f}" for name in ("precision", "recall", "f1")]


def _interval(row: Mapping[str, Any]) -> str:
    low, high = row["interval"]
    return f"{low:.3f}–{high:.3f}"
