"""Low-rank adapters (Hu et al. 2022): the encoder's matrices stay as they are, a product of two thin ones is learnt.

``W`` becomes ``W + scale * B @ A`` with ``A`` of shape ``(rank, in)`` and ``B`` of shape ``(out, rank)``. Fewer weights
to learn is cheaper on a CPU (no gradient of the large matrices), and the adapter alone is the release.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn


class LoraLinear(nn.Module):
    """A frozen linear layer with a learnt low-rank addition. ``B`` starts at zero: nothing changes at first."""

    def __init__(self, base: nn.Linear, rank: int, alpha: float, dropout: float) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.lora_a = nn.Parameter(torch.empty(rank, base.in_features))
        self.lora_b = nn.Parameter(torch.zeros(base.out_features, rank))
        nn.init.kaiming_uniform_(self.lora_a, a=math.sqrt(5))
        self.scale = alpha / rank
        self.dropout = nn.Dropout(dropout)

    def forward(self, inputs: Tensor) -> Tensor:
        """``(…, in)`` → ``(…, out)``."""
        added = nn.functional.linear(nn.functional.linear(self.dropout(inputs), self.lora_a), self.lora_b)
        output: Tensor = self.base(inputs) + self.scale * added
        return output

    def merged_weight(self) -> Tensor:
        """``W + scale * B @ A``."""
        return self.base.weight.detach() + self.scale * self.lora_b.detach() @ self.lora_a.detach()


def add_lora(encoder: nn.Module, *, rank: int, alpha: float, dropout: float = 0.0) -> int:
    """Freeze the encoder and put an adapter on each linear layer of its transformer blocks; returns their number."""
    encoder.requires_grad_(False)
    layers = [(name, m) for name, m in encoder.named_modules() if isinstance(m, nn.Linear) and ".layer." in f".{name}"]
    for name, layer in layers:
        parent_name, _, attribute = name.rpartition(".")
        setattr(encoder.get_submodule(parent_name), attribute, LoraLinear(layer, rank, alpha, dropout))
    return len(layers)


def merged_state(network: nn.Module) -> dict[str, Tensor]:
    """The network's tensors as if it had been fine-tuned without adapters: their names and merged weights."""
    adapters: dict[str, Any] = {n: m for n, m in network.named_modules() if isinstance(m, LoraLinear)}
    state = {}
    for name, tensor in network.state_dict().items():
        owner, _, leaf = name.rpartition(".")
        if leaf in ("lora_a", "lora_b"):
            continue
        if owner.endswith(".base") and owner.removesuffix(".base") in adapters:
            layer = owner.removesuffix(".base")
            state[f"{layer}.{leaf}"] = adapters[layer].merged_weight() if leaf == "weight" else tensor
        else:
            state[name] = tensor
    return state


def adapter_state(network: nn.Module) -> dict[str, Tensor]:
    """The adapters alone: ``<layer>.weight.lora_a`` and ``….lora_b``, the scale already in ``B``; empty without any."""
    state = {}
    for name, module in network.named_modules():
        if isinstance(module, LoraLinear):
            state[f"{name}.weight.lora_a"] = module.lora_a.detach()
            state[f"{name}.weight.lora_b"] = module.lora_b.detach() * module.scale
    return state
