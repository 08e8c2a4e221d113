"""A fine-tuned encoder as a small difference from its base: 4 bits a weight, in groups that share a scale.

Fine-tuning moves weights by little, so a coarse difference over an exact base loses next to nothing, where
quantising the weights themselves to so few bits would. Matrices are cut into groups of 64 along their rows; a group
is ``scale * q`` with ``q`` in -7 … 7, two to a byte. Of matrices in which few rows changed (embeddings) only those rows
are stored. Vectors are stored in FP16; a matrix that a low-rank adapter changed is stored as its two factors, 8
bits a weight, each direction with its own scale. All in numpy: merging on a serving host needs no torch.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Tensors = dict[str, npt.NDArray[np.generic]]

GROUP = 64
LEVELS = 7
ADAPTER_LEVELS = 127


def encode_delta(base: Mapping[str, Array], tuned: Mapping[str, Array]) -> Tensors:
    """Tensors of the difference; names are the base's with a suffix that tells the part.

    Tensors that the base does not have (heads) are stored whole in FP16 under their own names.
    """
    stored: Tensors = {}
    for name, weights in tuned.items():
        if name not in base:
            stored[name] = weights.astype(np.float16)
            continue
        difference = weights.astype(np.float32) - base[name].astype(np.float32)
        if not difference.any():
            continue
        if difference.ndim != 2:
            stored[f"{name}.delta"] = difference.astype(np.float16)
            continue
        rows = np.flatnonzero(difference.any(axis=1))
        packed, scales = _quantise(difference[rows])
        stored[f"{name}.packed"] = packed
        stored[f"{name}.scales"] = scales
        if len(rows) < len(difference):
            stored[f"{name}.rows"] = rows.astype(np.int32)
    return stored


def encode_adapter(adapter: Mapping[str, Array]) -> Tensors:
    """Factors ``….lora_a`` (rank, in) and ``….lora_b`` (out, rank) in INT8, and their scales (rank,) in FP32."""
    stored: Tensors = {}
    for name, factor in adapter.items():
        axis = _across(name)
        scales = np.abs(factor.astype(np.float32)).max(axis=axis) / ADAPTER_LEVELS
        steps = np.expand_dims(np.where(scales > 0, scales, 1), axis)
        stored[name] = np.rint(factor.astype(np.float32) / steps).astype(np.int8)
        stored[f"{name}.scales"] = scales.astype(np.float32)
    return stored


def _across(name: str) -> int:
    """The axis of a factor that is not its rank."""
    return 1 if name.endswith(".lora_a") else 0


def apply_delta(base: Mapping[str, Array], stored: Mapping[str, npt.NDArray[np.generic]]) -> Tensors:
    """Base and difference → the fine-tuned tensors in FP16, heads included. Neither argument is changed.

    Raises:
        ValueError: a stored tensor has no counterpart in the base, or another shape.
    """
    merged: Tensors = {}
    used: set[str] = set()
    for name, weights in base.items():
        total: npt.NDArray[np.floating] = weights.astype(np.float32)
        if f"{name}.delta" in stored:
            total = total + stored[f"{name}.delta"].astype(np.float32)
            used.add(f"{name}.delta")
        elif f"{name}.packed" in stored:
            rows = stored.get(f"{name}.rows")
            difference = _restore(stored[f"{name}.packed"], stored[f"{name}.scales"], total.shape[1])
            if rows is None:
                total = total + difference
            else:
                total = total.copy()
                total[rows.astype(np.int64)] += difference
            used |= {f"{name}.packed", f"{name}.scales", f"{name}.rows"}
        if f"{name}.lora_b" in stored:
            # In FP64, for the sum's rounding differs between machines and the merged weights are known by their hash.
            total = total + _factor(stored, f"{name}.lora_b") @ _factor(stored, f"{name}.lora_a")
            used |= {f"{name}.{part}{end}" for part in ("lora_a", "lora_b") for end in ("", ".scales")}
        merged[name] = total.astype(np.float16)
    for name, tensor in stored.items():
        if name not in used:
            if name.endswith((".delta", ".packed", ".scales", ".rows", ".lora_a", ".lora_b")):
                raise ValueError(f"'{name}' has no counterpart in the base")
            merged[name] = tensor
    return merged


def _factor(stored: Mapping[str, npt.NDArray[np.generic]], name: str) -> npt.NDArray[np.float64]:
    scales = stored[f"{name}.scales"].astype(np.float64)
    return stored[name].astype(np.float64) * np.expand_dims(scales, _across(name))


def _quantise(matrix: Array) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float16]]:
    """``(rows, columns)`` → packed ``(rows, padded columns / 2)`` and scales ``(rows, groups)``."""
    rows, columns = matrix.shape
    padded = np.zeros((rows, -(-columns // GROUP) * GROUP), dtype=np.float32)
    padded[:, :columns] = matrix
    grouped = padded.reshape(rows, -1, GROUP)
    scales = _best_scales(grouped)
    steps = scales.astype(np.float32)[..., None]
    q = np.divide(grouped, steps, out=np.zeros_like(grouped), where=steps > 0)
    nibbles = (np.clip(np.rint(q), -LEVELS, LEVELS) + LEVELS + 1).astype(np.uint8).reshape(rows, -1)
    packed = (nibbles[:, 0::2] | (nibbles[:, 1::2] << 4)).astype(np.uint8)
    return packed, scales


def _best_scales(grouped: Array) -> npt.NDArray[np.float16]:
    """For each group, of a few clipping points the one with the least squared error."""
    largest = np.abs(grouped).max(axis=-1)
    best = np.zeros_like(largest, dtype=np.float16)
    least = np.full_like(largest, np.inf)
    for fraction in (1.0, 0.9, 0.8, 0.7, 0.6):
        scales = (largest * fraction / LEVELS).astype(np.float16)
        steps = scales.astype(np.float32)[..., None]
        q = np.divide(grouped, steps, out=np.zeros_like(grouped), where=steps > 0)
        error = ((np.clip(np.rint(q), -LEVELS, LEVELS) * steps - grouped) ** 2).sum(axis=-1)
        better = error < least
        best[better], least[better] = scales[better], error[better]
    return best


def _restore(packed: npt.NDArray[np.generic], scales: npt.NDArray[np.generic], columns: int) -> Array:
    bytes_ = packed.astype(np.uint8)
    nibbles = np.empty((len(bytes_), bytes_.shape[1] * 2), dtype=np.float32)
    nibbles[:, 0::2] = bytes_ & 0x0F
    nibbles[:, 1::2] = bytes_ >> 4
    steps = np.repeat(scales.astype(np.float32), GROUP, axis=1)
    restored: Array = ((nibbles - (LEVELS + 1)) * steps)[:, :columns]
    return restored
