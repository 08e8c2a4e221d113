"""What a corpus teaches each head: for every gold label, the set of the head's labels that it allows.

A head named after the corpus learns the corpus's own labels. The head that serves learns five types, and a corpus
that annotates two of them does not say that its O tokens are none of the other three. So there O allows every label of
the types that the corpus leaves out, and the loss is the negative logarithm of the probability of the whole allowed
set: the marginal likelihood of a partially labelled sequence (Tsuboi et al. 2008), with independent tokens. Where
exactly one label is allowed that is cross-entropy; where all are, it is zero and nothing is learnt.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from clincode.config import SERVING_HEAD
from clincode.labels import OUTSIDE, split_label
from training.align import IGNORED_LABEL
from training.corpora import Guideline


def allowed_labels(gold: str, guideline: Guideline, head: str, head_labels: Sequence[str]) -> set[str]:
    """Labels of ``head`` that the gold label of a token of this guideline's corpus leaves possible."""
    if head == guideline.name:
        return {gold}
    if head != SERVING_HEAD:
        return set(head_labels)
    if gold in head_labels and gold != OUTSIDE:
        return {gold}
    known = set(guideline.tags.values())
    left = {label for label in head_labels if split_label(label)[1] not in known}
    return left if gold == OUTSIDE else set(head_labels)


class Supervision:
    """Tables from a guideline's label ids to the allowed labels of every head."""

    def __init__(
        self,
        guidelines: Sequence[Guideline],
        heads: Mapping[str, Sequence[str]],
        class_weights: Mapping[str, Tensor] | None = None,
    ) -> None:
        self._tables = {
            (guideline.name, head): _table(guideline, head, labels)
            for guideline in guidelines
            for head, labels in heads.items()
        }
        self.heads = {head: tuple(labels) for head, labels in heads.items()}
        self.class_weights = dict(class_weights or {})

    def allowed(self, guideline: str, head: str, labels: Tensor) -> Tensor:
        """Label ids ``(tokens,)`` → allowed labels ``(tokens, head labels)``, all of them where a label is -100."""
        table = self._tables[guideline, head]
        return table[labels.masked_fill(labels == IGNORED_LABEL, len(table) - 1)]


def _table(guideline: Guideline, head: str, head_labels: Sequence[str]) -> Tensor:
    rows = [
        [label in allowed_labels(gold, guideline, head, head_labels) for label in head_labels]
        for gold in guideline.labels
    ]
    return torch.tensor([*rows, [True] * len(head_labels)])


def token_weights(allowed: Tensor, row_weights: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """Weight of each token in the loss, ``(batch, tokens)``: 0 where it says nothing, because all is allowed.

    Args:
        allowed: ``(batch, tokens, labels)``, boolean.
        row_weights: ``(batch,)``.
        class_weights: ``(labels,)``; a token weighs the mean weight of its allowed labels.
    """
    weights = (~allowed.all(dim=-1)).float() * row_weights[:, None]
    if class_weights is not None:
        weights = weights * (allowed * class_weights).sum(-1) / allowed.sum(-1)
    return weights


def inverse_frequency(tag_sequences: Iterable[Sequence[str]], labels: Sequence[str]) -> Tensor:
    """Class weights ``N / (C n_c)`` of ``C`` labels, ``(C,)``, from how often each stands in the tag sequences."""
    counts = Counter(labels)  # one of each, so that none is divided by zero
    counts.update(tag for tags in tag_sequences for tag in tags)
    return torch.tensor([counts.total() / (len(labels) * counts[label]) for label in labels])


def marginal_loss(logits: Tensor, allowed: Tensor, weights: Tensor) -> Tensor:
    """Weighted sum over tokens of the negative log probability of the allowed set.

    ``logits`` and ``allowed`` are ``(batch, tokens, labels)``, ``weights`` is ``(batch, tokens)``.
    """
    log_p = torch.log_softmax(logits.float(), dim=-1)
    token_loss = -torch.logsumexp(log_p.masked_fill(~allowed, -torch.inf), dim=-1)
    return (token_loss * weights).sum()
