"""The training objective against sums that are written out."""

from itertools import product

import pytest
import torch

from clincode.labels import bio_labels
from training.objective import _log_transitions, divergence, sequence_loss
from training.supervision import inverse_frequency, marginal_loss

LABELS = bio_labels(("DIAG", "MED"))


def is_legal(sequence: tuple[str, ...]) -> bool:
    before = "O"
    for label in sequence:
        if label.startswith("I-") and before[2:] != label[2:]:
            return False
        before = label
    return True


def by_enumeration(logits: torch.Tensor, allowed: torch.Tensor) -> float:
    """- log of the mass of the allowed sequences among the legal ones; ``logits`` (words, labels)."""
    p = logits.softmax(-1)
    mass = {True: 0.0, False: 0.0}
    for path in product(range(len(LABELS)), repeat=len(p)):
        if is_legal(tuple(LABELS[i] for i in path)):
            value = float(torch.stack([p[t, i] for t, i in enumerate(path)]).prod())
            mass[all(bool(allowed[t, i]) for t, i in enumerate(path))] += value
    return float(-torch.log(torch.tensor(mass[True] / (mass[True] + mass[False]))))


@pytest.mark.parametrize("gold", ["O O O", "B-DIAG I-DIAG O", "B-MED B-DIAG I-DIAG", "? ? O", "B-DIAG ? ?"])
def test_the_sequence_loss_is_the_share_of_allowed_sequences(gold: str) -> None:
    torch.manual_seed(len(gold))
    logits = torch.randn(1, 5, len(LABELS)) * 2
    words = [1, 2, 4]  # the others are further sub-tokens
    allowed = torch.ones(1, 5, len(LABELS), dtype=torch.bool)
    weights = torch.zeros(1, 5)
    for position, label in zip(words, gold.split(), strict=True):
        weights[0, position] = 0.5
        if label != "?":
            allowed[0, position] = torch.tensor([name == label for name in LABELS])
    loss = sequence_loss(logits, allowed, weights, *_log_transitions(LABELS))
    assert loss.item() == pytest.approx(0.5 * by_enumeration(logits[0, words], allowed[0, words]), rel=1e-4)


def test_rows_of_other_lengths_do_not_mix_and_an_empty_row_costs_nothing() -> None:
    torch.manual_seed(1)
    logits = torch.randn(3, 6, len(LABELS))
    allowed = torch.nn.functional.one_hot(torch.zeros(3, 6, dtype=torch.long), len(LABELS)).bool()
    weights = torch.tensor([[1.0] * 6, [1.0, 1, 0, 0, 0, 0], [0.0] * 6])
    transitions = _log_transitions(LABELS)
    alone = [sequence_loss(logits[i : i + 1], allowed[i : i + 1], weights[i : i + 1], *transitions) for i in range(3)]
    assert alone[2].item() == 0
    assert sequence_loss(logits, allowed, weights, *transitions).item() == pytest.approx(
        float(sum(alone[1:], alone[0])), rel=1e-5
    )


def test_constraints_spare_the_model_what_decoding_rules_out() -> None:
    """Mass on an I- that continues nothing costs independent words, and does not cost sequences."""
    logits = torch.zeros(1, 1, len(LABELS))
    logits[0, 0, LABELS.index("I-MED")] = 3.0
    allowed = torch.tensor([[[name == "O" for name in LABELS]]])
    weights = torch.ones(1, 1)
    independent = marginal_loss(logits, allowed, weights)
    assert sequence_loss(logits, allowed, weights, *_log_transitions(LABELS)) < independent - 1


def test_divergence_is_symmetric_zero_for_equals_and_weighted() -> None:
    torch.manual_seed(2)
    first, second = torch.randn(1, 2, 4), torch.randn(1, 2, 4)
    weights = torch.tensor([[1.0, 0.0]])
    p, q = first[0, 0].softmax(-1), second[0, 0].softmax(-1)
    expected = ((p * (p / q).log()).sum() + (q * (q / p).log()).sum()) / 2
    assert divergence(first, second, weights).item() == pytest.approx(expected.item(), rel=1e-5)
    assert divergence(first, second, weights) == divergence(second, first, weights)
    assert divergence(first, first, weights).item() == 0


def test_a_rare_class_weighs_more() -> None:
    weights = inverse_frequency([["O"] * 7 + ["B-DIAG"]], ("O", "B-DIAG"))
    assert weights.tolist() == pytest.approx([10 / (2 * 8), 10 / (2 * 2)])
