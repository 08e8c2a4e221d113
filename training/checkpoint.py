"""The folder that training leaves behind and that bundles are made of."""

import os
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from clincode.config import TOKENIZER_FILE, WEIGHTS_FILE, ModelConfig
from clincode.model import BertForClinicalNER


def save_checkpoint(network: BertForClinicalNER, config: ModelConfig, tokenizer: Any, folder: Path) -> None:
    """Write a checkpoint folder, all or nothing: FP16 weights, encoder configuration, tokenizer, ``clincode.json``."""
    staging = folder.with_name(folder.name + ".new")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    state = network.state_dict()
    weights = {name: tensor.detach().to("cpu", torch.float16).contiguous() for name, tensor in state.items()}
    save_file(weights, staging / WEIGHTS_FILE)
    network.encoder.config.save_pretrained(staging)
    tokenizer.backend_tokenizer.save(str(staging / TOKENIZER_FILE))
    config.save(staging)
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(staging, folder)
