"""The pipeline's YAML: every fault by its key, before anything is run."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from training.pipeline.settings import load_pipeline_config
from training.run_config import ConfigError

ROOT = Path(__file__).parents[4]


def test_a_sound_file_is_read(make_config: Any) -> None:
    config = load_pipeline_config(make_config())
    assert config.validation.failing == 0.05
    assert [path.name for path in config.data.files()["evaluation"]] == ["evaluation.jsonl"]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"name": "a/b"}, "name"),
        ({"typo": 1}, "typo: Extra inputs are not permitted"),
        ({"canary": {"url": "http://a", "key_file": "k"}}, "canary: .*name the gateway's routing file"),
        ({"validation": {"failing": 5}}, "validation.failing"),
        ({"bias": {"templates": 1}}, "bias.templates"),
        ({"data": {"devel": ["d"], "evaluation": ["e"]}}, "there must be old, new or reviewed notes"),
        ({"data": {"old": ["o"], "devel": [], "evaluation": ["e"]}}, "data.devel"),
        ({"data": {"old": ["o"], "devel": ["d"], "evaluation": ["e"]}}, "not there: o, d, e"),
        ({"gates": "no/gates.yaml"}, "not there: no/gates.yaml"),
        ({"previous": "no/model"}, "not there: no/model"),
        ({"training": {"options": {}}}, "options.encoder: Field required"),
        ({"training": {"options": {"encoder": "e", "epoch": 1}}}, "options.epoch: Extra inputs"),
        ({"training": {"options": {"encoder": "e", "start": "x"}}}, "the pipeline sets start itself"),
        ({"training": {"options": {"encoder": "e", "lora": {}}}}, "options.lora: a run that goes on"),
    ],
)
def test_a_fault_is_named(make_config: Any, changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        load_pipeline_config(make_config(**changes))


def test_the_smoke_run_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    config = load_pipeline_config(ROOT / "config" / "pipeline" / "smoke.yaml")
    assert config.gates == Path("config/pipeline/smoke-gates.yaml")
    assert "says nothing of how good a model is" in config.remark


def test_the_example_for_a_hospital_fits_but_for_its_files() -> None:
    path = ROOT / "config" / "pipeline" / "monthly.yaml"
    assert "gates" not in yaml.safe_load(path.read_text(encoding="utf-8"))  # production's
    with pytest.raises(ConfigError, match=r"not there: notes/train\.jsonl"):
        load_pipeline_config(path)
