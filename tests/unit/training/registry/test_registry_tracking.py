"""A tiny run that is really trained and really tracked: everything is read back from MLflow's store."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
import torch
import yaml
from transformers import BertConfig, BertModel

import training.registry.tracking as tracking_module
from training.run_log import RunLog
from training.train import main

SENTENCE = "Given\tO\naspirin\tB-MED\nfor\tO\nsevere\tB-DIAG\npain\tI-DIAG\n\n"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """``mlruns/`` elsewhere; making its tables takes seconds."""
    folder = tmp_path_factory.mktemp("mlruns")
    with pytest.MonkeyPatch.context() as patched:
        for name in ("CLINCODE_MLFLOW", "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
            patched.delenv(name, raising=False)
        patched.setattr(tracking_module, "DEFAULT_FOLDER", folder)
        yield folder
    mlflow.set_tracking_uri("")


@pytest.fixture(scope="module")
def run(store: Path, tmp_path_factory: pytest.TempPathFactory, tokenizer_file: Path) -> Path:
    folder = tmp_path_factory.mktemp("tracked")
    torch.manual_seed(3)
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    BertModel(BertConfig(**size, max_position_embeddings=64)).save_pretrained(folder / "encoder")
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        (folder / "encoder" / name).write_bytes((tokenizer_file.parent / name).read_bytes())
    for name, times in (("train.tsv", 200), ("devel.tsv", 20)):
        (folder / name).write_text(SENTENCE * times, encoding="utf-8")
    config = {
        "version": "bert-clinical-ner-v0.0.1",
        "encoder": str(folder / "encoder"),
        "corpora": [{"path": "train.tsv", "guideline": "clincode"}],
        "devel": {"path": "devel.tsv"},
        "epochs": 2,
        "batch_tokens": 512,
        "max_tokens": 64,
        "overlap": 16,
        "log_every": 1,
    }
    (folder / "run.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    main(folder / "run.yaml", folder, folder / "out")
    return folder


def test_parameters_data_figures_curves_and_checkpoint_are_in_the_store(run: Path, store: Path, tmp_path: Path) -> None:
    client = mlflow.MlflowClient(f"sqlite:///{store / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("clincode")
    assert experiment is not None
    [found] = client.search_runs([experiment.experiment_id])
    assert (found.info.run_name, found.info.status) == ("out", "FINISHED")
    parameters = found.data.params
    assert parameters["epochs"] == "2"
    assert parameters["devel.path"] == "devel.tsv"
    assert parameters["data_sha256/train.tsv"] == hashlib.sha256((run / "train.tsv").read_bytes()).hexdigest()
    assert found.data.tags["library.torch"] == torch.__version__
    history = client.get_metric_history(found.info.run_id, "devel_f1")
    assert [metric.step for metric in history] == [1, 2]
    lines = [json.loads(line) for line in (run / "out" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert found.data.metrics["loss"] == [line["loss"] for line in lines if "devel_f1" in line][-1]
    assert client.get_metric_history(found.info.run_id, "step_loss")
    folder = Path(client.download_artifacts(found.info.run_id, "", str(tmp_path)))
    assert (folder / "plots" / "curves.png").read_bytes().startswith(b"\x89PNG")
    for path in (run / "out" / "best").iterdir():
        assert (folder / "checkpoint" / path.name).read_bytes() == path.read_bytes()
    record = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    assert record["config"]["learning_rate"] == 3e-5
    assert set(record["data"]) == {"train.tsv", "devel.tsv"}
    assert (store / "artifacts").is_dir()


def test_a_second_run_goes_to_the_same_experiment_and_a_resumed_one_to_its_own(
    run: Path, store: Path, tmp_path: Path
) -> None:
    for failed in (True, False):
        log = RunLog(tmp_path, {"config": {"seed": 1}}, 10)
        log.write(epoch=1, step=1, loss=0.5)
        log.close(failed=failed)
    client = mlflow.MlflowClient(f"sqlite:///{store / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("clincode")
    assert experiment is not None
    runs = {found.info.run_name: found for found in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {"out", tmp_path.name}
    assert runs[tmp_path.name].info.status == "FINISHED"
    assert len(client.get_metric_history(runs[tmp_path.name].info.run_id, "step_loss")) == 2


def test_mlflow_reports_to_nobody(root: Path) -> None:
    code = (
        "from training.registry.tracking import _mlflow; _mlflow(); "
        "from mlflow.telemetry import get_telemetry_client; print(get_telemetry_client())"
    )
    # Without what MLflow takes for a sign of tests.
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(root)}
    outcome = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=root, capture_output=True, text=True, timeout=120, check=True
    )
    assert outcome.stdout.strip() == "None"
