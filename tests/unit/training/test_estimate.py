"""The estimate's arithmetic, held against a real network."""

import importlib.util
from pathlib import Path

import pytest
from transformers import BertConfig, BertModel

ROOT = Path(__file__).parents[3]
spec = importlib.util.spec_from_file_location("estimate_training", ROOT / "scripts" / "estimate_training.py")
assert spec is not None
assert spec.loader is not None
estimate = importlib.util.module_from_spec(spec)
spec.loader.exec_module(estimate)


def test_weights_are_those_of_bert_base() -> None:
    config = BertConfig(vocab_size=28_996)
    real = sum(p.numel() for p in BertModel(config, add_pooling_layer=False).parameters())
    assert estimate.Shape().weights == pytest.approx(real, rel=0.002)


def test_hours_follow_from_tokens_and_gpus() -> None:
    options = {"length": 512, "peak": 312e12, "utilisation": 0.3}
    one = estimate.hours(estimate.Shape(), tokens=1e9, gpus=1, **options)
    assert estimate.hours(estimate.Shape(), tokens=2e9, gpus=4, **options) == pytest.approx(one / 2)
    # 6 operations a weight and token, and attention on top.
    assert one == pytest.approx(6 * 85e6 * 1e9 * 1.11 / (312e12 * 0.3) / 3600, rel=0.02)
