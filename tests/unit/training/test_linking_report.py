"""The picture of the linker's confidences, on a bundle without a model: names alone are looked up."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

pytest.importorskip("matplotlib")

import typer

from clincode.icd import IcdLinker
from training import linking_report
from training.evaluate_icd import LinkingRecord
from training.linking_report import DEVEL, PICTURE, first_code_confidences, main, write_linking_report
from training.plots import plot_reliability

MENTIONS = {"hypertension": "I10", "acute myocardial infarction": "I21", "gibberish": "F99", "gout": "A00"}
RECORDS = [LinkingRecord(mention, frozenset({code})) for mention, code in MENTIONS.items()]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data" / DEVEL
    path.parent.mkdir(parents=True)
    lines = [json.dumps({"mention": mention, "icd10cm": [code]}) for mention, code in MENTIONS.items()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path / "data"


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    app.command()(main)
    return app


def test_pairs_are_the_first_code_and_whether_it_is_right(linker: IcdLinker) -> None:
    pairs = first_code_confidences(RECORDS, linker)
    assert [right for _, right in pairs] == [1, 1, 0, 0]
    for (confidence, _), record in zip(pairs, RECORDS, strict=True):
        first = linker.named(record.mention, limit=1)
        assert confidence == (first[0].confidence if first else 0)


def test_more_mentions_than_go_through_together(linker: IcdLinker) -> None:
    assert len(first_code_confidences(RECORDS * 100, linker)) == 400


def test_the_picture_is_written(linker: IcdLinker, tmp_path: Path) -> None:
    assert 0 < write_linking_report(RECORDS, linker, tmp_path / "docs" / "new") < 1
    assert (tmp_path / "docs" / "new" / PICTURE).read_bytes().startswith(b"\x89PNG")


def test_the_command_prints_the_error(
    app: typer.Typer, linker: IcdLinker, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linking_report, "load_linker", {Path("a-bundle"): linker}.__getitem__)
    result = CliRunner().invoke(app, ["a-bundle", "--data", str(data), "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "ECE 0." in result.stdout
    assert "on 4 mentions" in result.stdout
    assert (tmp_path / PICTURE).exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "not a readable text"),
        ("\n", "no records"),
        ("{\n", "not a JSON object"),
        ('{"mention": "x"}', "needs 'men"),
    ],
)
def test_what_can_be_mended_is_one_line(
    app: typer.Typer, data: Path, tmp_path: Path, content: str | None, message: str
) -> None:
    (data / DEVEL).unlink()
    if content is not None:
        (data / DEVEL).write_text(content, encoding="utf-8")
    result = CliRunner().invoke(app, [str(tmp_path), "--data", str(data), "--out", str(tmp_path)])
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert f"{Path(DEVEL).name}:" in result.stderr
    assert message in result.stderr
    assert not (tmp_path / PICTURE).exists()


def test_what_is_no_bundle_is_named(app: typer.Typer, data: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, [str(tmp_path / "absent"), "--data", str(data), "--out", str(tmp_path)])
    assert result.exit_code == 1
    assert "absent" in result.stderr


def test_a_dot_for_each_bin_of_an_area_by_its_number() -> None:
    figure = plot_reliability([(0.15, 0.1, 30), (0.95, 0.9, 300)], 0.05, "Title")
    (axis,) = figure.axes
    assert axis.get_title() == "Title\nECE 0.050, 330 answers"
    dots = axis.collections[1]
    assert dots.get_offsets().tolist() == [[0.15, 0.1], [0.95, 0.9]]
    few, many = dots.get_sizes()
    assert few < many
    diagonal = axis.get_lines()[0]
    assert list(diagonal.get_xdata()) == list(diagonal.get_ydata()) == [0, 1]
    assert plot_reliability([], 0.0, "Nothing").axes[0].get_title() == "Nothing\nECE 0.000, 0 answers"
