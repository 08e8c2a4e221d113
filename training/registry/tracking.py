"""A training run in MLflow: parameters, data by their hashes, figures, curves and the checkpoint.

Where MLflow is installed (``pip install 'clincode[tracking]'``) every run is tracked: in ``mlruns/`` of the checkout
(an SQLite file and the artifacts beside it), or wherever ``MLFLOW_TRACKING_URI`` says, in the experiment ``clincode``
or that of ``MLFLOW_EXPERIMENT_NAME``. ``CLINCODE_MLFLOW=off`` leaves it out. MLflow's own reports to its makers are off
unless ``MLFLOW_DISABLE_TELEMETRY`` says otherwise.
"""

import os
import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from training.provenance import PROVENANCE_FILE

SWITCH = "CLINCODE_MLFLOW"
EXPERIMENT = "clincode"
DATABASE_FILE = "mlflow.db"
DEFAULT_FOLDER = Path(__file__).resolve().parents[2] / "mlruns"
_RUN_FILE = "mlflow_run"
_NOT_IN_A_NAME = re.compile(r"[^\w\-. :/]")


class Tracker:
    """One MLflow run for one run's folder; a resumed training goes on in the run that it began.

    What fails at the start fails the training, while nothing is lost yet. Later a server that is gone costs the rest of
    the record and one warning, not the training.
    """

    def __init__(self, out: Path, record: Mapping[str, Any], mlflow: ModuleType) -> None:
        self._out, self._mlflow, self._lost = out, mlflow, False
        marker = out / _RUN_FILE
        known = marker.read_text(encoding="utf-8") if marker.exists() else None
        artifacts = _default_store(mlflow)
        experiment = None if known else _experiment(mlflow, artifacts)
        run = mlflow.start_run(run_id=known, experiment_id=experiment, run_name=out.name)
        marker.write_text(run.info.run_id, encoding="utf-8")
        if known is None:
            mlflow.log_params(_parameters(record))
            mlflow.set_tags(_tags(record))

    @classmethod
    def begin(cls, out: Path, record: Mapping[str, Any]) -> "Tracker | None":
        """None where MLflow is not installed or is switched off. ``record`` is a run's ``provenance``."""
        mlflow = _mlflow()
        return None if mlflow is None else cls(out, record, mlflow)

    def figures(self, figures: Mapping[str, float], step: int) -> None:
        self._guarded(self._mlflow.log_metrics, dict(figures), step=step)

    def end(self, metrics_file: str, *, failed: bool) -> None:
        """The run's files, and its end. A run that failed can go on, so its checkpoint is left where it is."""
        if not failed:
            for name in (metrics_file, PROVENANCE_FILE):
                if (self._out / name).is_file():
                    self._guarded(self._mlflow.log_artifact, str(self._out / name))
            if (curves := _curves(self._out)) is not None:
                self._guarded(self._mlflow.log_artifact, str(curves), "plots")
            if (self._out / "best").is_dir():
                self._guarded(self._mlflow.log_artifacts, str(self._out / "best"), "checkpoint")
        self._guarded(self._mlflow.end_run, "FAILED" if failed else "FINISHED")

    def _guarded(self, function: Callable[..., object], *arguments: object, **named: object) -> None:
        if self._lost:
            return
        try:
            function(*arguments, **named)
        except Exception as error:
            self._lost = True
            warnings.warn(f"MLflow is lost, the run goes on without it: {error}", RuntimeWarning, stacklevel=3)


def _mlflow() -> ModuleType | None:
    if os.environ.get(SWITCH) == "off":
        return None
    # Read as MLflow is imported. A hospital's machine calls nobody.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    try:
        import mlflow
    except ModuleNotFoundError:
        return None
    module: ModuleType = mlflow
    return module


def _default_store(mlflow: ModuleType) -> str | None:
    """Take ``mlruns/`` where no server is named; returns where its artifacts go."""
    wanted = f"sqlite:///{DEFAULT_FOLDER / DATABASE_FILE}"
    if mlflow.is_tracking_uri_set() and mlflow.get_tracking_uri() != wanted:
        return None
    DEFAULT_FOLDER.mkdir(parents=True, exist_ok=True)
    mlflow.set_tracking_uri(wanted)
    return (DEFAULT_FOLDER / "artifacts").as_uri()


def _experiment(mlflow: ModuleType, artifacts: str | None) -> str:
    """The experiment's id; made where it is not there."""
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
    experiment = mlflow.get_experiment_by_name(name)
    if experiment is None:
        try:
            return str(mlflow.create_experiment(name, artifact_location=artifacts))
        except Exception:  # two runs begin at once, and the other was first
            experiment = mlflow.get_experiment_by_name(name)
            if experiment is None:
                raise
    return str(experiment.experiment_id)


def _parameters(record: Mapping[str, Any]) -> dict[str, str]:
    hashes = {f"data_sha256/{_NOT_IN_A_NAME.sub('_', path)}": sha for path, sha in record.get("data", {}).items()}
    return {**_flat(record.get("config", {})), **hashes}


def _tags(record: Mapping[str, Any]) -> dict[str, str]:
    code = record.get("code", {})
    tags = {f"library.{name}": version for name, version in code.get("libraries", {}).items()}
    if "commit" in code:
        tags |= {"mlflow.source.git.commit": code["commit"], "uncommitted_changes": str(code["uncommitted_changes"])}
    return tags


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested parameters by dotted names."""
    flat: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = str(value)
    return flat


def _curves(out: Path) -> Path | None:
    """Loss and devel F1 by epoch, drawn into the run's folder; None without epochs or without matplotlib."""
    from training.ner_report import read_history
    from training.plots import plot_history, saved

    try:
        history = read_history(out)
        if not history:
            return None
        saved(plot_history(history), out / "curves.png")
    except (OSError, ValueError):
        return None
    return out / "curves.png"
