"""Dropout whose masks come from a fast generator.

On a CPU, torch draws a mask element by element from one Mersenne Twister: a quarter of a training step went there.
Here a mask is a run of random bytes (SFC64), seeded by one draw from torch's generator, so that runs stay repeatable
and gradient checkpointing draws the same mask again. The rate is rounded to a multiple of 1/256.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import eager_mask

LEVELS = 256


class _Drop(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, keep: Tensor, scale: float) -> Tensor:
        ctx.save_for_backward(keep)
        ctx.scale = scale
        return (inputs * keep).mul_(scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (keep,) = ctx.saved_tensors
        return (gradients[0] * keep).mul_(ctx.scale), None, None


class FastDropout(nn.Module):
    """``nn.Dropout`` for tensors on the CPU; ``p`` in steps of 1/256."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p  # read by attention that applies dropout itself
        self.dropped_levels = round(p * LEVELS)

    def forward(self, inputs: Tensor) -> Tensor:
        """Any shape; zeroes elements and scales the rest while training, nothing else."""
        if not self.training or self.dropped_levels == 0:
            return inputs
        seed = int(torch.randint(2**62, ()))
        words = np.random.SFC64(seed).random_raw(inputs.numel() // 8 + 1)
        levels = torch.from_numpy(words).view(torch.uint8)[: inputs.numel()].view(inputs.shape)
        scale = LEVELS / (LEVELS - self.dropped_levels)
        dropped: Tensor = _Drop.apply(inputs, levels >= self.dropped_levels, scale)  # type: ignore[no-untyped-call]
        return dropped


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Tensor, Tensor]:
    """Scaled dot-product attention with this dropout, as ``transformers`` calls it: (batch, heads, tokens, size)."""
    scores = query @ key.transpose(2, 3) * (query.size(-1) ** -0.5 if scaling is None else scaling)
    if attention_mask is not None:
        scores = scores + attention_mask
    drop = FastDropout(dropout).train(module.training)
    weights: Tensor = drop(torch.softmax(scores, dim=-1))
    return (weights @ value).transpose(1, 2).contiguous(), weights


ATTENTION = "fast_dropout"
AttentionInterface.register(ATTENTION, attention)
AttentionMaskInterface.register(ATTENTION, eager_mask)


def use_fast_dropout(network: nn.Module) -> int:
    """Replace every ``nn.Dropout`` in the network, and the one inside attention; returns how many modules."""
    for module in network.modules():
        # Families that bring their own attention, such as MPNet, drop with a module that is replaced below.
        if isinstance(module, PreTrainedModel) and module._supports_sdpa:
            module.set_attn_implementation(ATTENTION)
    found = [(name, module) for name, module in network.named_modules() if type(module) is nn.Dropout]
    for name, module in found:
        parent, _, attribute = name.rpartition(".")
        setattr(network.get_submodule(parent), attribute, FastDropout(module.p))
    return len(found)
