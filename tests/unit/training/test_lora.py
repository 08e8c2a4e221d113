from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from transformers import BertConfig, BertModel, MPNetConfig, MPNetModel

from clincode.config import SERVING_HEAD, ModelConfig
from clincode.labels import LABELS
from clincode.model import BertForClinicalNER
from training.checkpoint import ADAPTER_FILE, save_checkpoint
from training.lora import adapter_state, add_lora, merged_state
from training.quantised_delta import apply_delta, encode_adapter

SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "vocab_size": 100,
}
ENCODERS = {"bert": lambda: BertModel(BertConfig(**SMALL)), "mpnet": lambda: MPNetModel(MPNetConfig(**SMALL))}


@pytest.fixture(params=ENCODERS)
def network(request: pytest.FixtureRequest) -> BertForClinicalNER:
    torch.manual_seed(2)
    return BertForClinicalNER(encoder=ENCODERS[request.param]()).eval()


def logits(network: BertForClinicalNER) -> torch.Tensor:
    ids = torch.arange(4, 24)[None]
    return network(ids, torch.ones_like(ids))["logits"].detach()


def disturb(network: BertForClinicalNER) -> None:
    """As training would: every adapter says something."""
    for name, parameter in network.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.1)


def test_adapters_change_nothing_before_training(network: BertForClinicalNER) -> None:
    before = logits(network)
    assert add_lora(network.encoder, rank=4, alpha=8) == 12, "six linear layers a block"
    torch.testing.assert_close(logits(network), before)


def test_only_adapters_and_heads_learn(network: BertForClinicalNER) -> None:
    add_lora(network.encoder, rank=4, alpha=8)
    learning = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert all("lora_" in name or name.startswith("heads.") for name in learning)
    ids = torch.arange(4, 24)[None]
    disturb(network)
    network(ids, torch.ones_like(ids), torch.ones_like(ids))["loss"].backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for n, p in network.named_parameters() if n in learning)


def test_merged_weights_give_the_same_logits_under_the_names_without_adapters(network: BertForClinicalNER) -> None:
    names = set(network.state_dict())
    plain = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    add_lora(network.encoder, rank=4, alpha=8)
    disturb(network)
    state = merged_state(network)
    assert set(state) == names
    assert sum(not torch.equal(state[name], plain[name]) for name in names) == 12
    fresh = BertForClinicalNER(encoder=type(network.encoder)(network.encoder.config)).eval()
    fresh.load_state_dict(state)
    torch.testing.assert_close(logits(fresh), logits(network), rtol=1e-4, atol=1e-5)


def test_the_adapter_alone_rebuilds_the_checkpoint_from_its_base(
    tmp_path: Path, network: BertForClinicalNER, tokenizer: object
) -> None:
    class Wrapped:
        backend_tokenizer = tokenizer

    base = {name: tensor.numpy().copy() for name, tensor in network.state_dict().items() if name.startswith("encoder.")}
    add_lora(network.encoder, rank=4, alpha=8)
    disturb(network)
    config = ModelConfig("bert-clinical-ner-v0.0.1", {SERVING_HEAD: LABELS}, max_tokens=64, overlap=8)
    save_checkpoint(network, config, Wrapped(), tmp_path / "best")
    stored = load_file(tmp_path / "best" / ADAPTER_FILE)
    assert set(stored) == set(adapter_state(network))
    merged = apply_delta(base, encode_adapter(stored))
    checkpoint = load_file(tmp_path / "best" / "model.safetensors")
    for name in base:
        np.testing.assert_allclose(merged[name].astype(np.float32), checkpoint[name].astype(np.float32), atol=2e-3)
