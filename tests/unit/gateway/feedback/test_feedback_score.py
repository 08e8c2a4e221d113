"""Figures against those worked out by hand, and the commands."""

import json
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from feedback_samples import ACCEPTED, DECISIONS, V2, make_answer
from typer.testing import CliRunner, Result

from cli.feedback import feedback_app
from gateway.feedback.export import Filters, read_examples, to_line
from gateway.feedback.intervals import bootstrap_f1, prf, share
from gateway.feedback.score import ENOUGH_NOTES, read_export, score, tally
from gateway.storage.database import Database
from training.corpora import GUIDELINES, read_jsonl
from training.scoring import bootstrap_intervals

Add = Callable[..., str]
Decide = Callable[..., None]


def prf_of(row: dict[str, Any]) -> tuple[float, float, float]:
    return tuple(pytest.approx(row[name]) for name in ("precision", "recall", "f1"))  # type: ignore[return-value]


@pytest.fixture
def corrected(add_note: Add, decide: Decide, database: Database) -> dict[str, Any]:
    """Of five entities one is accepted, one has another certainty, one is rejected, one is widened, one not decided."""
    decide(add_note(), DECISIONS)
    return score(map(tally, read_examples(database, Filters())))


def test_entities_by_hand(corrected: dict[str, Any]) -> None:
    entities, decided = corrected["entities"], corrected["entities_decided"]
    assert (entities["n"], entities["micro"]["predicted"], entities["undecided"]) == (5, 5, 1)
    assert prf_of(entities["micro"]) == (3 / 5, 3 / 5, 3 / 5)
    assert (decided["n"], decided["micro"]["predicted"]) == (4, 4)
    assert prf_of(decided["micro"]) == (2 / 4, 2 / 4, 2 / 4)
    by_type = {name: (*prf_of(row), row["n"]) for name, row in entities["per_type"].items()}
    assert by_type == {
        "DIAGNOSIS": (1, 1, 1, 2),
        "PROCEDURE": (0, 0, 0, 0),
        "MEDICATION": (0, 0, 0, 1),
        "ANATOMY": (1, 1, 1, 1),
        "TEST": (0, 0, 0, 1),
    }
    assert decided["per_type"]["ANATOMY"]["n"] == 0
    assert prf_of(entities["relaxed"]) == (1, 1, 1)


def test_context_by_hand(corrected: dict[str, Any]) -> None:
    """Four of the suggested stand; one of them was negated and is possible."""
    context = corrected["entities"]["context"]
    assert {name: (row["accuracy"], row["n"]) for name, row in context.items()} == {
        "negation": (3 / 4, 4),
        "certainty": (3 / 4, 4),
        "temporality": (1, 4),
        "experiencer": (1, 4),
    }
    assert corrected["entities_decided"]["context"]["negation"]["accuracy"] == pytest.approx(2 / 3)


def test_codes_by_hand(corrected: dict[str, Any]) -> None:
    """E11.9, R07.9, Z79.84 were suggested; E11.9, R07.89, I10 stand."""
    codes = corrected["codes"]
    assert prf_of(codes["code"]) == (1 / 3, 1 / 3, 1 / 3)
    assert prf_of(codes["category"]) == (2 / 3, 2 / 3, 2 / 3)
    accepted = codes["accepted"]
    assert (accepted["share"], accepted["n"]) == (pytest.approx(1 / 3), 3)
    assert [accepted[name] for name in ("accepted", "replaced", "rejected", "added")] == [1, 1, 1, 1]
    assert (codes["top1"]["accuracy"], codes["top1"]["n"]) == (1, 1)


def test_groups_and_what_is_not_finished(add_note: Add, decide: Decide, database: Database) -> None:
    decide(add_note(), DECISIONS)
    decide(add_note(model_version=V2, route="canary"), ACCEPTED)
    decide(add_note(model_version=V2, route="canary", answer=make_answer(codes=False)), [{"kind": "finish"}])
    decide(add_note(model_version="unseen"), DECISIONS[:3])
    figures = score(map(tally, read_examples(database, Filters(unfinished=True))))
    assert (figures["notes"], figures["is_weak"]) == (3, True)
    assert {name: each["notes"] for name, each in figures["by_route"].items()} == {"canary": 2, "main": 1}
    new = figures["by_model_version"][V2]
    assert prf_of(new["entities"]["micro"]) == (1, 1, 1)
    assert (new["entities_decided"]["n"], new["entities"]["undecided"]) == (0, 10)
    assert (new["codes"]["top1"]["n"], new["codes"]["accepted"]["share"]) == (1, 1)
    assert new["entities_decided"]["context"]["negation"] == {"accuracy": None, "interval": None, "n": 0}
    assert figures["entities"]["micro"]["f1"] == pytest.approx(13 / 15)


def test_a_widened_code_is_right_only_in_its_category() -> None:
    suggested = [{"code": "E11.9", "verdict": "replaced"}]
    figures = score([tally(example(codes_suggested=suggested, codes=[{"code": "E11.65"}]))])
    assert (figures["codes"]["code"]["f1"], figures["codes"]["category"]["f1"]) == (0, 1)
    assert figures["codes"]["top1"]["accuracy"] == 0


def example(**values: Any) -> dict[str, Any]:
    empty: dict[str, Any] = {
        name: []
        for name in (
            "entities",
            "entities_overlapping",
            "entities_suggested",
            "codes",
            "codes_suggested",
            "codes_added",
        )
    }
    known = {"id": "a", "model_version": None, "route": None, "finished_at": "2026-11-01T00:00:00+00:00"}
    return empty | known | values


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [((0, 5, "TEST"), (4, 9, "TEST"), 1), ((0, 5, "TEST"), (5, 9, "TEST"), 0), ((0, 5, "TEST"), (0, 5, "ANATOMY"), 0)],
)
def test_overlap_needs_the_type_and_one_character(
    one: tuple[int, int, str], other: tuple[int, int, str], overlap: int
) -> None:
    before, after = (
        dict(zip(("start", "end", "type"), each, strict=True))
        | {"key": key, "verdict": "accepted", "certainty": "affirmed", "temporality": "current"}
        | {"experiencer": "patient"}
        for key, each in (("0", one), ("d1", other))
    )
    figures = score([tally(example(entities_suggested=[before], entities=[after]))])
    assert figures["entities"]["relaxed"]["f1"] == overlap


def test_nothing_at_all() -> None:
    figures = score([])
    assert figures["entities"]["micro"] == {
        "precision": 0.0,
        "recall": 0.0,
        "f1": 0.0,
        "interval": [0.0, 0.0],
        "n": 0,
        "predicted": 0,
    }
    assert figures["by_route"] == {}
    json.dumps(figures)


def test_enough_notes_are_not_weak() -> None:
    notes = [tally(example()) for _ in range(ENOUGH_NOTES)]
    assert not score(notes)["is_weak"]
    assert score(notes[1:])["is_weak"]


def test_wilson() -> None:
    assert share(8, 10)["interval"] == pytest.approx([0.4901625, 0.9433178], abs=1e-6)
    assert share(0, 10)["interval"][0] == 0
    assert share(10, 10)["interval"][1] == pytest.approx(1)


def test_the_bootstrap_is_that_of_training() -> None:
    """The same draws over the same counts."""
    gold = {(i, 0, 0, "DIAG") for i in range(20)}
    found = {(i, 0, 0, "DIAG") for i in range(5, 23)}
    micro, _ = bootstrap_intervals(gold, found, 25, tags=["DIAG"])
    sets = (gold & found, found, gold)
    counts = np.array([[[sum(e[0] == i for e in each) for each in sets]] for i in range(25)], dtype=np.int64)
    assert bootstrap_f1(counts) == [pytest.approx(micro)]
    assert prf(*(len(each) for each in sets))["f1"] == pytest.approx(2 * 15 / 38)


@pytest.mark.parametrize(
    "line",
    [
        '{"text": "chest pain"}',
        "[1]",
        "chest pain",
        to_line(example(entities_suggested=[{"start": 0, "end": 1, "type": "chest pain", "key": "0", "verdict": "x"}])),
        to_line(example(finished_at="chest pain")),
    ],
)
def test_a_file_that_is_no_export_is_named_and_not_quoted(tmp_path: Path, line: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f"{to_line(example())}\n{line}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"a\.jsonl:2: not a line") as caught:
        list(read_export(path))
    assert "chest" not in str(caught.value)


# -- the commands --


@pytest.fixture
def run(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setenv("CLINCODE_SECRET_KEY", "a secret of the tests, which is long enough")
    monkeypatch.setenv("CLINCODE_DATABASE_URL", database_url)
    monkeypatch.setenv("COLUMNS", "200")

    def command(*arguments: object) -> Result:
        return CliRunner().invoke(feedback_app, [str(each) for each in arguments])

    return command


@pytest.fixture
def two(add_note: Add, decide: Decide) -> list[str]:
    ids = [add_note(), add_note(model_version=V2)]
    decide(ids[0], DECISIONS, at=datetime(2026, 11, 24, tzinfo=UTC))
    decide(ids[1], ACCEPTED, at=datetime(2026, 11, 25, tzinfo=UTC))
    return ids


def test_export_and_score_of_the_file(two: list[str], run: Callable[..., Result], tmp_path: Path) -> None:
    out, from_file, from_database = tmp_path / "notes.jsonl", tmp_path / "a.json", tmp_path / "b.json"
    exported = run("export", "--out", out)
    assert (exported.exit_code, exported.stdout) == (0, "")
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.glob("*.jsonl*")] == ["notes.jsonl"]
    assert len(read_jsonl(out, GUIDELINES["clincode"])) == 4
    result = run("score", "--data", out, "--json", from_file)
    assert result.exit_code == 0
    assert "weak figures: 2 finished notes" in result.stderr
    assert run("score", "--json", from_database).exit_code == 0
    figures = json.loads(from_file.read_text())
    assert figures == json.loads(from_database.read_text())
    assert figures["notes"] == 2


def test_to_standard_output(two: list[str], run: Callable[..., Result]) -> None:
    exported = run("export", "--out", "-", "--since", "2026-11-25")
    assert [json.loads(line)["id"] for line in exported.stdout.splitlines()] == two[1:]
    assert json.loads(run("score", "--json", "-", "--until", "2026-11-25").stdout)["notes"] == 1


def test_sample_and_its_score(two: list[str], run: Callable[..., Result], add_note: Add, tmp_path: Path) -> None:
    add_note()
    out = tmp_path / "week.jsonl"
    drawn = run("sample", "--week", "2026-W48", "--out", out)
    assert drawn.exit_code == 0
    assert "3 of 3 notes" in drawn.stderr
    assert "progress_note" in drawn.stdout
    result = run("score", "--sample", out, "--json", tmp_path / "figures.json")
    assert "2 of 3 notes of the sample are finished" in result.stdout
    assert json.loads((tmp_path / "figures.json").read_text())["sample"] == {"notes": 3, "finished": 2}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("export", "--out", "x", "--since", "2026-11-02", "--until", "2026-11-01"), "must end after"),
        (("sample", "--out", "x", "--week", "2026-W99"), "no ISO week"),
        (("sample", "--out", "x", "--week", "2026-W48", "--days", 3), "not both"),
        (("score", "--data", "absent.jsonl"), "absent.jsonl"),
    ],
)
def test_faults_are_one_line(
    database: Database,
    run: Callable[..., Result],
    arguments: tuple[object, ...],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert said in result.stderr
    assert list(tmp_path.glob("*x*")) == []


def test_a_file_that_fails_halfway_stays_as_it_was(
    two: list[str], run: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(record: object) -> str:
        raise OSError("the disk is full")

    out = tmp_path / "notes.jsonl"
    out.write_text("before", encoding="utf-8")
    monkeypatch.setattr("gateway.feedback.export.to_line", fail)
    assert run("export", "--out", out).exit_code == 2
    assert out.read_text(encoding="utf-8") == "before"
    assert [path.name for path in tmp_path.glob("*notes*")] == ["notes.jsonl"]
