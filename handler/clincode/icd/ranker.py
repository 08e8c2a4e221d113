"""Which of a mention's candidate codes is right: a small network that scores each, and one row for none of them.

The scores go through one softmax over the mention's candidates. Where several codes are right at once they share what
is one certainty, so a curve leads from the probability of a code to how often it is right, fitted on documents that
the network had not seen (isotonic regression: Zadrozny and Elkan 2002).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from clincode.types import FloatArray

_ARRAYS = ("centre", "scale", "hidden", "hidden_bias", "output", "probability", "share_right")
_FURTHEST = 6.0
"""Deviations from the mean that a feature can count for."""


@dataclass(frozen=True, slots=True)
class Ranker:
    """``hidden`` [features, units], ``hidden_bias`` [units], ``output`` [units]; features are centred and scaled.

    ``probability`` and ``share_right`` are the knots of the calibration curve, both rising.
    """

    centre: FloatArray
    scale: FloatArray
    hidden: FloatArray
    hidden_bias: FloatArray
    output: FloatArray
    probability: FloatArray = field(default_factory=lambda: np.array([0.0, 1.0], dtype=np.float32))
    share_right: FloatArray = field(default_factory=lambda: np.array([0.0, 1.0], dtype=np.float32))

    def probabilities(self, features: FloatArray) -> FloatArray:
        """Rows of candidates ``[candidates + 1, features]``, the last for none of them → probabilities, sum 1."""
        centred = np.clip((features - self.centre) / self.scale, -_FURTHEST, _FURTHEST)
        scores = np.tanh(centred @ self.hidden + self.hidden_bias) @ self.output
        exponents = np.exp(scores - scores.max())
        result: FloatArray = (exponents / exponents.sum()).astype(np.float32)
        return result

    def confidence(self, probabilities: FloatArray) -> FloatArray:
        """How often a code of such a probability is right."""
        result: FloatArray = np.interp(probabilities, self.probability, self.share_right).astype(np.float32)
        return result

    def to_json(self) -> dict[str, Any]:
        return {
            name: [[round(float(x), 5) for x in row] for row in np.atleast_2d(getattr(self, name))] for name in _ARRAYS
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Ranker":
        arrays = {name: np.array(data[name], dtype=np.float32) for name in _ARRAYS}
        ranker = cls(**{name: array if name == "hidden" else array[0] for name, array in arrays.items()})
        features, units = ranker.hidden.shape
        if {len(ranker.centre), len(ranker.scale)} != {features} or {len(ranker.hidden_bias), len(ranker.output)} != {
            units
        }:
            raise ValueError("weights of different sizes")
        return ranker
