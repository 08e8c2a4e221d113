"""Which of a mention's candidate codes is right: a small network that scores each, and one row for none of them.

The scores go through one softmax over the mention's candidates, so they are probabilities; they are calibrated by a
temperature that was fitted on documents which the network had not seen (Guo et al. 2017).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from clincode.types import FloatArray


@dataclass(frozen=True, slots=True)
class Ranker:
    """``hidden`` [features, units], ``hidden_bias`` [units], ``output`` [units]; features are centred and scaled."""

    centre: FloatArray
    scale: FloatArray
    hidden: FloatArray
    hidden_bias: FloatArray
    output: FloatArray
    temperature: float = 1.0

    def probabilities(self, features: FloatArray) -> FloatArray:
        """Rows of candidates ``[candidates + 1, features]``, the last for none of them → probabilities, sum 1."""
        units = np.tanh((features - self.centre) / self.scale @ self.hidden + self.hidden_bias)
        scores = units @ self.output / self.temperature
        exponents = np.exp(scores - scores.max())
        result: FloatArray = (exponents / exponents.sum()).astype(np.float32)
        return result

    def to_json(self) -> dict[str, Any]:
        arrays = {name: getattr(self, name) for name in ("centre", "scale", "hidden", "hidden_bias", "output")}
        rounded = {name: [[round(float(x), 5) for x in row] for row in np.atleast_2d(a)] for name, a in arrays.items()}
        return {**rounded, "temperature": round(self.temperature, 5)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Ranker":
        arrays = {
            name: np.array(data[name], dtype=np.float32)
            for name in ("centre", "scale", "hidden", "hidden_bias", "output")
        }
        flat = {name: array if name == "hidden" else array[0] for name, array in arrays.items()}
        return cls(**flat, temperature=float(data["temperature"]))
