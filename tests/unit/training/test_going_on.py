"""A run may go on from an earlier model, and several such runs may be averaged."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from clincode.config import SERVING_HEAD, ModelConfig
from clincode.errors import BundleError
from clincode.labels import LABELS
from clincode.model import BertForClinicalNER
from training.average import average
from training.checkpoint import save_checkpoint
from training.run_config import ConfigError, load_run_config
from training.start import start_from

CONFIG = ModelConfig("bert-clinical-ner-v0.0.1", {SERVING_HEAD: LABELS}, max_tokens=64, overlap=16)


@pytest.fixture
def checkpoints(tmp_path: Path, tiny_model: BertForClinicalNER, word_tokenizer: Any) -> list[Path]:
    """Two checkpoints of one shape and other weights."""
    folders = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        network = BertForClinicalNER(encoder=type(tiny_model.encoder)(tiny_model.encoder.config))
        folders.append(tmp_path / f"run-{seed}")
        save_checkpoint(network, CONFIG, word_tokenizer, folders[-1])
    return folders


def test_a_run_starts_with_the_encoder_and_the_heads_of_the_same_labels(
    checkpoints: list[Path], tiny_model: BertForClinicalNER
) -> None:
    heads = {SERVING_HEAD: LABELS, "anatem": ("O", "B-ANAT", "I-ANAT")}
    network = BertForClinicalNER(encoder=tiny_model.encoder, guideline_heads={"anatem": 3})
    fresh = network.heads["anatem"].weight.clone()
    start_from(checkpoints[0], network, heads)
    saved = load_file(checkpoints[0] / "model.safetensors")
    state = network.state_dict()
    for name, tensor in saved.items():
        torch.testing.assert_close(state[name].half(), tensor)
    torch.testing.assert_close(network.heads["anatem"].weight, fresh)


def test_a_head_with_other_labels_starts_afresh(checkpoints: list[Path], tiny_model: BertForClinicalNER) -> None:
    network = BertForClinicalNER(len(LABELS), encoder=tiny_model.encoder)
    fresh = network.heads[SERVING_HEAD].weight.clone()
    start_from(checkpoints[0], network, {SERVING_HEAD: tuple(reversed(LABELS))})
    torch.testing.assert_close(network.heads[SERVING_HEAD].weight, fresh)


def test_an_encoder_of_another_shape_is_refused(checkpoints: list[Path], tiny_model: BertForClinicalNER) -> None:
    config = type(tiny_model.encoder.config)(**{**tiny_model.encoder.config.to_dict(), "hidden_size": 16})
    network = BertForClinicalNER(encoder=type(tiny_model.encoder)(config))
    with pytest.raises(BundleError, match="not the one that this run trains"):
        start_from(checkpoints[0], network, {SERVING_HEAD: LABELS})


def test_the_mean_is_the_mean_and_loads(checkpoints: list[Path], tmp_path: Path) -> None:
    average(checkpoints, tmp_path / "mean")
    one, two, mean = (load_file(f / "model.safetensors") for f in (*checkpoints, tmp_path / "mean"))
    for name, tensor in mean.items():
        torch.testing.assert_close(tensor.float(), (one[name].float() + two[name].float()) / 2, rtol=2e-3, atol=1e-4)
    assert any((mean[name] != one[name]).any() for name in mean)
    BertForClinicalNER.load(tmp_path / "mean", ModelConfig.load(tmp_path / "mean"))


def test_models_with_other_heads_have_no_mean(checkpoints: list[Path], tmp_path: Path) -> None:
    replace(CONFIG, version="bert-clinical-ner-v0.0.2").save(checkpoints[1])
    with pytest.raises(BundleError, match="not the same heads"):
        average(checkpoints, tmp_path / "mean")


def test_an_adapter_cannot_go_on_from_another_model(tmp_path: Path) -> None:
    config = tmp_path / "run.yaml"
    config.write_text(
        "version: bert-clinical-ner-v0.0.1\nencoder: e\nstart: runs/x\nlora: {rank: 4}\n"
        "corpora: [{path: a.tsv, guideline: clincode}]\ndevel: {path: b.tsv}\n",
        encoding="utf-8",
    )
    with pytest.raises(ConfigError, match="start cannot go with lora"):
        load_run_config(config)
