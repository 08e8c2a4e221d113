"""The mean of several checkpoints' weights, as one checkpoint (Wortsman et al. 2022).

    python -m training.average runs/A/best runs/B/best --out runs/MEAN/best

Runs that went on from the same weights end in the same basin; their mean errs less than each of them, at the cost of
one.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from safetensors.numpy import load_file, save_file

from clincode.config import ENCODER_CONFIG_FILE, MODEL_CONFIG_FILE, TOKENIZER_FILE, WEIGHTS_FILE
from clincode.errors import BundleError


def average(checkpoints: Sequence[Path], out: Path) -> None:
    """Write the mean of ``checkpoints`` (FP16 tensors of the same names and shapes) to the folder ``out``.

    Raises:
        BundleError: two of them do not have the same heads or the same tensors.
    """
    first, *others = checkpoints
    total = {name: tensor.astype(np.float64) for name, tensor in load_file(first / WEIGHTS_FILE).items()}
    for folder in others:
        if (folder / MODEL_CONFIG_FILE).read_bytes() != (first / MODEL_CONFIG_FILE).read_bytes():
            raise BundleError(f"{folder}: not the same heads and settings as {first}")
        tensors = load_file(folder / WEIGHTS_FILE)
        if {n: t.shape for n, t in tensors.items()} != {n: t.shape for n, t in total.items()}:
            raise BundleError(f"{folder}: not the same tensors as {first}")
        for name, tensor in tensors.items():
            total[name] += tensor
    out.mkdir(parents=True, exist_ok=True)
    save_file({n: (t / len(checkpoints)).astype(np.float16) for n, t in total.items()}, out / WEIGHTS_FILE)
    for name in (MODEL_CONFIG_FILE, ENCODER_CONFIG_FILE, TOKENIZER_FILE):
        shutil.copyfile(first / name, out / name)


def main(
    checkpoints: Annotated[list[Path], typer.Argument(help="checkpoint folders, such as runs/NAME/best")],
    out: Annotated[Path, typer.Option(help="folder of the mean")],
) -> None:
    """Average checkpoints that went on from the same weights."""
    average(checkpoints, out)
    typer.echo(f"{out}: the mean of {len(checkpoints)} checkpoints")


if __name__ == "__main__":
    typer.run(main)
