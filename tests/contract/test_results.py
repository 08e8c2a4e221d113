"""The README's tables are those of the measured figures, and the command that writes them leaves the rest alone."""

import importlib.util
import json
from pathlib import Path

import pytest
import typer

ROOT = Path(__file__).parents[2]
spec = importlib.util.spec_from_file_location("results", ROOT / "scripts" / "results.py")
assert spec is not None
assert spec.loader is not None
results = importlib.util.module_from_spec(spec)
spec.loader.exec_module(results)


def test_the_readme_shows_the_figures_that_were_measured() -> None:
    figures = json.loads((ROOT / "docs" / "results.json").read_text(encoding="utf-8"))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert results.replaced(readme, results.tables(figures)) == readme


def test_only_what_stands_between_the_markers_changes() -> None:
    readme = f"before {results.BEGIN} old {results.END} after"
    assert results.replaced(readme, "new") == f"before {results.BEGIN}\n\nnew\n\n{results.END} after"
    with pytest.raises(typer.BadParameter, match="lacks"):
        results.replaced("no markers", "new")
