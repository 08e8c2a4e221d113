"""A run's figures: a line of JSON each in ``metrics.jsonl``, a line on the screen, and MLflow where it is installed.

MLflow is used as its own environment variables say (``MLFLOW_TRACKING_URI``, ``MLFLOW_EXPERIMENT_NAME``); a resumed run
goes on in the MLflow run that it began. ``CLINCODE_MLFLOW=off`` leaves it out.
"""

import json
import os
from pathlib import Path
from types import ModuleType
from typing import Any

from tqdm import tqdm

METRICS_FILE = "metrics.jsonl"
_RUN_FILE = "mlflow_run"


class RunLog:
    """Appends to the run folder's log. Only the process of rank 0 keeps one."""

    def __init__(self, out: Path, parameters: dict[str, Any], steps_an_epoch: int) -> None:
        self._steps_an_epoch = steps_an_epoch
        self._file = out / METRICS_FILE
        self._mlflow = _mlflow()
        if self._mlflow is not None:
            known = (out / _RUN_FILE).read_text() if (out / _RUN_FILE).exists() else None
            run = self._mlflow.start_run(run_id=known, run_name=out.name)
            (out / _RUN_FILE).write_text(run.info.run_id)
            if known is None:
                self._mlflow.log_params(_flat(parameters))

    def write(self, **values: float) -> None:
        """One line of figures; ``epoch`` and ``step`` say where, the others what."""
        line = {name: round(v, 6) if isinstance(v, float) else v for name, v in values.items()}
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        tqdm.write(" ".join(f"{name}={value}" for name, value in line.items()))
        if self._mlflow is not None:
            # Figures of an epoch and of a step have the same names and other meanings.
            prefix = "step_" if "step" in line else ""
            figures = {prefix + name: float(v) for name, v in line.items() if name not in ("epoch", "step")}
            # MLflow counts in one number: steps from the beginning, or epochs.
            begun = (int(line["epoch"]) - 1) * self._steps_an_epoch
            at = begun + int(line["step"]) if "step" in line else int(line["epoch"])
            self._mlflow.log_metrics(figures, step=at)

    def close(self) -> None:
        if self._mlflow is not None:
            self._mlflow.end_run()


def _mlflow() -> ModuleType | None:
    if os.environ.get("CLINCODE_MLFLOW") == "off":
        return None
    try:
        import mlflow
    except ModuleNotFoundError:
        return None
    module: ModuleType = mlflow
    return module


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested parameters by dotted names."""
    flat: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = str(value)
    return flat
