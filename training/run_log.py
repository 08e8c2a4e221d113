"""A run's figures: a line of JSON each in ``metrics.jsonl``, a line on the screen, and MLflow.

MLflow: ``registry/tracking.py``.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from training.registry.tracking import Tracker

METRICS_FILE = "metrics.jsonl"


class RunLog:
    """Appends to the run folder's log. Only the process of rank 0 keeps one.

    ``record`` is the run's provenance (``training/provenance.py``).
    """

    def __init__(self, out: Path, record: Mapping[str, Any], steps_an_epoch: int) -> None:
        self._steps_an_epoch = steps_an_epoch
        self._file = out / METRICS_FILE
        self._tracker = Tracker.begin(out, record)

    def write(self, **values: float) -> None:
        """One line of figures; ``epoch`` and ``step`` say where, the others what."""
        line = {name: round(v, 6) if isinstance(v, float) else v for name, v in values.items()}
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        tqdm.write(" ".join(f"{name}={value}" for name, value in line.items()))
        if self._tracker is not None:
            # Figures of an epoch and of a step have the same names and other meanings.
            prefix = "step_" if "step" in line else ""
            figures = {prefix + name: float(v) for name, v in line.items() if name not in ("epoch", "step")}
            # MLflow counts in one number: steps from the beginning, or epochs.
            begun = (int(line["epoch"]) - 1) * self._steps_an_epoch
            at = begun + int(line["step"]) if "step" in line else int(line["epoch"])
            self._tracker.figures(figures, at)

    def close(self, *, failed: bool = False) -> None:
        if self._tracker is not None:
            self._tracker.end(METRICS_FILE, failed=failed)
