"""The challenge tables: what of each is right, and how large it is. Misses are listed in docs/challenge.md."""

from pathlib import Path

import pytest

from clincode.pipeline import Pipeline
from training.challenge import read_cases, report, run_table
from training.corpora import CorpusError

TABLES = Path(__file__).parents[1] / "challenge"
REPORT = Path(__file__).parents[2] / "docs" / "challenge.md"

LEAST = 0.95


@pytest.mark.parametrize(("name", "least"), [("negation", 120), ("abbreviations", 120), ("references", 60)])
def test_a_stage_is_right(name: str, least: int) -> None:
    outcomes = run_table(TABLES, name)
    wrong = [outcome.case.line for outcome in outcomes if not outcome.is_right]
    assert len(outcomes) >= least
    assert len(wrong) <= (1 - LEAST) * len(outcomes), f"{name}.tsv: lines {wrong}"


def test_words_are_right_through_the_whole_pipeline(released_pipeline: Pipeline) -> None:
    outcomes = run_table(TABLES, "context_words", released_pipeline)
    wrong = [outcome.case.line for outcome in outcomes if not outcome.is_right]
    assert len(outcomes) >= 2 * 60
    assert len(wrong) <= (1 - LEAST) * len(outcomes), f"context_words.tsv: lines {wrong}"


def test_both_senses_of_each_word_are_asked() -> None:
    cases = read_cases(TABLES / "context_words.tsv")
    for one, other in zip(cases[::2], cases[1::2], strict=True):
        assert one.row["word"] == other.row["word"]
        assert one.row["expected"] != other.row["expected"], f"line {one.line}"


def test_forty_abbreviations_have_several_senses() -> None:
    senses: dict[str, set[str]] = {}
    for case in read_cases(TABLES / "abbreviations.tsv"):
        senses.setdefault(case.text[case.mention.start : case.mention.end], set()).add(case.row["sense"])
    assert sum(len(found) > 1 for found in senses.values()) >= 40


def test_the_report_counts_what_the_tables_hold() -> None:
    text = REPORT.read_text(encoding="utf-8")
    for name in ("negation", "abbreviations", "references", "context_words"):
        assert f"| {name} | {len(read_cases(TABLES / f'{name}.tsv'))} |" in text, (
            "run clincode evaluate challenge again"
        )


def test_a_miss_is_listed(tmp_path: Path) -> None:
    (tmp_path / "negation.tsv").write_text(
        "note\tcertainty\ttemporality\texperiencer\ttrigger\nHas [[fever]].\tnegated\tcurrent\tpatient\tno\n",
        encoding="utf-8",
    )
    lines = "\n".join(report({"negation": run_table(tmp_path, "negation")}))
    assert "| negation | 1 | 0 | 0.000 |" in lines
    assert "| 2 | Has [[fever]]. | negated current patient | affirmed current patient |" in lines


@pytest.mark.parametrize("row", ["no columns", "unmarked\ta\tb\tc\td"])
def test_a_broken_row_is_named(tmp_path: Path, row: str) -> None:
    path = tmp_path / "negation.tsv"
    path.write_text(f"note\tcertainty\ttemporality\texperiencer\ttrigger\n{row}\n", encoding="utf-8")
    with pytest.raises(CorpusError, match=r"negation\.tsv:2"):
        read_cases(path)
