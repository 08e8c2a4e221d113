"""What the ``clincode evaluate`` commands compute and print."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from cli.models import bundle_of
from clincode.config import SERVING_HEAD, ModelConfig
from training.corpora import GUIDELINES, READERS, CorpusError, Guideline, TaggedSentence
from training.evaluate_ner import ModelTagger, Tagger, evaluate_tagger


def ner_scores(
    data: Path,
    format: str,
    guideline: str | None,
    corpus: str | None,
    dictionary: list[Path] | None,
    model: Path | None,
) -> dict[str, Any]:
    """Scores of a model's head, or of a dictionary built from ``dictionary``, on a corpus.

    ``guideline`` chooses the head (default: the one that serves), ``corpus`` says whose tags the file has.
    """
    named = corpus or guideline
    read_as, sentences = read_corpus(data, format, named)
    if dictionary:
        from training.baseline import DictionaryTagger

        training = [sentence for path in dictionary for sentence in read_corpus(path, format, read_as.name)[1]]
        tagger: Tagger = DictionaryTagger.train(training)
    else:
        tagger = _model_tagger(model, guideline or SERVING_HEAD)
    return evaluate_tagger(tagger, sentences, read_as)


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


def _model_tagger(model: Path | None, head: str) -> ModelTagger:
    from clincode.model import BertForClinicalNER, NerEngine
    from clincode.windows import Windower

    bundle = bundle_of(model)
    config = ModelConfig.load(bundle)
    if head not in config.heads:
        raise CorpusError(f"{config.version} has no head '{head}'; it has {', '.join(config.heads)}")
    engine = NerEngine(BertForClinicalNER.load(bundle, config))
    return ModelTagger(config, Windower.load(bundle, config), engine, head)


def print_ner(scores: Mapping[str, Any]) -> None:
    table = Table("type", "precision", "recall", "F1", "entities", title="strict entity scores")
    for name, row in scores["per_type"].items():
        table.add_row(name, *_percentages(row), str(row["n"]))
    table.add_row("micro", *_percentages(scores["micro"]), str(scores["n"]), style="bold")
    for scheme in ("partial", "ent_type"):
        if scheme in scores["schemes"]:
            table.add_row(f"micro, {scheme}", *_percentages(scores["schemes"][scheme]), "", style="dim")
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


def print_assertions(scores: Mapping[str, Mapping[str, float]]) -> None:
    table = Table("", "precision", "recall", "F1", "accuracy", title="assertions")
    for name, row in scores.items():
        accuracy = f"{row['accuracy']:.3f}" if "accuracy" in row else ""
        table.add_row(name, *_percentages(row), accuracy)
    Console().print(table)


def print_figures(title: str, figures: Mapping[str, float]) -> None:
    table = Table("", "", title=title, show_header=False)
    for name, value in figures.items():
        table.add_row(name, f"{value:.3f}" if isinstance(value, float) else str(value))
    Console().print(table)


def _percentages(row: Mapping[str, float]) -> list[str]:
    return [f"{row[name]:.3f}" for name in ("precision", "recall", "f1")]
