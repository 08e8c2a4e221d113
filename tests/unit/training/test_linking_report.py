"""The picture of the linker's confidences, on a bundle without a model: names alone are looked up."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

pytest.importorskip("matplotlib")

import typer

from clincode.icd import IcdLinker, Terminology
from training.corpora import CorpusError
from training.evaluate_icd import LinkingRecord
from training.linking_report import DEVEL, PICTURE, first_code_confidences, main, write_linking_report
from training.plots import plot_reliability

RECORDS = [
    ("hypertension", ["I10"]),
    ("acute myocardial infarction", ["I21"]),
    ("gibberish", ["F99"]),
    ("gout", ["A00"]),
]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data" / DEVEL
    path.parent.mkdir(parents=True)
    lines = [json.dumps({"mention": mention, "icd10cm": codes}) for mention, codes in RECORDS]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path / "data"


def test_pairs_are_the_first_code_and_whether_it_is_right(linker: IcdLinker) -> None:
    records = [LinkingRecord(mention, frozenset(codes)) for mention, codes in RECORDS]
    pairs = first_code_confidences(records, linker)
    assert [right for _, right in pairs] == [1, 1, 0, 0]
    for (confidence, _), (mention, _) in zip(pairs, RECORDS, strict=True):
        first = linker.named(mention, limit=1)
        assert confidence == (first[0].confidence if first else 0)


def test_the_picture_is_written_and_the_error_told(linker: IcdLinker, data: Path, tmp_path: Path) -> None:
    error, count = write_linking_report(linker, data, tmp_path / "docs" / "new")
    assert count == 4
    assert 0 < error < 1
    assert (tmp_path / "docs" / "new" / PICTURE).read_bytes().startswith(b"\x89PNG")


def test_the_command_prints_the_error(terminology: Terminology, data: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    terminology.save(bundle / "icd10cm.json.gz")
    app = typer.Typer()
    app.command()(main)
    arguments = [str(bundle), "--data", str(data), "--out", str(tmp_path)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "ECE 0." in result.stdout
    assert "on 4 mentions" in result.stdout
    (data / DEVEL).write_text("{\n", encoding="utf-8")
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert "bc5cdr_devel.jsonl:1" in result.stderr


@pytest.mark.parametrize(("content", "message"), [(None, "not a readable"), ("\n", "no records")])
def test_without_records_there_is_no_picture(
    linker: IcdLinker, data: Path, tmp_path: Path, content: str | None, message: str
) -> None:
    (data / DEVEL).unlink()
    if content is not None:
        (data / DEVEL).write_text(content, encoding="utf-8")
    with pytest.raises(CorpusError, match=rf"bc5cdr_devel\.jsonl: {message}"):
        write_linking_report(linker, data, tmp_path)
    assert not (tmp_path / PICTURE).exists()


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
