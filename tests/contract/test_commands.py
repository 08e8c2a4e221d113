"""The console script, on the released model: what it reads, prints, writes and how it ends."""

import json
import uuid
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from cli.models import bundle_of

runner = CliRunner()
NOTE = "HPI: Denies chest pain.\r\nStarted aspirin 81mg for acute myocardial infarction. 🤒"


@pytest.fixture(scope="module", autouse=True)
def _bundle() -> None:
    bundle_of(None)


def request(**changes: object) -> str:
    note = {"note_id": str(uuid.uuid4()), "note_text": NOTE, "note_type": "progress_note", **changes}
    return json.dumps(note)


def entity(answer: dict[str, list[dict[str, object]]], text: str) -> dict[str, object]:
    return next(e for e in answer["entities"] if e["text"] == text)


def test_predict_answers_a_text_with_offsets_of_the_file_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "note.txt"
    file.write_bytes(NOTE.encode())
    result = runner.invoke(app, ["predict", str(file)])
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    for found in answer["entities"]:
        assert NOTE[found["start_char"] : found["end_char"]] == found["text"]
    assert entity(answer, "acute myocardial infarction")["icd_codes"][0]["code"] == "I21.9"  # type: ignore[index]
    assert entity(answer, "aspirin 81mg")["type"] == "MEDICATION"
    pain = entity(answer, "chest pain")
    assert (pain["is_negated"], pain["negation_trigger"], pain["section"]) == (
        True,
        "Denies",
        "HISTORY_OF_PRESENT_ILLNESS",
    )
    assert [code["code"] for code in answer["codes"]] == ["I21.9"]
    assert answer["codes"][0]["evidence"] == [answer["entities"].index(entity(answer, "acute myocardial infarction"))]


def test_predict_reads_standard_input() -> None:
    result = runner.invoke(app, ["predict", "-"], input="Denies fever.")
    assert result.exit_code == 0, result.output
    assert entity(json.loads(result.stdout), "fever")["is_negated"] is True


def test_a_bad_line_has_its_error_in_its_place(tmp_path: Path) -> None:
    file = tmp_path / "requests.jsonl"
    lines = [request(), "{", request(note_text=""), request(note_text="Has gout.")]
    file.write_text("\n".join(lines), encoding="utf-8")
    result = runner.invoke(app, ["predict", str(file), "--jsonl"])
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 1
    assert ["error" in answer for answer in answers] == [False, True, True, False]
    assert answers[1]["error"]["code"] == "invalid_json"
    assert answers[2]["error"]["field"] == "note_text"
    assert answers[3]["note_id"] == json.loads(lines[3])["note_id"]


def test_predict_refuses_an_empty_text() -> None:
    result = runner.invoke(app, ["predict", "-"], input="")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["error"]["field"] == "note_text"


IOB2 = "He\tO\nhad\tO\nfever\tB-DIAG\n.\tO\n\nGiven\tO\naspirin\tB-MED\n.\tO\n\n"


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.tsv"
    path.write_text(IOB2, encoding="utf-8")
    return path


@pytest.mark.parametrize("options", [[], ["--dictionary", "{corpus}"], ["--dictionary", "{corpus}", "--rules"]])
def test_evaluate_ner_writes_the_contracts_figures(tmp_path: Path, corpus: Path, options: list[str]) -> None:
    out = tmp_path / "figures.json"
    extra = [option.format(corpus=corpus) for option in options]
    arguments = ["evaluate", "ner", "--format", "iob2", "--data", str(corpus), "--json", str(out), *extra]
    result = runner.invoke(app, arguments)
    assert result.exit_code == 0, result.output
    figures = json.loads(out.read_text())
    assert figures["n"] == 2
    assert figures["micro"] == {"precision": 1.0, "recall": 1.0, "f1": 1.0, "interval": [1.0, 1.0]}
    assert set(figures["per_type"]["DIAGNOSIS"]) == {"precision", "recall", "f1", "n", "interval"}
    assert set(figures["per_type"]) == {"DIAGNOSIS", "PROCEDURE", "MEDICATION", "ANATOMY", "TEST"}
    assert "DIAGNOSIS" in result.stdout


def test_baselines_are_scored_beside(tmp_path: Path, corpus: Path) -> None:
    out = tmp_path / "figures.json"
    arguments = ["evaluate", "ner", "--data", str(corpus), "--compare", str(corpus), "--json", str(out)]
    result = runner.invoke(app, arguments)
    assert result.exit_code == 0, result.output
    baselines = json.loads(out.read_text())["baselines"]
    assert list(baselines) == ["dictionary", "rules"]
    assert all(scores["micro"]["f1"] == 1.0 for scores in baselines.values())
    assert "micro, rules" in result.stdout


@pytest.mark.parametrize(("options", "has_text"), [([], False), (["--examples"], True)])
def test_the_report_is_one_file_and_holds_text_only_on_demand(
    tmp_path: Path, corpus: Path, options: list[str], has_text: bool
) -> None:
    data, run, report = tmp_path / "data.tsv", tmp_path / "run", tmp_path / "report.html"
    data.write_text("The\tO\nzorvadine\tB-MED\nhelped\tO\n\n", encoding="utf-8")
    run.mkdir()
    (run / "metrics.jsonl").write_text('{"epoch": 1, "loss": 0.5, "devel_f1": 0.6, "seconds": 3.0}\n')
    inputs = ["--data", str(data), "--dictionary", str(corpus), "--compare", str(corpus), "--run", str(run)]
    result = runner.invoke(app, ["evaluate", "ner", *inputs, "--report", str(report), *options])
    assert result.exit_code == 0, result.output
    html = report.read_text(encoding="utf-8")
    assert html.count("<img ") == 5
    assert ("zorvadine" in html) is has_text


def test_the_guideline_is_recognised_and_other_types_left_out(tmp_path: Path) -> None:
    corpus, out = tmp_path / "corpus.tsv", tmp_path / "figures.json"
    corpus.write_text("fever\tB-Disease\nfrom\tO\naspirin\tO\n\n", encoding="utf-8")
    result = runner.invoke(app, ["evaluate", "ner", "--data", str(corpus), "--json", str(out)])
    assert result.exit_code == 0, result.output
    assert set(json.loads(out.read_text())["per_type"]) == {"DIAGNOSIS"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate", "ner", "--data", "absent.tsv"], "absent.tsv: no such file"),
        (["evaluate", "ner", "--data", "{broken}"], "broken.tsv:2:"),
        (["evaluate", "ner", "--data", "{corpus}", "--guideline", "genes"], "no guideline 'genes'"),
        (["evaluate", "ner", "--data", "{corpus}", "--model", "absent"], "absent: no such folder"),
        (["evaluate", "ner", "--data", "{corpus}", "--rules"], "--rules needs --dictionary"),
        (["evaluate", "ner", "--data", "{corpus}", "--examples"], "need --report"),
        (["evaluate", "ner", "--data", "{corpus}", "--run", "absent"], "need --report"),
        (["evaluate", "assertion", "--data", "{corpus}"], "corpus.tsv:1:"),
        (["predict", "absent.txt"], "absent.txt"),
    ],
)
def test_what_a_user_can_mend_is_one_line(tmp_path: Path, corpus: Path, arguments: list[str], message: str) -> None:
    broken = tmp_path / "broken.tsv"
    broken.write_text("a\tO\nb\n", encoding="utf-8")
    result = runner.invoke(app, [part.format(corpus=corpus, broken=broken) for part in arguments])
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.output


def test_evaluate_assertion_writes_the_contracts_figures(tmp_path: Path) -> None:
    data, out = tmp_path / "a.tsv", tmp_path / "figures.json"
    data.write_text(
        "concept\tsentence\tnegation\ttemporality\texperiencer\n"
        "fever\tDenies FEVER.\tNegated\tRecent\tPatient\n"
        "gout\tHistory of GOUT.\tAffirmed\tHistorical\tPatient\n"
        "stroke\tMother had STROKE.\tAffirmed\tRecent\tOther\n",
        encoding="utf-8",
    )
    result = runner.invoke(app, ["evaluate", "assertion", "--data", str(data), "--json", str(out)])
    assert result.exit_code == 0, result.output
    figures = json.loads(out.read_text())
    assert set(figures) == {"negated", "historical", "family"}
    assert all(row == {"precision": 1.0, "recall": 1.0, "f1": 1.0, "accuracy": 1.0} for row in figures.values())


def test_evaluate_assertion_scores_the_baseline_on_negation_alone(tmp_path: Path) -> None:
    data, out = tmp_path / "a.tsv", tmp_path / "figures.json"
    data.write_text(
        "concept\tsentence\tnegation\ttemporality\texperiencer\n"
        "fever\tDenies FEVER.\tNegated\tRecent\tPatient\n"
        "gout\tHe has GOUT.\tAffirmed\tRecent\tPatient\n"
        "stroke\tThe sentence was cut.\tAffirmed\tRecent\tPatient\n",
        encoding="utf-8",
    )
    result = runner.invoke(app, ["evaluate", "assertion", "--data", str(data), "--baseline", "--json", str(out)])
    assert result.exit_code == 0, result.output
    assert json.loads(out.read_text()) == {"negated": {"precision": 1.0, "recall": 1.0, "f1": 1.0, "accuracy": 1.0}}


def test_evaluate_phi_reads_several_paths_and_counts_touched_entities(tmp_path: Path) -> None:
    folder, lines, out = tmp_path / "notes", tmp_path / "notes.jsonl", tmp_path / "figures.json"
    folder.mkdir()
    (folder / "a.txt").write_text("Comes for a cough.", encoding="utf-8")
    entities = [{"start": 4, "end": 10, "type": "DIAGNOSIS"}, {"start": 18, "end": 23, "type": "DIAGNOSIS"}]
    lines.write_text(json.dumps({"text": "Dr. Okafor hears a cough.", "entities": entities}), encoding="utf-8")
    arguments = ["--data", str(folder), "--data", str(lines), "--entities", str(lines), "--json", str(out)]
    result = runner.invoke(app, ["evaluate", "phi", *arguments])
    assert result.exit_code == 0, result.output
    figures = json.loads(out.read_text())
    assert figures["notes"] == 2
    assert set(figures["per_source"]) == {str(folder), str(lines)}
    assert {"recall", "direct_recall", "precision", "n", "per_category"} <= set(figures)
    loss = figures["entity_loss"][str(lines)]
    assert (loss["touched"], loss["entities"], loss["gold"]) == (1, 2, True)
