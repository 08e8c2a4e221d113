"""Hours and memory that training, and memory that serving, should need on GPUs: from arithmetic, not measured.

    python scripts/estimate_gpu.py training [--notes 180000] [--tokens-a-note 800] [--epochs 5] [--gpus 4] …
    python scripts/estimate_gpu.py serving [--windows 32] [--length 512]

Arithmetic: a forward pass costs 2 operations a weight and token, and ``4 · layers · hidden · length`` a token for
attention; backward costs twice as much again (Kaplan et al. 2020, §2.1). Memory: 16 bytes a weight for FP32 weights,
gradients and Adam's two moments, and activations after Korthikanti et al. (2022), eq. 2, without recomputation.
Serving keeps FP16 weights, and the tensors of one layer at a time.
"""

from dataclasses import dataclass
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Shape:
    """A BERT-family encoder. ``vocabulary`` counts towards memory but not towards arithmetic (a look-up)."""

    layers: int = 12
    hidden: int = 768
    feed_forward: int = 3072
    heads: int = 12
    vocabulary: int = 28_996

    @property
    def block_weights(self) -> int:
        """Weights of all transformer blocks, biases and norms left out."""
        return self.layers * (4 * self.hidden**2 + 2 * self.hidden * self.feed_forward)

    @property
    def weights(self) -> int:
        return self.block_weights + (self.vocabulary + 512 + 2) * self.hidden

    def training_operations(self, length: int) -> float:
        """Floating-point operations a token, forward and backward, in sequences of ``length``."""
        return 3 * (2 * self.block_weights + 4 * self.layers * self.hidden * length)

    def activation_bytes(self, tokens: int, length: int) -> float:
        """Bytes that forward leaves for backward in FP16, for ``tokens`` tokens in sequences of ``length``."""
        return self.layers * tokens * self.hidden * (34 + 5 * self.heads * length / self.hidden)

    def serving_bytes(self, windows: int, length: int) -> tuple[float, float]:
        """Bytes of the weights and of the largest set of tensors alive at once, both in FP16, for a batch of windows.

        Within a layer that is either attention (input, queries, keys, values, and scores twice: before and after the
        softmax, where they are not fused away) or the feed-forward block (input, and its inner states twice).
        """
        tokens = windows * length
        attention = tokens * (4 * self.hidden + 2 * self.heads * length)
        feed_forward = tokens * (2 * self.hidden + 2 * self.feed_forward)
        return 2 * self.weights, 2 * max(attention, feed_forward)


def hours(shape: Shape, *, tokens: float, length: int, gpus: int, peak: float, utilisation: float) -> float:
    """Wall hours for ``tokens`` tokens; ``peak`` is operations a second of one GPU."""
    return tokens * shape.training_operations(length) / (gpus * peak * utilisation) / 3600


SHAPES = {
    "6 layers, 384 wide (the default)": Shape(6, 384, 1536, 12, 30_522),
    "12 layers, 768 wide (base size)": Shape(vocabulary=30_527),
}
CUDA_CONTEXT = 0.5e9
"""Bytes that CUDA, its libraries and the allocator's rounding take before a model does: an assumption."""

app = typer.Typer(help=__doc__)


@app.command()
def training(
    notes: Annotated[int, typer.Option(min=1)] = 180_000,
    tokens_a_note: Annotated[int, typer.Option(min=1, help="sub-tokens, overlaps of windows counted twice")] = 800,
    epochs: Annotated[int, typer.Option(min=1)] = 5,
    gpus: Annotated[int, typer.Option(min=1)] = 4,
    length: Annotated[int, typer.Option(min=1, help="tokens a sequence")] = 512,
    batch_tokens: Annotated[int, typer.Option(min=1, help="tokens a GPU and micro-batch")] = 16_384,
    peak: Annotated[float, typer.Option(help="TFLOP/s of one GPU; 312 is an A100 in FP16")] = 312.0,
    utilisation: Annotated[float, typer.Option(min=0.01, max=1.0, help="share of the peak that is reached")] = 0.3,
) -> None:
    """Hours and memory of fine-tuning BERT-base."""
    shape = Shape()
    total = notes * tokens_a_note * epochs
    wall = hours(shape, tokens=total, length=length, gpus=gpus, peak=peak * 1e12, utilisation=utilisation)
    state = 16 * shape.weights / 1e9
    activations = shape.activation_bytes(batch_tokens, length) / 1e9
    table = Table("", "", title="estimate, not measured", show_header=False)
    table.add_row("weights", f"{shape.weights / 1e6:.0f} M")
    table.add_row("tokens in all", f"{total / 1e6:.0f} M ({epochs} epochs of {notes} notes of {tokens_a_note})")
    table.add_row("operations a token", f"{shape.training_operations(length) / 1e9:.2f} G")
    table.add_row(f"hours on {gpus} GPUs", f"{wall:.1f} at {utilisation:.0%} of {peak:.0f} TFLOP/s")
    table.add_row(
        "memory of a GPU",
        f"{state + activations:.1f} GB ({state:.1f} weights and optimiser, {activations:.1f} activations)",
    )
    Console().print(table)


@app.command()
def serving(
    windows: Annotated[int, typer.Option(min=1, help="windows a batch")] = 32,
    length: Annotated[int, typer.Option(min=1, help="sub-tokens a window")] = 512,
) -> None:
    """Memory of a GPU that serves a batch of windows in FP16."""
    table = Table("encoder", "weights", "activations", "with CUDA's own", title="GB, computed, not measured")
    for name, shape in SHAPES.items():
        weights, activations = shape.serving_bytes(windows, length)
        total = weights + activations + CUDA_CONTEXT
        table.add_row(name, *(f"{size / 1e9:.2f}" for size in (weights, activations, total)))
    Console().print(table)


if __name__ == "__main__":
    app()
