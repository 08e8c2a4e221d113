"""The run's log, and what reaches MLflow: a recorder in its place; the real one is in registry/test_tracking.py."""

import json
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from training.run_log import METRICS_FILE, RunLog

RECORD = {
    "config": {"seed": 13, "lora": {"rank": 4}},
    "data": {"maccrobat/träin": "ab12"},
    "code": {"libraries": {"torch": "2.13.0"}, "commit": "c0ffee", "uncommitted_changes": True},
}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    made: list[tuple[Any, ...]] = []

    def start_run(run_id: str | None, experiment_id: str | None, run_name: str) -> SimpleNamespace:
        made.append(("start", run_id, experiment_id, run_name))
        return SimpleNamespace(info=SimpleNamespace(run_id="r1"))

    recorder = SimpleNamespace(
        is_tracking_uri_set=lambda: True,
        get_tracking_uri=lambda: "http://tracking.invalid",
        get_experiment_by_name=lambda name: SimpleNamespace(experiment_id=f"id of {name}"),
        start_run=start_run,
        log_params=lambda parameters: made.append(("params", parameters)),
        set_tags=lambda tags: made.append(("tags", tags)),
        log_metrics=lambda figures, step: made.append(("metrics", figures, step)),
        log_artifact=lambda path, *folder: made.append(("file", Path(path).name, *folder)),
        log_artifacts=lambda path, folder: made.append(("files", Path(path).name, folder)),
        end_run=lambda status: made.append(("end", status)),
    )
    monkeypatch.setitem(sys.modules, "mlflow", recorder)
    monkeypatch.delenv("CLINCODE_MLFLOW", raising=False)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    return made


def test_lines_of_a_run_reach_the_file_and_mlflow(tmp_path: Path, calls: list[tuple[Any, ...]]) -> None:
    log = RunLog(tmp_path, RECORD, steps_an_epoch=100)
    log.write(epoch=2, step=25, loss=0.1234567, lr=1e-4)
    log.write(epoch=2, loss=0.2, devel_f1=0.7)
    (tmp_path / "best").mkdir()
    log.close()
    lines = [json.loads(line) for line in (tmp_path / METRICS_FILE).read_text(encoding="utf-8").splitlines()]
    assert lines[0] == {"epoch": 2, "step": 25, "loss": 0.123457, "lr": 1e-4}
    assert calls == [
        ("start", None, "id of clincode", tmp_path.name),
        ("params", {"seed": "13", "lora.rank": "4", "data_sha256/maccrobat/träin": "ab12"}),
        (
            "tags",
            {"library.torch": "2.13.0", "mlflow.source.git.commit": "c0ffee", "uncommitted_changes": "True"},
        ),
        ("metrics", {"step_loss": 0.123457, "step_lr": 1e-4}, 125),
        ("metrics", {"loss": 0.2, "devel_f1": 0.7}, 2),
        ("file", METRICS_FILE),
        ("file", "curves.png", "plots"),
        ("files", "best", "checkpoint"),
        ("end", "FINISHED"),
    ]


def test_a_resumed_run_goes_on_in_its_own_run(tmp_path: Path, calls: list[tuple[Any, ...]]) -> None:
    RunLog(tmp_path, {}, 1).close(failed=True)
    assert calls[-1] == ("end", "FAILED")
    calls.clear()
    RunLog(tmp_path, {}, 1)
    assert calls == [("start", "r1", None, tmp_path.name)]


def test_mlflow_can_be_left_out(tmp_path: Path, calls: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLINCODE_MLFLOW", "off")
    RunLog(tmp_path, {}, 1).write(epoch=1, loss=0.5)
    assert calls == []


def test_a_server_that_goes_away_costs_one_warning_and_no_training(
    tmp_path: Path, calls: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    log = RunLog(tmp_path, {}, 1)

    def gone(figures: object, step: int) -> None:
        raise ConnectionError("nobody there")

    monkeypatch.setattr(sys.modules["mlflow"], "log_metrics", gone)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for epoch in (1, 2, 3):
            log.write(epoch=epoch, loss=0.5)
        log.close()
    assert [str(warning.message) for warning in caught] == ["MLflow is lost, the run goes on without it: nobody there"]
    assert len((tmp_path / METRICS_FILE).read_text(encoding="utf-8").splitlines()) == 3


def test_a_server_that_is_not_there_at_the_start_is_said_before_anything_is_lost(
    tmp_path: Path, calls: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(**arguments: object) -> None:
        raise ConnectionError("nobody there")

    monkeypatch.setattr(sys.modules["mlflow"], "start_run", gone)
    with pytest.raises(ConnectionError):
        RunLog(tmp_path, {}, 1)
