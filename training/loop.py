"""Fine-tuning and scoring in their plainest form: one process, one head, batches of padded sentences.

``training/train.py`` is the full system. This is for a notebook, a teaching run or a quick look at a corpus.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from clincode.decode import spans_of
from clincode.labels import OUTSIDE
from clincode.model import BertForClinicalNER
from clincode.types import FloatArray
from training.align import IGNORED_LABEL, tokenize_and_align_labels
from training.explore import sentences_of
from training.scoring import Scores, entity_set, strict_scores

TensorBatch = Mapping[str, Tensor]


def make_loader(
    dataset_split: Iterable[Any],
    tokenizer: Any,
    label_names: Sequence[str],
    *,
    batch_size: int = 16,
    max_length: int = 128,
    shuffle: bool = False,
    seed: int = 0,
) -> "DataLoader[dict[str, Tensor]]":
    """Batches of ``input_ids``, ``attention_mask`` and ``labels``, each ``(batch, max_length)``."""
    ids = {label: index for index, label in enumerate(label_names)}
    sentences = sentences_of(dataset_split, label_names)
    columns = tokenize_and_align_labels(
        {"tokens": [s.words for s in sentences], "tags": [[ids[tag] for tag in s.tags] for s in sentences]},
        tokenizer,
        max_length,
    )
    rows = [
        {name: torch.tensor(column[i]) for name, column in columns.items()} for i in range(len(columns["input_ids"]))
    ]
    order = torch.Generator().manual_seed(seed)
    return DataLoader(rows, batch_size=batch_size, shuffle=shuffle, generator=order)  # type: ignore[arg-type]


def train_epoch(
    model: BertForClinicalNER,
    train_loader: Iterable[TensorBatch],
    optimizer: torch.optim.Optimizer,
    scheduler: Any,
    device: torch.device | str,
    max_grad_norm: float = 1.0,
) -> float:
    """One pass over the training data; returns the mean loss of its batches.

    ``scheduler`` steps once a batch. Gradients are clipped to the norm ``max_grad_norm``.
    """
    model.to(device).train()
    losses = []
    progress = tqdm(train_loader, desc="training", unit="batch")
    for batch in progress:
        optimizer.zero_grad(set_to_none=True)
        loss = model(**_on(batch, device))["loss"]
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
        progress.set_postfix(loss=f"{losses[-1]:.3f}", lr=f"{scheduler.get_last_lr()[0]:.1e}")
    return float(np.mean(losses)) if losses else 0.0


def evaluate(
    model: BertForClinicalNER, val_loader: Iterable[TensorBatch], device: torch.device | str, label_names: Sequence[str]
) -> tuple[float, float, str]:
    """Mean loss, strict entity F1 over all types, and a table by type, of the most likely label of each word."""
    loss, gold, predicted = predict_batches(model, val_loader, device, label_names)
    scores = tag_scores(gold, predicted)
    return loss, float(scores["micro"]["f1"]), report(scores)


@torch.inference_mode()
def predict_batches(
    model: BertForClinicalNER, loader: Iterable[TensorBatch], device: torch.device | str, label_names: Sequence[str]
) -> tuple[float, list[list[str]], list[list[str]]]:
    """Mean loss of the batches, gold and predicted tags a sentence; tokens labelled -100 are no words."""
    model.to(device).eval()
    losses, gold, predicted = [], list[list[str]](), list[list[str]]()
    for batch in tqdm(loader, desc="scoring", unit="batch", leave=False):
        output = model(**_on(batch, device))
        losses.append(output["loss"].item())
        for labels, best in zip(batch["labels"].tolist(), output["logits"].argmax(-1).tolist(), strict=True):
            words = [at for at, label in enumerate(labels) if label != IGNORED_LABEL]
            gold.append([label_names[labels[at]] for at in words])
            predicted.append([label_names[best[at]] for at in words])
    return float(np.mean(losses)) if losses else 0.0, gold, predicted


@torch.inference_mode()
def predict_words(
    model: BertForClinicalNER,
    sentences: Sequence[Sequence[str]],
    tokenizer: Any,
    device: torch.device | str,
    label_names: Sequence[str],
    *,
    max_length: int = 512,
    batch_size: int = 16,
) -> tuple[list[list[str]], list[FloatArray]]:
    """Most likely tag of every word, and its probability (0 to 1).

    A word that is cut off at ``max_length`` sub-tokens, or that the tokenizer drops, is O with probability 0.
    """
    model.to(device).eval()
    limit = min(max_length, int(model.encoder.config.max_position_embeddings) - 2)
    tags: list[list[str]] = []
    confidences: list[FloatArray] = []
    for start in range(0, len(sentences), batch_size):
        words = [list(sentence) for sentence in sentences[start : start + batch_size]]
        encoded = tokenizer(
            words, is_split_into_words=True, truncation=True, max_length=limit, padding=True, return_tensors="pt"
        )
        inputs = {name: encoded[name].to(device) for name in ("input_ids", "attention_mask")}
        best = model(**inputs)["logits"].float().softmax(-1).max(-1)
        for row, sentence in enumerate(words):
            found, sure = [OUTSIDE] * len(sentence), np.zeros(len(sentence), dtype=np.float32)
            previous = None
            for position, word in enumerate(encoded.word_ids(batch_index=row)):
                if word is not None and word != previous:
                    found[word] = label_names[int(best.indices[row, position])]
                    sure[word] = float(best.values[row, position])
                previous = word
            tags.append(found)
            confidences.append(sure)
    return tags, confidences


def tag_scores(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Strict scores (``training.scoring``) over the types that occur; one that is only predicted scores 0."""
    types = sorted({span.tag for tags in (*gold, *predicted) for span in spans_of(tags)})
    return strict_scores(entity_set(gold), entity_set(predicted), names={name: name for name in types})


def report(scores: Mapping[str, Any]) -> str:
    """A table of precision, recall, F1 and number of gold entities by type, as plain text."""
    table = Table("", "precision", "recall", "F1", "entities", box=None)
    rows: dict[str, Scores] = {**scores["per_type"], "micro": {**scores["micro"], "n": scores["n"]}}
    for name, row in rows.items():
        table.add_row(name, *(f"{row[key]:.3f}" for key in ("precision", "recall", "f1")), str(row["n"]))
    # Plain wherever it is made: in a notebook and on a terminal rich would write escape codes into the string.
    console = Console(width=80, color_system=None, force_terminal=False, force_jupyter=False)
    with console.capture() as text:
        console.print(table)
    return text.get()


def _on(batch: TensorBatch, device: torch.device | str) -> dict[str, Tensor]:
    return {name: tensor.to(device) for name, tensor in batch.items()}
