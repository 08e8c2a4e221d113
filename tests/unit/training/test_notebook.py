"""The notebook runs from top to bottom on its sample corpus."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[3]


def test_the_notebook_runs_and_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLINCODE_DATA", raising=False)
    for name, value in {"SENTENCES": "40", "EPOCHS": "1", "RUNS": "10", "OUT": str(tmp_path)}.items():
        monkeypatch.setenv(f"CLINCODE_NOTEBOOK_{name}", value)
    notebook = nbformat.read(ROOT / "docs" / "clinical_ner.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "committed without outputs"
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [out for cell in notebook.cells for out in cell.get("outputs", ()) if "image/png" in out.get("data", {})]
    assert len(shown) == 5, "figures are seen in the notebook, not only written"
    assert {
        "corpus.png", "confusion.png", "comparison.png", "training.png", "errors.png", "latency.png", "throughput.png",
        "reliability.png",
    } <= {file.name for file in tmp_path.iterdir()}  # fmt: skip
