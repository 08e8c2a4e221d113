"""All eight steps on a tiny model, with nothing stood in for but the linker and its index, which take long to build."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from clincode.config import TERMINOLOGY_FILE, WEIGHTS_FILE
from clincode.icd import Terminology
from clincode.integrity import write_checksums
from gateway.serving.routing import read_routing
from training.bundle import write_checkpoint
from training.pipeline.gates import KINDS
from training.pipeline.run import STEPS, run_pipeline, verdict_rows
from training.pipeline.settings import PipelineConfig, load_pipeline_config
from training.pipeline.state import Status, digest_of


@pytest.fixture(autouse=True)
def _quick_bundles(terminology: Terminology, monkeypatch: pytest.MonkeyPatch) -> None:
    def build(model: Path, out: Path) -> Path:
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        write_checkpoint(model, out)
        terminology.save(out / TERMINOLOGY_FILE)
        write_checksums(out)
        return out

    monkeypatch.setenv("CLINCODE_MLFLOW", "off")
    for module in ("judging", "releasing"):
        monkeypatch.setattr(f"training.pipeline.{module}.build_bundle", build)


def lenient(folder: Path, **limits: Any) -> str:
    """Gates that an untrained model holds, but for those given."""
    path = folder / "lenient.yaml"
    waived = {name: {"waived": "an untrained model"} for name in KINDS}
    path.write_text(yaml.safe_dump({**waived, **limits}))
    return str(path)


def config_of(make_config: Any, gates: str) -> PipelineConfig:
    bias = {"templates": 5, "resamples": 99}
    return load_pipeline_config(make_config(gates=gates, bias=bias))


def test_a_model_goes_all_the_way(make_config: Any, tmp_path: Path) -> None:
    gates = lenient(tmp_path, negation_accuracy={"at_least": 0.9}, size_gb={"below": 4})
    out = tmp_path / "run"
    result = run_pipeline(config_of(make_config, gates), out, reason="drift of types")
    assert result.verdict is Status.DONE
    assert [step.status for step in result.state.steps.values()] == [Status.DONE] * len(STEPS)

    figures = json.loads((out / "evaluation" / "evaluation.json").read_text())
    assert set(figures["evidence"]) == set(KINDS) - {"new_bias_flags"}
    assert figures["evidence"]["negation_accuracy"] == 1.0
    assert figures["evidence"]["type_f1"]["PROCEDURE"] is None
    assert set(figures["systems"]) == {"production, bert-clinical-ner-v0.3.1", "dictionary", "rules"}
    assert figures["against_production"]["notes"] == 12
    assert figures["provenance"]["trigger"] == "hand drift of types"

    report = (out / "report.html").read_text()
    for heading in (
        "Gates",
        "Calibration",
        "Bias audit",
        "Errors by clinical severity",
        "Training",
        "Latency and size",
    ):
        assert f"<h2>{heading}</h2>" in report
    assert "an untrained model" in report
    assert "on day 3" not in report  # no text of a note
    assert {row["gate"] for row in verdict_rows(out)} >= {"negation_accuracy", "new_bias_flags"}

    staged = out / "staging" / "bundle" / WEIGHTS_FILE
    assert digest_of(staged) == digest_of(out / "bundle" / WEIGHTS_FILE)
    assert read_routing(out / "canary" / "routing.yaml").canary is not None

    again = run_pipeline(config_of(make_config, gates), out)
    assert again.kept == set(STEPS)


def test_one_that_fails_a_gate_is_reported_and_goes_no_further(make_config: Any, tmp_path: Path) -> None:
    out = tmp_path / "run"
    result = run_pipeline(config_of(make_config, lenient(tmp_path, entity_f1={"at_least": 0.88})), out)
    assert result.verdict is Status.STOPPED
    assert result.state.steps["gates"].message == "failed: entity_f1"
    report = (out / "report.html").read_text()
    assert "FAILED" in report
    assert "Not audited." in report
    assert not (out / "registry").exists()
    assert not (out / "canary").exists()


def test_other_gates_judge_again_without_training_again(make_config: Any, tmp_path: Path) -> None:
    out = tmp_path / "run"
    strict = lenient(tmp_path, entity_f1={"at_least": 1.0})
    assert run_pipeline(config_of(make_config, strict), out, until="gates").verdict is Status.STOPPED
    result = run_pipeline(config_of(make_config, lenient(tmp_path)), out, until="gates")
    assert result.verdict is Status.DONE
    assert result.kept == {"validation", "training", "evaluation"}


def test_weights_that_come_back_as_others_are_not_served(
    make_config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    config = config_of(make_config, lenient(tmp_path))
    assert run_pipeline(config, out, until="packaging").verdict is Status.DONE
    monkeypatch.setattr("training.pipeline.releasing.fetch", lambda *_, **__: Path(config.previous or ""))
    result = run_pipeline(config, out)
    assert result.verdict is Status.STOPPED
    assert "not those that were evaluated" in result.state.steps["staging"].message
    assert result.state.steps["canary"].status is Status.PENDING
