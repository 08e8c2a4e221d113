"""The README's tables are those of the measured figures, and the command that writes them leaves the rest alone."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import typer

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def results(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("results")


def test_the_readme_shows_the_figures_that_were_measured(results: ModuleType) -> None:
    figures = json.loads((ROOT / "docs" / "results.json").read_text(encoding="utf-8"))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert results.replaced(readme, results.tables(figures)) == readme


def test_only_what_stands_between_the_markers_changes(results: ModuleType) -> None:
    readme = f"before {results.BEGIN} old {results.END} after"
    assert results.replaced(readme, "new") == f"before {results.BEGIN}\n\nnew\n\n{results.END} after"
    with pytest.raises(typer.BadParameter, match="lacks"):
        results.replaced("no markers", "new")
