"""The first two steps: data that can be trained on, and a model that goes on from the previous one."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from clincode.config import ModelConfig
from training.corpora import GUIDELINES
from training.evaluation.notes import read_notes
from training.evaluation.reading import Reading, load_tagger
from training.evaluation.temperature import fit_temperature
from training.pipeline.context import Run
from training.pipeline.runner import Outcome, Step
from training.pipeline.state import digest_of, digest_of_values
from training.pipeline.validate import LEARNT, ROLES, Limits, validate, write_validation
from training.release import make_release
from training.train import main as train

CURVES = "metrics.jsonl"
_TAGS = set(GUIDELINES["clincode"].tags.values())


def validation_step(run: Run) -> Step:
    files = run.config.data.files()

    def inputs() -> dict[str, str]:
        found = {f"{role}[{i}]": digest_of(path) for role in ROLES for i, path in enumerate(files[role])}
        return {**found, "validation": digest_of_values(run.config.part("validation"))}

    def execute() -> Outcome:
        validation, usable = validate(files, Limits(**run.config.part("validation")))
        outputs = write_validation(validation, run.folder / "validation")
        if not validation.passed:
            return Outcome(outputs, "; ".join(validation.stops), passed=False)
        shutil.rmtree(run.data, ignore_errors=True)
        run.data.mkdir(parents=True)
        for role, lines in usable.items():
            if lines:
                (run.data / f"{role}.jsonl").write_bytes(b"\n".join(lines) + b"\n")
        failing = sum(file.failing for file in validation.files)
        notes = sum(len(usable[role]) for role in LEARNT)
        message = f"{notes} notes to learn from, {len(usable['evaluation'])} to judge by, {failing} left out"
        return Outcome([*outputs, run.data], message)

    return Step("validation", inputs, execute)


def training_step(run: Run) -> Step:
    """Each set of inputs has a folder of its own in ``train/``, so that a run resumes from its own checkpoints."""

    def inputs() -> dict[str, str]:
        learnt = {role: digest_of(run.data / f"{role}.jsonl") for role in (*LEARNT, "devel")}
        beside = {f"corpora[{i}]": digest_of(corpus.path) for i, corpus in enumerate(run.config.training.corpora)}
        settings = digest_of_values([run.config.part("training"), run.version])
        return {**learnt, **beside, "previous": digest_of(run.previous), "training": settings}

    def execute() -> Outcome:
        folder = run.folder / "train" / digest_of_values(inputs())[:12]
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "run.yaml"
        config.write_text(yaml.safe_dump(_run_config(run), sort_keys=False), encoding="utf-8")
        _train(run, config, folder)
        best = folder / "best"
        temperature = _store_temperature(run, best)
        made = make_release(folder, config, run.data, {}, folder / "release")
        shutil.rmtree(run.candidate, ignore_errors=True)
        shutil.copytree(made, run.candidate)
        shutil.copyfile(folder / CURVES, run.folder / CURVES)
        message = f"{run.version} from {run.state.facts['previous_version']}, temperature {temperature:g}"
        return Outcome([run.candidate, run.folder / CURVES], message)

    return Step("training", inputs, execute)


def _run_config(run: Run) -> dict[str, Any]:
    settings = run.config.training
    notes = [
        {
            "path": f"{role}.jsonl",
            "guideline": "clincode",
            "format": "jsonl",
            "serving_weight": settings.reviewed_weight if role == "reviewed" else 1.0,
        }
        for role in LEARNT
        if (run.data / f"{role}.jsonl").exists()
    ]
    beside = [{**corpus.model_dump(mode="json"), "path": str(corpus.path.absolute())} for corpus in settings.corpora]
    return {
        **settings.options,
        "version": run.version,
        "start": str(run.previous),
        "corpora": [*notes, *beside],
        "devel": {"path": "devel.jsonl", "guideline": "clincode", "format": "jsonl"},
    }


def _train(run: Run, config: Path, folder: Path) -> None:
    """In this process, or by torchrun in several; either resumes what was cut off."""
    processes = run.config.training.processes
    if processes == 1:
        train(config, run.data, folder)
        return
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    command = [*launcher, "-m", "training.train", str(config), "--data", str(run.data), "--out", str(folder)]
    subprocess.run(command, check=True)


def _store_temperature(run: Run, checkpoint: Path) -> float:
    """Fit the temperature on devel, which neither taught the model nor judges it, and put it into ``clincode.json``."""
    notes = read_notes(run.data / "devel.jsonl")
    tagger = load_tagger(checkpoint)
    temperature = fit_temperature(Reading.of(tagger, notes.sentences), notes.sentences, _TAGS)
    config = tagger.config
    ModelConfig(config.version, config.heads, config.max_tokens, config.overlap, config.dropout, temperature).save(
        checkpoint
    )
    return temperature
