"""A tiny untrained tagger and its tokenizer, for what needs a network and not a good one."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, BertConfig, BertModel

from clincode.labels import bio_labels
from clincode.model import BertForClinicalNER

LABEL_NAMES = bio_labels(("Chemical", "Disease"))


@pytest.fixture(scope="session")
def word_tokenizer(tokenizer_file: Path) -> Any:
    return AutoTokenizer.from_pretrained(tokenizer_file.parent)


@pytest.fixture
def tiny_model() -> BertForClinicalNER:
    torch.manual_seed(3)
    config = BertConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64, max_position_embeddings=128
    )
    return BertForClinicalNER(len(LABEL_NAMES), encoder=BertModel(config))
