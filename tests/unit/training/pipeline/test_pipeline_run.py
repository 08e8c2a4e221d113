"""Whole runs on a tiny model: killed and resumed, stopped by data and by gates, published once, a share of notes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.torch import load_file
from typer.testing import CliRunner

from cli.pipeline import pipeline_app
from clincode.config import WEIGHTS_FILE, ModelConfig
from gateway.serving.routing import read_routing
from training.pipeline import run as pipeline_run
from training.pipeline.context import Run
from training.pipeline.judging import gates_step
from training.pipeline.learning import training_step, validation_step
from training.pipeline.releasing import canary_step, packaging_step
from training.pipeline.run import STEPS, run_pipeline
from training.pipeline.runner import Outcome, Step
from training.pipeline.settings import load_pipeline_config
from training.pipeline.state import RunError, RunState, Status, Trigger, digest_of, read_state
from training.registry.artifact import versions
from training.registry.store import RegistryError, open_store
from training.release import merge_release

ROOT = Path(__file__).parents[4]
GOOD: dict[str, Any] = {
    "entity_f1": 0.9,
    "type_f1": {"DIAGNOSIS": 0.9},
    "negation_accuracy": 0.95,
    "p95_ms": 100.0,
    "size_gb": 0.1,
    "ece": 0.02,
    "f1_against_production": {"difference": 0.01, "interval": [-0.01, 0.02]},
}


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLINCODE_MLFLOW", "off")


def started(folder: Path, config: Path) -> Run:
    """A run that has settled its facts, as ``run_pipeline`` does it."""
    folder.mkdir(parents=True, exist_ok=True)
    loaded = load_pipeline_config(config)
    run = Run(loaded, folder, RunState.load(folder, loaded.name))
    run.settle()
    return run


def test_a_candidate_goes_on_from_the_previous_model(make_config: Any, tmp_path: Path) -> None:
    result = run_pipeline(load_pipeline_config(make_config()), tmp_path / "run", until="training")
    assert result.verdict is Status.DONE
    assert result.state.facts["version"] == "bert-clinical-ner-v0.4.0"
    assert result.state.facts["previous_version"] == "bert-clinical-ner-v0.3.1"
    merged = merge_release(tmp_path / "run" / "candidate", tmp_path / "merged")
    assert ModelConfig.load(merged).version == "bert-clinical-ner-v0.4.0"
    (folder,) = (tmp_path / "run" / "train").iterdir()
    written = yaml.safe_load((folder / "run.yaml").read_text())
    assert [corpus["path"] for corpus in written["corpora"]] == ["old.jsonl", "new.jsonl", "reviewed.jsonl"]
    assert ModelConfig.load(folder / "best").temperature == ModelConfig.load(merged).temperature
    previous = load_file(Path(result.state.facts["previous"]) / WEIGHTS_FILE)
    assert any((tensor != previous[name]).any() for name, tensor in load_file(merged / WEIGHTS_FILE).items())


def test_other_data_train_anew_and_the_same_data_do_not(make_config: Any, tmp_path: Path) -> None:
    config, out = make_config(), tmp_path / "run"
    run_pipeline(load_pipeline_config(config), out, until="training")
    again = run_pipeline(load_pipeline_config(config), out, until="training", trigger=Trigger.DRIFT, reason="PSI 0.3")
    assert again.kept == {"validation", "training"}
    assert [(start["trigger"], start["reason"]) for start in again.state.starts] == [("hand", ""), ("drift", "PSI 0.3")]
    new = tmp_path / "notes" / "new.jsonl"
    new.write_text("\n".join(new.read_text().splitlines()[1:]) + "\n")
    changed = run_pipeline(load_pipeline_config(config), out, until="training")
    assert changed.kept == frozenset()
    assert len(list((out / "train").iterdir())) == 2
    assert changed.state.facts == again.state.facts


def command(config: Path, out: Path, *more: str) -> list[str]:
    code = "from cli.pipeline import pipeline_app; pipeline_app()"
    return [sys.executable, "-c", code, "run", "--config", str(config), "--out", str(out), *more]


def test_a_run_that_is_killed_in_the_middle_of_training_goes_on_there(make_config: Any, tmp_path: Path) -> None:
    config = make_config(notes=40, options={"epochs": 12, "checkpoint_every": 1, "batch_tokens": 512})
    out = tmp_path / "run"
    environment = {**os.environ, "CLINCODE_MLFLOW": "off", "OMP_NUM_THREADS": "1"}
    killed = subprocess.Popen(
        command(config, out, "--until", "training"),
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 180
        while len(curves(out)) < 2:
            assert killed.poll() is None, "it ended by itself"
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()
    state = read_state(out)
    assert state.steps["training"].status is Status.RUNNING
    done = len(curves(out))
    result = subprocess.run(
        command(config, out, "--until", "training", "--trigger", "schedule"),
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert "resuming at epoch" in result.stdout + result.stderr
    state = read_state(out)
    assert (state.steps["validation"].attempts, state.steps["training"].attempts) == (1, 2)
    assert [start["trigger"] for start in state.starts] == ["hand", "schedule"]
    epochs = [line["epoch"] for line in curves(out) if "devel_f1" in line]
    # Killed between the line of an epoch and its state, it does that epoch again.
    assert sorted(set(epochs)) == list(range(1, 13))
    assert len(epochs) <= 13
    assert done < 12


def curves(out: Path) -> list[dict[str, float]]:
    files = list(out.glob("train/*/metrics.jsonl"))
    if not files:
        return []
    return [json.loads(line) for line in files[0].read_text().splitlines() if line.endswith("}")]


def test_a_corrupt_file_stops_the_run_before_training(make_config: Any, tmp_path: Path) -> None:
    config, out = make_config(), tmp_path / "run"
    lines = (tmp_path / "notes" / "reviewed.jsonl").read_bytes().splitlines()
    (tmp_path / "notes" / "reviewed.jsonl").write_bytes(b"\n".join([*lines[:-1], lines[-1][:40]]) + b"\n")
    result = CliRunner().invoke(pipeline_app, ["run", "--config", str(config), "--out", str(out)])
    assert result.exit_code == 1, result.output
    state = read_state(out)
    assert state.steps["validation"].status is Status.STOPPED
    assert "1 of 12 samples fail" in state.steps["validation"].message
    assert "training" not in state.steps or state.steps["training"].attempts == 0
    assert "reviewed.jsonl" in (out / "validation" / "validation.html").read_text()
    assert not (out / "train").exists()


@pytest.mark.parametrize("worse", [{"entity_f1": 0.5}, {"negation_accuracy": None}, {"p95_ms": 900.0}])
def test_a_worse_candidate_goes_no_further(
    make_config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, worse: dict[str, Any]
) -> None:
    """Training and evaluation are stand-ins; what is in question is whether anything comes after the gates."""
    reached: list[str] = []

    def steps(run: Run) -> list[Step]:
        def stand_in(name: str) -> Step:
            def execute() -> Outcome:
                reached.append(name)
                if name == "evaluation":
                    run.evaluation.parent.mkdir(parents=True, exist_ok=True)
                    run.evaluation.write_text(json.dumps({"evidence": {**GOOD, **worse}}))
                return Outcome([], "")

            return Step(name, dict, execute)

        return [gates_step(run) if name == "gates" else stand_in(name) for name in STEPS]

    monkeypatch.setattr(pipeline_run, "steps_of", steps)
    monkeypatch.setattr("training.pipeline.judging._report", lambda *_: None)
    config, out = make_config(), tmp_path / "run"
    result = CliRunner().invoke(pipeline_app, ["run", "--config", str(config), "--out", str(out)])
    assert result.exit_code == 1, result.output
    assert reached == ["validation", "training", "evaluation"]
    assert next(iter(worse)) in read_state(out).steps["gates"].message
    assert "FAILED" in result.output
    worse.clear()
    monkeypatch.setattr("training.pipeline.state.digest_of_values", lambda _: "")
    (out / "evaluation" / "evaluation.json").write_text(json.dumps({"evidence": GOOD}))
    result = CliRunner().invoke(pipeline_app, ["run", "--config", str(config), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert reached[-1] == "canary"


@pytest.fixture
def judged(make_config: Any, tmp_path: Path) -> Run:
    """A run whose candidate is trained and, as the files say, judged."""
    run = started(tmp_path / "run", make_config())
    assert validation_step(run).execute().passed
    assert training_step(run).execute().passed
    merge_release(run.candidate, run.bundle)
    scores = {"scores": {"micro": {"f1": 0.9}}, "against_production": {}, "evidence": GOOD}
    for file, content in ((run.evaluation, scores), (run.bias, {"flags": []})):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content))
    run.report.write_text("<!doctype html>")
    return run


def test_the_version_is_published_once_and_is_the_one_that_was_judged(judged: Run) -> None:
    packaging_step(judged).execute()
    record = json.loads(judged.package.read_text())
    assert [str(version) for version in versions(open_store(record["store"]))] == ["bert-clinical-ner-v0.4.0"]
    packaging_step(judged).execute()  # as after a kill between publishing and the state's last line
    assert json.loads(judged.package.read_text()) == record
    release = judged.package.parent / judged.version
    manifest = json.loads((release / "manifest.json").read_text())
    assert manifest["metrics"]["pipeline"]["evidence"] == GOOD
    assert digest_of(merge_release(release, judged.folder / "again") / WEIGHTS_FILE) == digest_of(
        judged.bundle / WEIGHTS_FILE
    )


def test_another_model_under_the_same_version_is_refused(judged: Run) -> None:
    packaging_step(judged).execute()
    (judged.bundle / WEIGHTS_FILE).write_bytes(b"another")
    with pytest.raises(RegistryError, match="what is published does not change"):
        packaging_step(judged).execute()


def test_a_registry_that_has_got_the_version_does_not_change_what_the_run_settled(judged: Run) -> None:
    packaging_step(judged).execute()
    again = Run(judged.config, judged.folder, read_state(judged.folder))
    again.settle()
    assert again.version == "bert-clinical-ner-v0.4.0"
    other = started(judged.folder / "other", judged.folder.parent / "pipeline.yaml")
    assert other.version == "bert-clinical-ner-v0.4.0"  # its own registry is empty


def test_another_previous_model_is_another_run(make_config: Any, tmp_path: Path, tiny_checkpoint: Path) -> None:
    started(tmp_path / "run", make_config())
    other = shutil.copytree(tiny_checkpoint, tmp_path / "other")
    with pytest.raises(RunError, match="give another --out"):
        started(tmp_path / "run", make_config(previous=str(other)))
    with pytest.raises(RunError, match="give another --out"):
        started(tmp_path / "run", make_config(packaging={"variant": "base"}))


def staged(run: Run) -> Run:
    run.staged.parent.mkdir(parents=True, exist_ok=True)
    run.staged.write_text("{}")
    return run


def test_a_canary_gets_its_share(make_config: Any, tmp_path: Path) -> None:
    run = staged(started(tmp_path / "run", make_config()))
    outcome = canary_step(run).execute()
    assert outcome.passed
    routing = read_routing(run.folder / "canary" / "routing.yaml")
    assert routing.production == "now"
    assert routing.canary is not None
    assert (routing.canary.target, routing.canary.share) == ("bert-clinical-ner-v0.4.0", 0.1)
    assert canary_step(run).execute().passed  # once more does no harm


def with_routing(make_config: Any, tmp_path: Path, **routing: Any) -> tuple[Run, Path]:
    path = tmp_path / "routing.yaml"
    target = {"url": "http://127.0.0.1:8080/predictions/m", "key_file": "key.json"}
    targets = dict.fromkeys(("now", "other", "bert-clinical-ner-v0.4.0"), target)
    path.write_text("# ours\n" + yaml.safe_dump({"production": "now", "targets": targets, **routing}))
    canary = {**target, "share": 0.2, "routing": str(path)}
    return staged(started(tmp_path / "run", make_config(canary=canary))), path


@pytest.mark.parametrize(
    ("routing", "fault"),
    [
        ({"canary": {"target": "other", "share": 0.1}}, "other is on trial"),
        ({"experiment": {"name": "e", "target": "other"}}, "other is on trial"),
        ({"production": "bert-clinical-ner-v0.4.0"}, "production already"),
    ],
)
def test_a_trial_that_is_on_is_not_disturbed(
    make_config: Any, tmp_path: Path, routing: dict[str, Any], fault: str
) -> None:
    run, path = with_routing(make_config, tmp_path, **routing)
    before = path.read_bytes()
    outcome = canary_step(run).execute()
    assert not outcome.passed
    assert fault in outcome.message
    assert path.read_bytes() == before


def test_a_deployment_starts_its_canary_itself_and_once(make_config: Any, tmp_path: Path) -> None:
    run, path = with_routing(make_config, tmp_path)
    calls: list[tuple[str, float]] = []

    def start(target: str, share: float) -> str:
        calls.append((target, share))
        content = yaml.safe_load(path.read_text())
        path.write_text(yaml.safe_dump({**content, "canary": {"target": target, "share": share}}))
        return "recorded"

    run = Run(run.config, run.folder, run.state, start)
    assert canary_step(run).execute().message == "recorded"
    canary_step(run).execute()
    assert calls == [("bert-clinical-ner-v0.4.0", 0.2)]


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["--trigger", "whim"], "Invalid value for '--trigger'"),
        (["--until", "lunch"], "--until must be one of validation"),
        (["--config", "no.yaml"], "no.yaml"),
        (["--deployment"], "--deployment needs canary.routing"),
    ],
)
def test_a_command_that_cannot_be_carried_out_ends_with_2(make_config: Any, arguments: list[str], fault: str) -> None:
    result = CliRunner().invoke(pipeline_app, ["run", "--config", str(make_config()), *arguments])
    assert result.exit_code == 2, result.output
    assert fault in result.output


def test_gates_that_do_not_fit_are_found_before_anything_is_run(make_config: Any, tmp_path: Path) -> None:
    (tmp_path / "gates.yaml").write_text("entity_f1: {at_least: 0.5}")
    config = make_config(gates=str(tmp_path / "gates.yaml"))
    result = CliRunner().invoke(pipeline_app, ["run", "--config", str(config), "--out", str(tmp_path / "run")])
    assert result.exit_code == 2
    assert "gate 'ece' is missing" in result.output
    assert not (tmp_path / "run").exists()


def test_a_step_that_breaks_ends_with_3(make_config: Any, tmp_path: Path) -> None:
    config = make_config(options={"encoder": str(tmp_path / "no-such-encoder")})
    result = CliRunner().invoke(pipeline_app, ["run", "--config", str(config), "--out", str(tmp_path / "run")])
    assert result.exit_code == 3, result.output
    assert read_state(tmp_path / "run").steps["training"].status is Status.FAILED


def test_status_and_judge(make_config: Any, tmp_path: Path) -> None:
    run_pipeline(load_pipeline_config(make_config()), tmp_path / "run", until="validation", reason="a look")
    result = CliRunner().invoke(pipeline_app, ["status", str(tmp_path / "run")])
    assert result.exit_code == 0
    assert "by hand a look" in result.output
    assert CliRunner().invoke(pipeline_app, ["status", str(tmp_path)]).exit_code == 2
    (tmp_path / "figures.json").write_text(json.dumps({"evidence": {**GOOD, "new_bias_flags": []}}))
    gates = ["--gates", str(ROOT / "config" / "gates.yaml")]
    figures = ["judge", "--evidence", str(tmp_path / "figures.json"), *gates]
    assert CliRunner().invoke(pipeline_app, figures).exit_code == 0
    (tmp_path / "figures.json").write_text(json.dumps(GOOD))  # nobody audited it
    assert CliRunner().invoke(pipeline_app, figures).exit_code == 1
