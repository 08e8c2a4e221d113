"""The last steps: a version in the registry, a trial of what came out of it, a share of the notes."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from clincode.config import WEIGHTS_FILE
from clincode.pipeline import Pipeline
from training.bundle import build_bundle
from training.evaluation.notes import read_notes
from training.pipeline.context import ROOT, Run
from training.pipeline.runner import Outcome, Step
from training.pipeline.smoke import ask_pipeline, ask_server
from training.pipeline.state import digest_of, digest_of_values
from training.registry.artifact import digest, fetch, publish, read_manifest, versions
from training.registry.manifest import Manifest
from training.registry.versions import Version
from training.release import MANIFEST_FILE
from training.release import read_manifest as read_release


def packaging_step(run: Run) -> Step:
    def inputs() -> dict[str, str]:
        return {
            "candidate": digest_of(run.candidate),
            "bundle": digest_of(run.bundle),
            "evaluation": digest_of(run.evaluation),
            "bias": digest_of(run.bias),
            "packaging": digest_of_values([run.config.part("packaging"), run.store.url, run.version]),
        }

    def execute() -> Outcome:
        release = _release(run)
        manifest = _published(run, release)
        record = {"version": run.version, "store": run.store.url, "digest": digest(manifest)}
        run.package.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        return Outcome([run.package, release], f"{run.version} in {run.store.url}")

    return Step("packaging", inputs, execute)


def staging_step(run: Run) -> Step:
    """What the registry gives back, built as for serving and asked about the evaluation's notes."""

    def inputs() -> dict[str, str]:
        return {
            "package": digest_of(run.package),
            "data": digest_of(run.data / "evaluation.jsonl"),
            "staging": digest_of_values(run.config.part("staging")),
        }

    def execute() -> Outcome:
        folder = run.staged.parent
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        record = json.loads(run.package.read_text(encoding="utf-8"))
        artifact = fetch(record["version"], run.store, folder / "artifact", expected=record["digest"])
        bundle = build_bundle(artifact, folder / "bundle")
        faults = []
        if digest_of(bundle / WEIGHTS_FILE) != digest_of(run.bundle / WEIGHTS_FILE):
            faults.append("the registry's weights are not those that were evaluated")
        texts = read_notes(run.data / "evaluation.jsonl").texts
        faults += ask_pipeline(Pipeline.from_bundle(bundle), texts, run.version)
        settings = run.config.staging
        archive = _archive(artifact, folder) if settings.archive else None
        if settings.url is not None:
            faults += ask_server(str(settings.url), settings.key_file, texts, run.version)
        found = {
            "version": run.version,
            "notes": len(texts),
            "faults": faults,
            "archive": archive.name if archive else None,
            "server": str(settings.url) if settings.url else None,
        }
        run.staged.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        where = "in this process" + (f" and by {settings.url}" if settings.url else "")
        message = f"{len(texts)} notes answered {where}" if not faults else "; ".join(faults[:3])
        return Outcome([run.staged, bundle, *([archive] if archive else [])], message, passed=not faults)

    return Step("staging", inputs, execute)


def canary_step(run: Run) -> Step:
    """A share of the notes goes to the new version; the file is checked as the gateway checks it."""
    settings = run.config.canary
    routing = settings.routing or run.folder / "canary" / "routing.yaml"

    def inputs() -> dict[str, str]:
        return {"staged": digest_of(run.staged), "canary": digest_of_values([run.config.part("canary"), run.version])}

    def execute() -> Outcome:
        from gateway.rollout.routing_edit import changed_text, locked, replace_text
        from gateway.serving.routing import read_routing

        if not routing.exists():
            _new_routing(run, routing)
        target = {"url": str(settings.url), "key_file": str(settings.key_file.absolute())}
        with locked(routing):
            before = read_routing(routing)
            others = [each.target for each in (before.canary, before.experiment) if each is not None]
            if others and others != [run.version]:
                return Outcome([], f"{routing}: {', '.join(others)} is on trial and must end first", passed=False)
            if before.production == run.version:
                return Outcome([], f"{routing}: {run.version} is production already", passed=False)
            content = yaml.safe_load(routing.read_text(encoding="utf-8"))
            changes: dict[str, Any] = {"targets": {**content["targets"], run.version: target}}
            if run.start_canary is None:
                changes["canary"] = {"target": run.version, "share": settings.share}
            after = replace_text(routing, changed_text(routing, changes))
        # A start that was cut off may have begun it; it is not begun twice.
        is_on = before.canary is not None and before.canary.target == run.version
        said = run.start_canary(run.version, settings.share) if run.start_canary is not None and not is_on else ""
        record = run.folder / "canary" / "canary.json"
        record.parent.mkdir(parents=True, exist_ok=True)
        facts = {
            "routing": str(routing),
            "target": run.version,
            "share": settings.share,
            "production": after.production,
        }
        record.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        # The routing file is the gateway's: it changes as the rollout goes on, which must not start the canary again.
        return Outcome([record], said or f"{settings.share:.0%} of the notes to {run.version} ({routing})")

    return Step("canary", inputs, execute)


def _release(run: Run) -> Path:
    """The candidate with its figures in the manifest, as releases in ``model_store/`` have them."""
    folder = run.package.parent / run.version
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(run.candidate, folder)
    figures = json.loads(run.evaluation.read_text(encoding="utf-8"))
    manifest = read_release(folder)
    manifest["metrics"] = {"pipeline": {name: figures[name] for name in ("scores", "against_production", "evidence")}}
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    return folder


def _published(run: Run, release: Path) -> Manifest:
    """Publish, unless a start of this run that was cut off did; other weights under this version are refused."""
    store = run.store
    if Version.parse(run.version) in versions(store):
        manifest = read_manifest(run.version, store)
        if manifest.files[WEIGHTS_FILE].sha256 == digest_of(run.bundle / WEIGHTS_FILE):
            return manifest
    evaluation = run.package.parent / "evaluation"
    shutil.rmtree(evaluation, ignore_errors=True)
    evaluation.mkdir(parents=True)
    for file in (run.evaluation, run.bias, run.report):
        shutil.copyfile(file, evaluation / file.name)
    training = read_release(release)["training"]
    return publish(
        release,
        store,
        version=run.version,
        evaluation=evaluation,
        card=run.config.packaging.card,
        training_config=training["config"],
        data_hashes=training["data"],
        notes=f"pipeline {run.config.name}, from {run.state.facts['previous_version']}",
    )


def _archive(artifact: Path, folder: Path) -> Path:
    """The ``.mar`` for TorchServe, by the script that makes all of them."""
    environment = {**os.environ, "CLINCODE_MODEL_STORE": str(folder.absolute())}
    subprocess.run([str(ROOT / "scripts" / "archive.sh"), str(artifact.absolute())], env=environment, check=True)
    return folder / "bert-clinical-ner.mar"


def _new_routing(run: Run, path: Path) -> None:
    production = run.config.canary.production
    if production is None:
        raise FileNotFoundError(f"{path}: no such routing file")
    target = {"url": str(production.url), "key_file": str(production.key_file.absolute())}
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"production": production.name, "targets": {production.name: target}}
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
