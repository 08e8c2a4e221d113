"""Runs that differ in one thing, with several seeds each, and the table that says what it was worth.

    python -m training.ablate config/ablation.yaml --data DATA --out runs/ablation --report docs/ablation.md

The YAML names a run configuration, seeds, devel sets, and variants: changes to that configuration. What is done
already is kept, so that the command can be stopped and given again. No test split is read.
"""

import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
import yaml
from pydantic import BaseModel, ConfigDict, Field
from tqdm import tqdm

from clincode.config import ModelConfig
from clincode.model import BertForClinicalNER, NerEngine
from clincode.windows import Windower
from training.corpora import GUIDELINES, READERS
from training.evaluate_ner import ModelTagger, evaluate_tagger
from training.plots import BLUE, canvas, saved
from training.run_config import DevelConfig, load_run_config, read_config

SCORES_FILE = "scores.json"


class Variant(BaseModel):
    """``changes`` to the run's configuration, key by key; null takes a key away."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    changes: dict[str, Any] = {}
    seeds: list[int] | None = None
    against: str | None = None
    """The variant it is compared with; by default the first."""
    unseen: list[str] | None = None
    """The devel sets that nothing of it learnt from, a teacher included; by default all."""


class AblationConfig(BaseModel):
    """All variants of one configuration; the first is what the others are compared with."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run: Path
    changes: dict[str, Any] = {}
    """Of all variants, such as fewer epochs than a release has."""
    seeds: Annotated[list[int], Field(min_length=1)]
    devel: Annotated[dict[str, DevelConfig], Field(min_length=1)]
    variants: Annotated[list[Variant], Field(min_length=1)]


def changed(base: dict[str, Any], *changes: dict[str, Any]) -> dict[str, Any]:
    """``base`` with keys replaced by those of ``changes``; a key whose new value is None is gone."""
    merged = dict(base)
    for change in changes:
        merged |= change
    return {key: value for key, value in merged.items() if value is not None}


def run_one(config: dict[str, Any], devel: dict[str, DevelConfig], data: Path, out: Path) -> dict[str, float]:
    """Train, unless that is done, and score on every devel set: name → strict micro F1."""
    if (out / SCORES_FILE).exists():
        known: dict[str, float] = json.loads((out / SCORES_FILE).read_text(encoding="utf-8"))
        return known
    out.mkdir(parents=True, exist_ok=True)
    file = out / "run.yaml"
    file.write_text(yaml.safe_dump(config), encoding="utf-8")
    load_run_config(file)
    # A process of its own, so that no state of torch's passes from run to run.
    command = [sys.executable, "-m", "training.train", str(file), "--data", str(data), "--out", str(out)]
    subprocess.run(command, check=True)
    scores = checkpoint_scores(out / "best", devel, data)
    (out / SCORES_FILE).write_text(json.dumps(scores), encoding="utf-8")
    (out / "last.pt").unlink(missing_ok=True)
    return scores


def checkpoint_scores(checkpoint: Path, devel: dict[str, DevelConfig], data: Path) -> dict[str, float]:
    """Strict micro F1 of a checkpoint by devel set; those whose head it does not have are left out."""
    model = ModelConfig.load(checkpoint)
    engine = NerEngine(BertForClinicalNER.load(checkpoint, model))
    windower = Windower.load(checkpoint, model)
    scores = {}
    for name, place in devel.items():
        if place.head in model.heads:
            guideline = GUIDELINES[place.guideline]
            sentences = READERS[place.format](data / place.path, guideline)
            figures: Any = evaluate_tagger(ModelTagger(model, windower, engine, place.head), sentences, guideline)
            scores[name] = float(figures["micro"]["f1"])
    return scores


def table(config: AblationConfig, scores: dict[str, list[dict[str, float]]]) -> str:
    """Markdown: mean and standard deviation of F1 by variant and devel set, and the difference to what it changes."""
    lines = [
        "| variant | seeds | " + " | ".join(config.devel) + " |",
        "|---" * (len(config.devel) + 2) + "|",
    ]
    first = config.variants[0].name
    for variant in config.variants:
        runs = scores.get(variant.name, [])
        against = scores.get(variant.against or first, [])
        cells = [_cell(runs, against if runs is not against else [], name) for name in config.devel]
        note = f" (against {variant.against})" if variant.against else ""
        lines.append(f"| {variant.name}{note} | {len(runs)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(runs: list[dict[str, float]], against: list[dict[str, float]], devel: str) -> str:
    values = [run[devel] for run in runs if devel in run]
    if not values:
        return ""
    cell = f"{statistics.mean(values):.3f}"
    if len(values) > 1:
        cell += f" ± {statistics.stdev(values):.3f}"
    others = [run[devel] for run in against if devel in run]
    if others:
        cell += f" ({statistics.mean(values) - statistics.mean(others):+.3f})"
    return cell


def plot(config: AblationConfig, scores: dict[str, list[dict[str, float]]], out: Path) -> None:
    """Every run as a point, a panel a devel set, a row a variant."""
    names = [variant.name for variant in config.variants if scores.get(variant.name)][::-1]
    height = 1.2 + 0.32 * len(names)
    figure, axes = canvas(4.2 * len(config.devel) + 2, height, columns=len(config.devel), sharey=True)
    for axis, devel in zip(np.ravel(axes), config.devel, strict=True):
        for row, name in enumerate(names):
            values = [run[devel] for run in scores[name] if devel in run]
            axis.plot(values, [row] * len(values), "o", color=BLUE, alpha=0.6)
            if values:
                axis.plot([statistics.mean(values)], [row], "|", color="black", markersize=14)
        axis.set(title=devel, xlabel="strict F1", yticks=range(len(names)), yticklabels=names)
        axis.grid(axis="x", alpha=0.3)
    saved(figure, out)


def main(
    config: Annotated[Path, typer.Argument(help="the ablation's YAML")],
    data: Annotated[Path, typer.Option(help="folder of the corpora")],
    out: Annotated[Path, typer.Option(help="folder of the runs")],
    report: Annotated[Path, typer.Option(help="Markdown file whose `ablation` markers enclose the table")],
    report_only: Annotated[bool, typer.Option(help="write of the runs that are there, train nothing")] = False,
) -> None:
    """Train and score all variants, and write table and picture after each."""
    ablation = read_config(config, AblationConfig)
    canvas(1, 1)  # what draws must be there before hours of training, not after them
    base = yaml.safe_load(ablation.run.read_text(encoding="utf-8"))
    # Seed by seed, so that a stopped ablation has few complete rounds rather than few complete variants.
    jobs = [
        (variant, seed)
        for position in range(max(len(v.seeds or ablation.seeds) for v in ablation.variants))
        for variant in ablation.variants
        for seed in (variant.seeds or ablation.seeds)[position : position + 1]
    ]
    scores: dict[str, list[dict[str, float]]] = {}
    for variant, seed in tqdm(jobs, desc="runs"):
        settings = changed(base, ablation.changes, variant.changes, {"seed": seed})
        folder = out / f"{variant.name.replace(' ', '-').replace('/', '-')}-{seed}"
        if report_only and not (folder / SCORES_FILE).exists():
            continue
        devel = {n: d for n, d in ablation.devel.items() if variant.unseen is None or n in variant.unseen}
        scores.setdefault(variant.name, []).append(run_one(settings, devel, data, folder))
        write_report(ablation, scores, report)


def write_report(config: AblationConfig, scores: dict[str, list[dict[str, float]]], report: Path) -> None:
    begin, end = "<!-- ablation: begin -->", "<!-- ablation: end -->"
    text = report.read_text(encoding="utf-8") if report.exists() else f"# Ablation\n\n{begin}\n{end}\n"
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    picture = report.with_suffix(".png")
    plot(config, scores, picture)
    content = f"{table(config, scores)}\n\n![every run]({picture.name})"
    report.write_text(f"{before}{begin}\n\n{content}\n\n{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
