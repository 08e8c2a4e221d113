"""``clincode evaluate coding`` on a bundle whose tagger finds nothing: what is coded is what names alone find."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

from cli.main import app
from clincode.config import SERVING_HEAD, TERMINOLOGY_FILE, ModelConfig
from clincode.icd import IcdLinker, Terminology
from clincode.integrity import write_checksums
from clincode.labels import LABELS, OUTSIDE
from clincode.model import BertForClinicalNER
from training.checkpoint import save_checkpoint

runner = CliRunner()
NOTES = [
    {"id": "a", "text": "Admitted with pneumonia. Has hypertension.", "diagnosis_codes": ["j18.9", "i10", "z99.9"]},
    {"id": "b", "text": "Zorvadine was stopped.", "diagnosis_codes": ["E11.9"]},
]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, terminology: Terminology, word_tokenizer: Any) -> Path:
    from transformers import BertConfig, BertModel

    torch.manual_seed(3)
    config = BertConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64, max_position_embeddings=64
    )
    network = BertForClinicalNER(encoder=BertModel(config))
    network.heads[SERVING_HEAD].bias.data[LABELS.index(OUTSIDE)] = 50.0  # type: ignore[operator]
    folder = tmp_path_factory.mktemp("bundles") / "bert-clinical-ner-v0.0.1"
    settings = ModelConfig("bert-clinical-ner-v0.0.1", {SERVING_HEAD: LABELS}, max_tokens=64, overlap=16)
    save_checkpoint(network, settings, word_tokenizer, folder)
    terminology.save(folder / TERMINOLOGY_FILE)
    write_checksums(folder)
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "notes.jsonl"
    path.write_text("\n".join(map(json.dumps, NOTES)) + "\n", encoding="utf-8")
    return path


def test_figures_and_page_are_written(
    bundle: Path, linker: IcdLinker, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clincode.pipeline.load_linker", lambda *_, **__: linker)  # it takes long to make
    out, report = tmp_path / "figures.json", tmp_path / "report.html"
    arguments = ["--data", str(data), "--model", str(bundle), "--json", str(out), "--report", str(report)]
    result = runner.invoke(app, ["evaluate", "coding", *arguments])
    assert result.exit_code == 0, result.output
    figures = json.loads(out.read_text())
    assert (figures["n"], figures["gold"]) == (2, 4)
    assert figures["code"] == {"precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3), "map": pytest.approx(1 / 3)}
    assert set(figures["category"]) == {"precision", "recall", "f1", "map"}
    assert figures["missed"] == {"not in the loaded year": 1, "not in text": 1}
    assert "note coding, category" in result.stdout
    html = report.read_text(encoding="utf-8")
    assert html.count("<img ") == 2
    assert "0.667" in html
    assert "zorvadine" not in html.lower()


@pytest.mark.parametrize(("line", "message"), [("{", "not a JSON object"), ('{"id": 1}', "needs 'id'")])
def test_a_broken_record_is_one_line(bundle: Path, tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "notes.jsonl"
    path.write_text(line + "\n", encoding="utf-8")
    result = runner.invoke(app, ["evaluate", "coding", "--data", str(path), "--model", str(bundle)])
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert f"notes.jsonl:1: {message}" in result.stderr
    assert "Traceback" not in result.output
