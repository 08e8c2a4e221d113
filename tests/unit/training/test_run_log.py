"""The run's log, and what reaches MLflow: a recorder in its place, for it is not among the pinned packages."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from training.run_log import METRICS_FILE, RunLog


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    made: list[tuple[Any, ...]] = []

    def start_run(run_id: str | None, run_name: str) -> SimpleNamespace:
        made.append(("start", run_id, run_name))
        return SimpleNamespace(info=SimpleNamespace(run_id="r1"))

    recorder = SimpleNamespace(
        start_run=start_run,
        log_params=lambda parameters: made.append(("params", parameters)),
        log_metrics=lambda figures, step: made.append(("metrics", figures, step)),
        end_run=lambda: made.append(("end",)),
    )
    monkeypatch.setitem(sys.modules, "mlflow", recorder)
    return made


def test_lines_of_a_run_reach_the_file_and_mlflow(tmp_path: Path, calls: list[tuple[Any, ...]]) -> None:
    log = RunLog(tmp_path, {"seed": 13, "lora": {"rank": 4}}, steps_an_epoch=100)
    log.write(epoch=2, step=25, loss=0.1234567, lr=1e-4)
    log.write(epoch=2, loss=0.2, devel_f1=0.7)
    log.close()
    lines = [json.loads(line) for line in (tmp_path / METRICS_FILE).read_text(encoding="utf-8").splitlines()]
    assert lines[0] == {"epoch": 2, "step": 25, "loss": 0.123457, "lr": 1e-4}
    assert calls == [
        ("start", None, tmp_path.name),
        ("params", {"seed": "13", "lora.rank": "4"}),
        ("metrics", {"step_loss": 0.123457, "step_lr": 1e-4}, 125),
        ("metrics", {"loss": 0.2, "devel_f1": 0.7}, 2),
        ("end",),
    ]


def test_a_resumed_run_goes_on_in_its_own_run(tmp_path: Path, calls: list[tuple[Any, ...]]) -> None:
    RunLog(tmp_path, {}, 1)
    calls.clear()
    RunLog(tmp_path, {}, 1)
    assert calls == [("start", "r1", tmp_path.name)]


def test_mlflow_can_be_left_out(tmp_path: Path, calls: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLINCODE_MLFLOW", "off")
    RunLog(tmp_path, {}, 1).write(epoch=1, loss=0.5)
    assert calls == []
