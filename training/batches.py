"""Sentences → examples of running text → batches of about equal length, the same for a seed and an epoch.

At serving time the encoder sees whole windows of a note, so consecutive sentences are joined here too, to examples of
random length: the model learns to read with much context and with little.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clincode.config import SERVING_HEAD
from clincode.types import FloatArray, IntArray
from training.align import IGNORED_LABEL, tokenize_and_align_labels
from training.corpora import Guideline, TaggedSentence
from training.supervision import Supervision, token_weights

EXAMPLE_WORDS = (12, 32, 64, 128, 256, 360)
"""The longest fill about a whole window, so that no position of it is new at serving time."""


@dataclass(frozen=True)
class TrainingCorpus:
    """Sentences to learn from. ``soft``: head → a teacher's probabilities, ``(words of the corpus, labels)``; they
    weigh ``soft_weight`` a word, beside the own labels. ``states``: the teacher's, ``(words, hidden size)``."""

    guideline: Guideline
    sentences: Sequence[TaggedSentence]
    share: float = 1.0
    serving_weight: float = 1.0
    soft: Mapping[str, FloatArray] = field(default_factory=dict)
    soft_weight: float = 1.0
    states: FloatArray | None = None

    @cached_property
    def label_ids(self) -> IntArray:
        """Ids in the guideline's labels of all words, ``(words,)``, and -100 at the end, for what is no word."""
        ids = {label: index for index, label in enumerate(self.guideline.labels)}
        return np.array([*(ids[tag] for s in self.sentences for tag in s.tags), IGNORED_LABEL])


@dataclass(frozen=True, slots=True)
class Example:
    """Sub-tokens of joined sentences; ``words`` are the indices in the corpus of the words that start there, or -1."""

    input_ids: list[int]
    words: IntArray
    corpus: TrainingCorpus

    @property
    def guideline(self) -> str:
        return self.corpus.guideline.name

    @property
    def labels(self) -> IntArray:
        """Ids in the guideline's labels, or -100."""
        return self.corpus.label_ids[self.words]


@dataclass(frozen=True, slots=True)
class Batch:
    """``input_ids``, ``attention_mask``: (batch, tokens). ``allowed[head]``: (batch, tokens, labels), boolean;
    ``weights[head]``: (batch, tokens). ``soft`` and ``soft_weights``: the same of a teacher's probabilities, for the
    heads that it has. ``states``: (words that have some, the teacher's hidden size), and their rows and tokens in the
    batch in ``state_places``: (2, words)."""

    input_ids: Tensor
    attention_mask: Tensor
    allowed: dict[str, Tensor]
    weights: dict[str, Tensor]
    soft: dict[str, Tensor]
    soft_weights: dict[str, Tensor]
    states: Tensor | None
    state_places: Tensor

    @property
    def total_weight(self) -> float:
        """What the summed loss is divided by: the number of labelled tokens where all weights are 1."""
        return float(sum(weights.sum() for group in (self.weights, self.soft_weights) for weights in group.values()))

    def to(self, device: torch.device) -> "Batch":
        def moved(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
            return {head: tensor.to(device) for head, tensor in tensors.items()}

        return Batch(
            self.input_ids.to(device),
            self.attention_mask.to(device),
            moved(self.allowed),
            moved(self.weights),
            moved(self.soft),
            moved(self.soft_weights),
            None if self.states is None else self.states.to(device),
            self.state_places.to(device),
        )


def joined(sentences: Sequence[TaggedSentence], rng: random.Random) -> Iterator[tuple[int, list[str]]]:
    """Runs of consecutive sentences, each of about as many words as a draw from ``EXAMPLE_WORDS``, and the index of
    the run's first word in the corpus."""
    first, words, wanted = 0, list[str](), rng.choice(EXAMPLE_WORDS)
    for sentence in sentences:
        words.extend(sentence.words)
        if len(words) >= wanted:
            yield first, words
            first, words, wanted = first + len(words), [], rng.choice(EXAMPLE_WORDS)
    if words:
        yield first, words


def epoch_examples(
    corpora: Sequence[TrainingCorpus], tokenizer: Any, *, max_tokens: int, seed: int, epoch: int
) -> list[Example]:
    """The examples of one epoch, not yet in order: a random share of the joined sentences of each corpus."""
    rng = random.Random(f"{seed}/{epoch}")
    examples = []
    for corpus in corpora:
        runs = list(joined(corpus.sentences, rng))
        chosen = rng.sample(runs, max(1, round(corpus.share * len(runs))))
        # Words are aligned by their indices; labels and a teacher's probabilities are both looked up by them.
        indices = [range(first, first + len(words)) for first, words in chosen]
        tokens: dict[str, Any] = {"tokens": [words for _, words in chosen], "tags": indices}
        encoded = tokenize_and_align_labels(tokens, tokenizer, max_tokens, pad=False)
        examples += [
            Example(input_ids, np.maximum(words, -1), corpus)
            for input_ids, words in zip(encoded["input_ids"], encoded["labels"], strict=True)
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
    """Pad to the longest example and look up what each token allows, and what a teacher says of it."""
    length = max(len(example.input_ids) for example in examples)
    ids = torch.full((len(examples), length), pad_id)
    labels = torch.full((len(examples), length), IGNORED_LABEL)
    for row, example in enumerate(examples):
        ids[row, : len(example.input_ids)] = torch.tensor(example.input_ids)
        labels[row, : len(example.words)] = torch.from_numpy(example.labels)
    mask = torch.arange(length)[None, :] < torch.tensor([[len(e.input_ids)] for e in examples])
    serving_weight = torch.tensor([example.corpus.serving_weight for example in examples])
    allowed, weights, soft, soft_weights = {}, {}, {}, {}
    for head, names in supervision.heads.items():
        rows = [supervision.allowed(e.guideline, head, labels[row]) for row, e in enumerate(examples)]
        allowed[head] = torch.stack(rows)
        row_weights = serving_weight if head == SERVING_HEAD else torch.ones(len(examples))
        weights[head] = token_weights(allowed[head], row_weights, supervision.class_weights.get(head))
        if any(head in example.corpus.soft for example in examples):
            soft[head], soft_weights[head] = _soft_labels(examples, head, (len(examples), length, len(names)))
    return Batch(ids, mask.long(), allowed, weights, soft, soft_weights, *_states(examples))


def _states(examples: Sequence[Example]) -> tuple[Tensor | None, Tensor]:
    found, places = [], []
    for row, example in enumerate(examples):
        if example.corpus.states is not None:
            at = np.flatnonzero(example.words >= 0)
            states = example.corpus.states[example.words[at]].astype(np.float32)
            known = states.any(axis=1)
            found.append(states[known])
            places.append(np.stack([np.full(int(known.sum()), row), at[known]]))
    if not found:
        return None, torch.zeros(2, 0, dtype=torch.long)
    return torch.from_numpy(np.concatenate(found)), torch.from_numpy(np.concatenate(places, axis=1))


def _soft_labels(examples: Sequence[Example], head: str, shape: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    probabilities, weights = torch.zeros(shape), torch.zeros(shape[:2])
    for row, example in enumerate(examples):
        if head in example.corpus.soft:
            at = np.flatnonzero(example.words >= 0)
            found = torch.from_numpy(example.corpus.soft[head][example.words[at]].astype(np.float32))
            probabilities[row, at] = found
            # A word that the teacher's tokenizer dropped has no probabilities, and so no weight.
            weights[row, at] = found.sum(dim=-1).round() * example.corpus.soft_weight
    return probabilities, weights
