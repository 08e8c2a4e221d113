"""A pipeline small enough to train in a test: a tiny encoder, a checkpoint to go on from, a few dozen notes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from transformers import BertModel

from clincode.config import SERVING_HEAD, ModelConfig
from clincode.labels import LABELS
from clincode.model import BertForClinicalNER
from training.checkpoint import save_checkpoint

GATES = Path(__file__).parents[4] / "config" / "gates.yaml"
MakeConfig = Callable[..., Path]


def note(number: int, role: str) -> dict[str, Any]:
    text = f"Denies fever on day {number} of {role}. Given aspirin 81 mg. CT normal."
    spans = [("fever", "DIAGNOSIS"), ("aspirin 81 mg", "MEDICATION"), ("CT", "TEST")]
    entities = [{"start": text.index(w), "end": text.index(w) + len(w), "type": kind} for w, kind in spans]
    return {
        "id": f"{role}-{number}",
        "text": text,
        "entities": [{**entities[0], "certainty": "negated"}, *entities[1:]],
    }


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path, word_tokenizer: Any) -> Path:
    """A model folder of the tiny encoder, called v0.3.1."""
    folder = tmp_path_factory.mktemp("previous") / "best"
    network = BertForClinicalNER(len(LABELS), encoder=BertModel.from_pretrained(tiny_encoder))
    config = ModelConfig("bert-clinical-ner-v0.3.1", {SERVING_HEAD: LABELS}, max_tokens=64, overlap=16)
    save_checkpoint(network, config, word_tokenizer, folder)
    return folder


@pytest.fixture
def make_config(tmp_path: Path, tiny_encoder: Path, tiny_checkpoint: Path) -> MakeConfig:
    """Writes data and a configuration, which ``changes`` replace key by key, to ``tmp_path``; returns its path."""

    def make(notes: int = 12, options: dict[str, Any] | None = None, **changes: Any) -> Path:
        data = tmp_path / "notes"
        data.mkdir(exist_ok=True)
        for role in ("old", "new", "reviewed", "devel", "evaluation"):
            lines = [json.dumps(note(number, role)) for number in range(notes)]
            (data / f"{role}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        roles = {role: [f"{role}.jsonl"] for role in ("old", "new", "reviewed", "devel", "evaluation")}
        target = {"url": "http://127.0.0.1:8080/predictions/m", "key_file": str(tmp_path / "key.json")}
        settings = {"encoder": str(tiny_encoder), "epochs": 1, "batch_tokens": 512, "max_tokens": 64, "overlap": 16}
        content = {
            "name": "test",
            "previous": str(tiny_checkpoint),
            "gates": str(GATES),
            "data": {"root": str(data), **roles},
            "training": {"options": {**settings, **(options or {})}},
            "evaluation": {"latency_runs": 10},
            "canary": {**target, "share": 0.1, "production": {"name": "now", **target}},
            **changes,
        }
        path = tmp_path / "pipeline.yaml"
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        return path

    return make
