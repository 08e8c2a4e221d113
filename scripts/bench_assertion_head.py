"""Whether a classifier on the encoder's vectors knows more of a concept's context than the cues do.

    .venv/bin/python scripts/bench_assertion_head.py DATA/negex/train.tsv

Logistic regression (L2) on the mean vector of the concept's words, from a middle and the last layer of the released
encoder, with and without what the cues say as further features, five-fold cross-validated. Prints F1 of negation and of
history beside the cues' own. docs/adr/0008-cues-and-no-learned-head.md rests on it.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import Tensor
from tqdm import tqdm

from cli.models import bundle_of
from clincode.config import ModelConfig
from clincode.model import BertForClinicalNER
from clincode.types import Certainty, Experiencer, Temporality
from clincode.windows import Windower
from training.evaluate_assertions import AssertionRecord, assertion_of, read_assertions
from training.scoring import prf

FOLDS, SEED = 5, 0
PENALTIES = (0.01, 0.1, 0.5)


@torch.inference_mode()
def vectors(records: list[AssertionRecord]) -> Tensor:
    """``(records, 2 * hidden)``, standardised."""
    bundle = bundle_of(None)
    config = ModelConfig.load(bundle)
    encoder, windower = BertForClinicalNER.load(bundle, config).encoder, Windower.load(bundle, config)
    rows = []
    for record in tqdm(records, desc="vectors", unit="concept"):
        note = windower.encode(record.sentence)
        ids = torch.tensor([note.windows[0].input_ids])
        layers = encoder(input_ids=ids, attention_mask=torch.ones_like(ids), output_hidden_states=True).hidden_states
        at = [
            first + 1
            for (start, end), first in zip(note.words, note.first_subtoken, strict=True)
            if start < record.end and record.start < end and first < ids.shape[1] - 2
        ]
        rows.append(torch.cat([layers[i][0, at].mean(0) for i in (len(layers) // 2, -1)]).nan_to_num())
    stacked = torch.stack(rows)
    return (stacked - stacked.mean(0)) / (stacked.std(0) + 1e-6)


def cross_validated(features: Tensor, gold: Tensor, penalty: float) -> Tensor:
    """Out-of-fold answers, boolean."""
    folds = torch.from_numpy(np.random.default_rng(SEED).permutation(len(gold)) % FOLDS)
    answers = torch.zeros(len(gold), dtype=torch.bool)
    for fold in range(FOLDS):
        train = folds != fold
        weights = torch.zeros(features.shape[1] + 1, requires_grad=True)
        optimizer = torch.optim.LBFGS([weights], max_iter=60, line_search_fn="strong_wolfe")

        def loss(
            train: Tensor = train, weights: Tensor = weights, optimizer: torch.optim.Optimizer = optimizer
        ) -> Tensor:
            optimizer.zero_grad()
            logits = features[train] @ weights[:-1] + weights[-1]
            value = torch.nn.functional.binary_cross_entropy_with_logits(logits, gold[train].float())
            value = value + penalty * (weights[:-1] ** 2).sum() / 2
            value.backward()  # type: ignore[no-untyped-call]
            return value

        optimizer.step(loss)  # type: ignore[no-untyped-call]
        answers[~train] = (features[~train] @ weights[:-1] + weights[-1] > 0).detach()
    return answers


def f1(gold: Tensor, answers: Tensor) -> float:
    return prf(int((gold & answers).sum()), int(answers.sum()), int(gold.sum()))["f1"]


def main(data: Annotated[Path, typer.Argument(help="a TSV as in data/negex")]) -> None:
    """Print F1 of the cues, of the vectors, and of both."""
    records = [record for record in read_assertions(data) if record.start >= 0]
    said = [assertion_of(record) for record in records]
    cues = torch.tensor(
        [
            [
                a.certainty is Certainty.NEGATED,
                a.certainty is Certainty.POSSIBLE,
                a.temporality is Temporality.HISTORICAL,
                a.temporality is Temporality.HYPOTHETICAL,
                a.experiencer is not Experiencer.PATIENT,
            ]
            for a in said
        ]
    )
    words = vectors(records)
    both = torch.cat([words, 3.0 * cues], dim=1)
    table = Table("label", "cues", *(f"{name}, L2 {p}" for name in ("vectors", "both") for p in PENALTIES))
    for label, gold, own in (
        ("negated", torch.tensor([r.negated for r in records]), cues[:, 0]),
        ("historical", torch.tensor([r.historical for r in records]), cues[:, 2]),
    ):
        learnt = [f1(gold, cross_validated(features, gold, p)) for features in (words, both) for p in PENALTIES]
        table.add_row(label, f"{f1(gold, own):.3f}", *(f"{value:.3f}" for value in learnt))
    Console(width=130).print(table)


if __name__ == "__main__":
    typer.run(main)
