"""The estimate's arithmetic, held against a real network."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from transformers import BertConfig, BertModel

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def estimate(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("estimate_gpu")


def test_weights_are_those_of_bert_base(estimate: ModuleType) -> None:
    config = BertConfig(vocab_size=28_996)
    real = sum(p.numel() for p in BertModel(config, add_pooling_layer=False).parameters())
    assert estimate.Shape().weights == pytest.approx(real, rel=0.002)


def test_serving_needs_the_scores_of_one_layer_and_half_of_the_fp32_weights(estimate: ModuleType) -> None:
    shape = estimate.Shape()
    weights, activations = shape.serving_bytes(32, 512)
    assert weights == 2 * shape.weights
    # Scores of 12 heads, 32 windows, 512 x 512, twice, FP16: 0.4 GB; queries, keys, values and input: 0.1 GB.
    assert activations == pytest.approx(2 * (2 * 12 * 32 * 512**2 + 4 * 32 * 512 * 768))
    # Short windows leave the feed-forward block as the larger.
    assert shape.serving_bytes(1, 8)[1] == 2 * 8 * 2 * (768 + 3072)
    assert all(sum(s.serving_bytes(32, 512)) + estimate.CUDA_CONTEXT < 4e9 for s in estimate.SHAPES.values())


def test_hours_follow_from_tokens_and_gpus(estimate: ModuleType) -> None:
    options = {"length": 512, "peak": 312e12, "utilisation": 0.3}
    one = estimate.hours(estimate.Shape(), tokens=1e9, gpus=1, **options)
    assert estimate.hours(estimate.Shape(), tokens=2e9, gpus=4, **options) == pytest.approx(one / 2)
    # 6 operations a weight and token, and attention on top.
    assert one == pytest.approx(6 * 85e6 * 1e9 * 1.11 / (312e12 * 0.3) / 3600, rel=0.02)
