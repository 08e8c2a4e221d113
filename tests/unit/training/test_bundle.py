"""Whatever a model folder is, its bundle serves: our checkpoint, or a Hugging Face token classifier."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForTokenClassification,
    AutoTokenizer,
    BertConfig,
    DistilBertConfig,
    ElectraConfig,
    MPNetConfig,
)

from clincode.config import ModelConfig
from clincode.errors import BundleError
from clincode.labels import LABELS
from clincode.model import BertForClinicalNER, NerEngine
from clincode.windows import Windower
from training.bundle import build_bundle, write_checkpoint

SMALL = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 48}
CONFIGS: dict[str, Any] = {
    "bert": BertConfig(**SMALL, max_position_embeddings=128),
    "mpnet": MPNetConfig(**SMALL, vocab_size=30522, max_position_embeddings=130),
    "electra": ElectraConfig(**SMALL, embedding_size=32, max_position_embeddings=128),
    "distilbert": DistilBertConfig(dim=32, n_layers=1, n_heads=2, hidden_dim=48, max_position_embeddings=128),
}


def hugging_face_folder(folder: Path, tokenizer_file: Path, config: Any, labels: tuple[str, ...] = LABELS) -> Path:
    torch.manual_seed(5)
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: index for index, label in enumerate(labels)}
    AutoModelForTokenClassification.from_config(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tokenizer_file.parent).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("family", ["bert", "mpnet", "distilbert"])
def test_a_hugging_face_classifier_gives_the_logits_that_transformers_gives(
    tmp_path: Path, tokenizer_file: Path, family: str
) -> None:
    folder = hugging_face_folder(tmp_path / "model", tokenizer_file, CONFIGS[family])
    out = tmp_path / "out"
    out.mkdir()
    write_checkpoint(folder, out)
    config = ModelConfig.load(out)
    assert config.heads["clincode"] == LABELS
    engine = NerEngine(BertForClinicalNER.load(out, config), device="cpu", precision="fp32")
    encoded = Windower.load(out, config).encode("Denies chest pain, takes hydrochlorothiazide 25mg daily.")
    reference = AutoModelForTokenClassification.from_pretrained(folder).eval().half().float()
    with torch.no_grad():
        expected = reference(torch.tensor([encoded.windows[0].input_ids])).logits[0, 1:-1].numpy()
    np.testing.assert_allclose(engine.logits(encoded.windows)[0], expected, atol=2e-3)


def test_an_encoder_without_a_fine_tuned_head_is_refused(tmp_path: Path, tokenizer_file: Path) -> None:
    with pytest.raises(BundleError, match=r"not a fine-tuned token classifier.*classifier"):
        write_checkpoint(tokenizer_file.parent, tmp_path)


def test_labels_that_we_do_not_know_are_named(tmp_path: Path, tokenizer_file: Path) -> None:
    folder = hugging_face_folder(tmp_path / "model", tokenizer_file, CONFIGS["bert"], ("O", "B-GENE", "I-GENE"))
    with pytest.raises(BundleError, match="B-GENE, I-GENE"):
        write_checkpoint(folder, tmp_path)


@pytest.mark.parametrize("files", [[], ["clincode.json"]])
def test_no_model_folder_no_bundle_and_nothing_left_behind(tmp_path: Path, files: list[str]) -> None:
    model = tmp_path / "model"
    model.mkdir()
    for name in files:
        (model / name).write_text("{}", encoding="utf-8")
    with pytest.raises(BundleError, match="no model folder" if not files else "lacks config.json"):
        build_bundle(model, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
