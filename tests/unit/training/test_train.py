"""The training loop on a tiny encoder: two processes equal one, a killed run resumes, a run learns."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from transformers import BertConfig, BertModel

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory, tokenizer_file: Path) -> Path:
    """Without dropout, so that processes cannot differ by what they draw."""
    folder = tmp_path_factory.mktemp("encoder")
    torch.manual_seed(3)
    config = BertConfig(
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    BertModel(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        (folder / name).write_bytes((tokenizer_file.parent / name).read_bytes())
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    drugs, findings = ["aspirin", "metoprolol", "heparin"], ["fever", "pain", "edema"]
    lines = []
    for i in range(1500):
        words = [
            ("Given", "O"),
            (drugs[i % 3], "B-MED"),
            ("for", "O"),
            ("severe", "B-DIAG"),
            (findings[i % 3], "I-DIAG"),
        ]
        lines += [f"{word}\t{tag}\n" for word, tag in words] + ["\n"]
    (folder / "train.tsv").write_text("".join(lines), encoding="utf-8")
    (folder / "devel.tsv").write_text("".join(lines[:600]), encoding="utf-8")
    return folder


def write_config(folder: Path, encoder: Path, **changes: Any) -> Path:
    config: dict[str, Any] = {
        "version": "bert-clinical-ner-v0.0.1",
        "encoder": str(encoder),
        "corpora": [{"path": "train.tsv", "guideline": "clincode"}],
        "devel": {"path": "devel.tsv"},
        "epochs": 2,
        "batch_tokens": 512,
        "learning_rate": 0.003,
        "max_tokens": 128,
        "overlap": 32,
        "dropout": 0.0,
        "checkpoint_every": 1,
        "log_every": 1,
        **changes,
    }
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def command(config: Path, data: Path, out: Path, processes: int = 1) -> list[str]:
    launcher = [sys.executable, "-m"]
    if processes > 1:
        launcher += ["torch.distributed.run", "--standalone", f"--nproc_per_node={processes}", "-m"]
    return [*launcher, "training.train", str(config), "--data", str(data), "--out", str(out)]


def run(*arguments: Any, processes: int = 1) -> list[dict[str, float]]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": ""}
    subprocess.run(
        command(*arguments, processes), check=True, cwd=ROOT, env=environment, timeout=300, capture_output=True
    )
    return metrics(arguments[2])


def metrics(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def test_a_run_learns_and_leaves_its_best_checkpoint(tmp_path: Path, encoder: Path, data: Path) -> None:
    lines = run(write_config(tmp_path, encoder, epochs=8, learning_rate=0.01), data, tmp_path / "out")
    f1 = [line["devel_f1"] for line in lines if "devel_f1" in line]
    assert len(f1) == 8
    assert max(f1) > 0.9
    assert {"model.safetensors", "config.json", "tokenizer.json", "clincode.json"} == {
        file.name for file in (tmp_path / "out" / "best").iterdir()
    }


def test_two_processes_take_the_steps_of_one_with_the_same_global_batch(
    tmp_path: Path, encoder: Path, data: Path
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    one = run(write_config(tmp_path / "one", encoder, accumulation=2), data, tmp_path / "one" / "out")
    two = run(write_config(tmp_path / "two", encoder, accumulation=1), data, tmp_path / "two" / "out", processes=2)
    losses = [[line["loss"] for line in lines if "step" in line] for lines in (one, two)]
    assert len(losses[0]) > 4
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    weights = [load_file(tmp_path / name / "out" / "best" / "model.safetensors") for name in ("one", "two")]
    for name, tensor in weights[0].items():
        torch.testing.assert_close(weights[1][name], tensor, rtol=2e-3, atol=2e-4)


def test_a_killed_run_resumes_to_the_loss_of_an_unbroken_one(tmp_path: Path, encoder: Path, data: Path) -> None:
    options = {"epochs": 3, "dropout": 0.3, "ema": 0.9, "r_drop": 0.5}
    unbroken = run(write_config(tmp_path, encoder, **options), data, tmp_path / "unbroken")
    out = tmp_path / "killed"
    process = subprocess.Popen(
        command(write_config(tmp_path, encoder, **options), data, out),
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if (out / "metrics.jsonl").exists() and sum("step" in line for line in metrics(out)) >= 3:
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it was still running when it was killed"
    resumed = run(write_config(tmp_path, encoder, **options), data, out)
    epochs = [{line["epoch"]: line["loss"] for line in lines if "devel_f1" in line} for lines in (unbroken, resumed)]
    assert epochs[1] == pytest.approx(epochs[0], rel=1e-5)
