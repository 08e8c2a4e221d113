"""The folder that training leaves behind and that bundles are made of."""

import os
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from clincode.config import TOKENIZER_FILE, WEIGHTS_FILE, ModelConfig
from clincode.model import BertForClinicalNER
from training.lora import adapter_state, merged_state

ADAPTER_FILE = "adapter.safetensors"


def save_checkpoint(network: BertForClinicalNER, config: ModelConfig, tokenizer: Any, folder: Path) -> None:
    """Write a checkpoint folder, all or nothing: FP16 weights, encoder configuration, tokenizer, ``clincode.json``.

    Low-rank adapters are merged into the weights, and stand beside them in ``adapter.safetensors`` for a release.
    """
    staging = folder.with_name(folder.name + ".new")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    save_file(_half(merged_state(network)), staging / WEIGHTS_FILE)
    if adapter := adapter_state(network):
        save_file(_half(adapter), staging / ADAPTER_FILE)
    network.encoder.config.save_pretrained(staging)
    tokenizer.backend_tokenizer.save(str(staging / TOKENIZER_FILE))
    config.save(staging)
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(staging, folder)


def _half(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().to("cpu", torch.float16).contiguous() for name, tensor in state.items()}
