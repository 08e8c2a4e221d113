"""Figures over records of gold mentions."""

import json
from pathlib import Path

import pytest

from clincode.icd import IcdLinker
from training.corpora import CorpusError
from training.evaluate_icd import evaluate_icd, precision_by_kind, read_records


def write(path: Path, *records: object) -> Path:
    path.write_text("\n".join(json.dumps(record) for record in records) + "\n")
    return path


def test_figures(linker: IcdLinker, tmp_path: Path) -> None:
    path = write(
        tmp_path / "gold.jsonl",
        {"mention": "hypertension", "icd10cm": ["I10"]},
        {"mention": "acute myocardial infarction", "icd10cm": ["I21"], "mesh": "D009203"},
        {"mention": "pneumonia", "icd10cm": ["J18.1", "A00"]},
        {"mention": "gibberish", "icd10cm": ["F99"]},
    )
    figures = evaluate_icd(path, linker)
    # Three are about as sure, of which two are right; what finds nothing is as unsure as it is wrong.
    sure = [linker.named(m)[0].confidence for m in ("hypertension", "acute myocardial infarction", "pneumonia")]
    assert all(0.7 < confidence < 0.8 for confidence in sure)
    assert figures.pop("ece") == pytest.approx(3 / 4 * abs(sum(sure) / 3 - 2 / 3))
    assert figures == {
        "code@1": 0.5,
        "category@1": 0.75,
        "code@5": 0.5,
        "category@5": 0.75,
        "abstained": 0.25,
        "billable@1": 0.25,
        "billable@5": 0.25,
        "agreeing@1": 0.5,
        "reachable": 0.75,
        "n": 4,
    }


def test_abbreviations_are_read_as_in_their_context(linker: IcdLinker, tmp_path: Path) -> None:
    heart = {"mention": "MS", "icd10cm": ["I05.0"], "context": "Severe MS with a mitral valve area of 1.0 cm2 on echo."}
    brain = {"mention": "MS", "icd10cm": ["G35"], "context": "MS with optic neuritis, plaques on MRI of the brain."}
    for record in (heart, brain):
        figures = evaluate_icd(write(tmp_path / "gold.jsonl", record), linker)
        assert (figures["category@1"], figures["abstained"]) == (1.0, 0.0), record


def test_precision_by_kind(linker: IcdLinker, tmp_path: Path) -> None:
    path = write(
        tmp_path / "gold.jsonl",
        {"mention": "acute myocardial infarction", "icd10cm": ["I21"]},
        {"mention": "Acute myocardial infarction", "icd10cm": ["I21"]},
        {"mention": "gibberish", "icd10cm": ["F99"]},
    )
    rows = precision_by_kind(read_records(path), linker)
    assert list(rows) == ["exact"]
    assert (rows["exact"].n, rows["exact"].equal, rows["exact"].agreeing, rows["exact"].category) == (1, 0, 1, 1)


@pytest.mark.parametrize(
    "line", ["{", "[]", "{}", '{"mention": 1, "icd10cm": ["I10"]}', '{"mention": "x", "icd10cm": "I10"}',
             '{"mention": "x", "icd10cm": []}', '{"mention": "x", "icd10cm": [1]}',
             '{"mention": "x", "icd10cm": ["I10"], "context": 1}', '{"mention": "x", "icd10cm": ["I10"], "pmid": 1}']
)  # fmt: skip
def test_broken_line_is_named(linker: IcdLinker, tmp_path: Path, line: str) -> None:
    path = tmp_path / "gold.jsonl"
    path.write_text('{"mention": "x", "icd10cm": ["I10"]}\n\n' + line + "\n")
    with pytest.raises(CorpusError, match=r"gold.jsonl:3: "):
        evaluate_icd(path, linker)


def test_missing_and_empty_files_are_named(linker: IcdLinker, tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n")
    for name in ("absent.jsonl", "empty.jsonl"):
        with pytest.raises(CorpusError, match=name):
            evaluate_icd(tmp_path / name, linker)


@pytest.mark.corpus
def test_real_mentions_are_linked_at_least_as_well_as_before(linker: IcdLinker, data_dir: Path) -> None:
    unseen = evaluate_icd(data_dir / "icd_linking" / "bc5cdr_devel_unseen.jsonl", linker)
    assert unseen["code@1"] >= 0.36
    assert unseen["category@1"] >= 0.54
