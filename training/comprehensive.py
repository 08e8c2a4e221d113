"""A model beside its baseline: scores by type, a confusion matrix of words, curves of the training."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from clincode.model import BertForClinicalNER
from training.confusion import confusion_matrix
from training.loop import TensorBatch, predict_batches, report, tag_scores
from training.plots import BLUE, GREY, RED, canvas, plot_confusion, saved


def comprehensive_evaluation(
    model: BertForClinicalNER,
    test_loader: Iterable[TensorBatch],
    device: torch.device | str,
    label_names: Sequence[str],
    baseline_f1: float,
    *,
    baseline_per_type: Mapping[str, float] | None = None,
    history: Sequence[Mapping[str, float]] = (),
    out: Path | None = None,
) -> dict[str, Any]:
    """Strict entity scores of a model, and what they gain over a baseline.

    Args:
        baseline_f1: the baseline's F1 over all types; ``baseline_per_type`` by type, for the picture.
        history: an epoch's ``train_loss`` and ``val_f1`` each, for the curves.
        out: folder for the pictures.

    Returns:
        ``overall_f1``, ``per_type_f1`` (type → F1), ``per_type`` (type → precision, recall, F1 and number of gold
        entities ``n``), ``improvement_over_baseline`` (difference of F1), ``report`` (a table as text),
        ``confusion_matrix`` (words, gold labels by predicted labels, in the order of ``label_names``) and ``figures``
        (name → matplotlib figure).
    """
    _, gold, predicted = predict_batches(model, test_loader, device, label_names)
    scores = tag_scores(gold, predicted)
    per_type = {name: row["f1"] for name, row in scores["per_type"].items()}
    overall = float(scores["micro"]["f1"])
    matrix = confusion_matrix(gold, predicted, label_names)
    figures = {
        "confusion": plot_confusion(matrix, label_names),
        "comparison": plot_comparison(
            {"overall": overall, **per_type}, {"overall": baseline_f1, **(baseline_per_type or {})}
        ),
    }
    if history:
        figures["training"] = plot_training(history)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        for name, figure in figures.items():
            saved(figure, out / f"{name}.png")
    return {
        "overall_f1": overall,
        "per_type_f1": per_type,
        "per_type": scores["per_type"],
        "improvement_over_baseline": overall - baseline_f1,
        "report": report(scores),
        "confusion_matrix": matrix,
        "figures": figures,
    }


def plot_comparison(model: Mapping[str, float], baseline: Mapping[str, float]) -> Any:
    """Bars of F1 by type, the baseline's beside the model's where it is known."""
    figure, axis = canvas(1.8 + 1.3 * len(model), 4)
    places = np.arange(len(model))
    known = [name for name in model if name in baseline]
    axis.bar(
        [list(model).index(n) - 0.2 for n in known],
        [baseline[n] for n in known],
        0.4,
        label="baseline",
        color=GREY,
    )
    axis.bar(places + 0.2, list(model.values()), 0.4, label="model", color=BLUE)
    axis.set(title="Strict entity F1", ylabel="F1", ylim=(0, 1), xticks=places)
    axis.set_xticklabels(list(model))
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure


def plot_training(history: Sequence[Mapping[str, float]]) -> Any:
    """Training loss and validation F1 by epoch, on two axes."""
    epochs = range(1, len(history) + 1)
    figure, losses = canvas(6, 3.5)
    losses.plot(epochs, [epoch["train_loss"] for epoch in history], "o-", color=RED)
    losses.set(title="Training", xlabel="epoch", xticks=list(epochs))
    losses.set_ylabel("training loss", color=RED)
    scores = losses.twinx()
    scores.plot(epochs, [epoch["val_f1"] for epoch in history], "s-", color=BLUE)
    scores.set_ylabel("validation F1", color=BLUE)
    return figure
