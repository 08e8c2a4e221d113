"""Sentences → examples of running text → batches of about equal length, the same for a seed and an epoch.

At serving time the encoder sees whole windows of a note, so consecutive sentences are joined here too, to examples of
random length: the model learns to read with much context and with little.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from clincode.config import SERVING_HEAD
from training.align import IGNORED_LABEL, tokenize_and_align_labels
from training.corpora import Guideline, TaggedSentence
from training.supervision import Supervision, token_weights

EXAMPLE_WORDS = (12, 32, 64, 128, 256)


@dataclass(frozen=True, slots=True)
class TrainingCorpus:
    guideline: Guideline
    sentences: Sequence[TaggedSentence]
    share: float = 1.0
    serving_weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Example:
    """Sub-tokens of joined sentences; ``labels`` are ids in the guideline's labels, or -100."""

    input_ids: list[int]
    labels: list[int]
    guideline: str
    serving_weight: float


@dataclass(frozen=True, slots=True)
class Batch:
    """``input_ids``, ``attention_mask``: (batch, tokens). ``allowed[head]``: (batch, tokens, labels), boolean;
    ``weights[head]``: (batch, tokens)."""

    input_ids: Tensor
    attention_mask: Tensor
    allowed: dict[str, Tensor]
    weights: dict[str, Tensor]

    @property
    def total_weight(self) -> float:
        """What the summed loss is divided by: the number of labelled tokens where all weights are 1."""
        return float(sum(weights.sum() for weights in self.weights.values()))

    def to(self, device: torch.device) -> "Batch":
        return Batch(
            self.input_ids.to(device),
            self.attention_mask.to(device),
            {head: tensor.to(device) for head, tensor in self.allowed.items()},
            {head: tensor.to(device) for head, tensor in self.weights.items()},
        )


def joined(sentences: Sequence[TaggedSentence], rng: random.Random) -> Iterator[TaggedSentence]:
    """Runs of consecutive sentences, each of about as many words as a draw from ``EXAMPLE_WORDS``."""
    words: list[str] = []
    tags: list[str] = []
    wanted = rng.choice(EXAMPLE_WORDS)
    for sentence in sentences:
        words.extend(sentence.words)
        tags.extend(sentence.tags)
        if len(words) >= wanted:
            yield TaggedSentence(tuple(words), tuple(tags))
            words, tags, wanted = [], [], rng.choice(EXAMPLE_WORDS)
    if words:
        yield TaggedSentence(tuple(words), tuple(tags))


def epoch_examples(
    corpora: Sequence[TrainingCorpus], tokenizer: Any, *, max_tokens: int, seed: int, epoch: int
) -> list[Example]:
    """The examples of one epoch, not yet in order: a random share of the joined sentences of each corpus."""
    rng = random.Random(f"{seed}/{epoch}")
    examples = []
    for corpus in corpora:
        runs = list(joined(corpus.sentences, rng))
        chosen = rng.sample(runs, max(1, round(corpus.share * len(runs))))
        ids = {label: index for index, label in enumerate(corpus.guideline.labels)}
        encoded = tokenize_and_align_labels(
            {"tokens": [run.words for run in chosen], "tags": [[ids[tag] for tag in run.tags] for run in chosen]},
            tokenizer,
            max_tokens,
            pad=False,
        )
        examples += [
            Example(input_ids, labels, corpus.guideline.name, corpus.serving_weight)
            for input_ids, labels in zip(encoded["input_ids"], encoded["labels"], strict=True)
        ]
    return examples


def epoch_batches(examples: Sequence[Example], *, batch_tokens: int, seed: int, epoch: int) -> list[list[Example]]:
    """Groups of examples of like length, at most ``batch_tokens`` with padding, in random order."""
    rng = random.Random(f"{seed}/{epoch}/order")
    ordered = sorted(examples, key=lambda example: (len(example.input_ids), rng.random()))
    groups: list[list[Example]] = [[]]
    for example in ordered:
        if groups[-1] and (len(groups[-1]) + 1) * len(example.input_ids) > batch_tokens:
            groups.append([])
        groups[-1].append(example)
    rng.shuffle(groups)
    return groups


def collate(examples: Sequence[Example], supervision: Supervision, pad_id: int) -> Batch:
    """Pad to the longest example and look up what each token allows."""
    length = max(len(example.input_ids) for example in examples)
    ids = torch.full((len(examples), length), pad_id)
    labels = torch.full((len(examples), length), IGNORED_LABEL)
    for row, example in enumerate(examples):
        ids[row, : len(example.input_ids)] = torch.tensor(example.input_ids)
        labels[row, : len(example.labels)] = torch.tensor(example.labels)
    mask = torch.arange(length)[None, :] < torch.tensor([[len(e.input_ids)] for e in examples])
    serving_weight = torch.tensor([example.serving_weight for example in examples])
    allowed, weights = {}, {}
    for head in supervision.heads:
        rows = [supervision.allowed(e.guideline, head, labels[row]) for row, e in enumerate(examples)]
        allowed[head] = torch.stack(rows)
        row_weights = serving_weight if head == SERVING_HEAD else torch.ones(len(examples))
        weights[head] = token_weights(allowed[head], row_weights, supervision.class_weights.get(head))
    return Batch(ids, mask.long(), allowed, weights)
