"""The set that measures redaction: what is put in stands where it is said to, and the scores count what they say."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import pytest

from clincode.phi.patterns import CATEGORIES
from clincode.types import Redaction
from training.corpora import CorpusError
from training.evaluate_phi import evaluate_phi, flat_figures, score_redactions
from training.phi_loss import entity_loss
from training.phi_set import MarkedNote, background, marked_notes, note_key, own_identifiers, templates

NOTES = ["HPI: Comes for a cough.\nNo fever.", "Seen by Dr. Okafor.\nLungs are clear.", "Stable.", "Wound is dry."]


def test_the_lines_that_measure_are_not_those_that_tune() -> None:
    assert not set(templates("tuning")) & set(templates("test"))
    with pytest.raises(ValueError, match="'training'"):
        templates("training")


@pytest.mark.parametrize("purpose", ["tuning", "test"])
def test_every_category_is_put_in(purpose: str) -> None:
    marked = marked_notes(NOTES * 30, purpose=purpose, seed=1)
    assert {mark.category for note in marked for mark in note.identifiers} == set(CATEGORIES)


def test_a_marked_note_tells_where_its_identifiers_stand() -> None:
    first, again = (list(marked_notes(NOTES, purpose="test", seed=3)) for _ in range(2))
    assert first == again
    for note, text in zip(first, NOTES, strict=True):
        assert all(note.text[mark.start : mark.end].strip() for mark in note.identifiers)
        assert [line for line in note.text.split("\n") if line in text.split("\n")] == text.split("\n")
    assert sum(len(note.identifiers) for note in first) >= 48


def test_own_identifiers_move_with_their_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    judged = {note_key(NOTES[1]): ((12, 18),), note_key(NOTES[2]): ()}
    monkeypatch.setattr("training.phi_set.own_identifiers", lambda: judged)
    unknown, named, bare, _ = marked_notes(NOTES, purpose="test", seed=3)
    assert unknown.own is None
    assert bare.own == ()
    assert named.own is not None
    assert [named.text[start:end] for start, end in named.own] == ["Okafor"]


def test_judged_places_are_offsets_and_no_text() -> None:
    places = own_identifiers()
    assert len(places) > 200
    assert all(0 <= start < end for spans in places.values() for start, end in spans)


def test_notes_for_the_test_are_not_those_for_tuning(tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl"
    path.write_text("".join(json.dumps({"text": str(number)}) + "\n" for number in range(7)), encoding="utf-8")
    assert background(path, purpose="test", most=3) == ["0", "2", "4"]
    assert background(path, purpose="tuning", most=9) == ["1", "3", "5"]


TEXT = "Mr. Okafor, MRN: 0048-2913, met Qwx on 2019-05-02 with Linda Fields."


def mark(words: str, category: str) -> Redaction:
    start = TEXT.index(words)
    return Redaction(start, start + len(words), category)


@pytest.mark.parametrize(
    ("own", "precision"),
    [(None, None), ((), 2 / 4), (((mark("2019", "DATE").start, mark("2019", "DATE").end),), 3 / 4)],
)
def test_scores_of_redaction(own: tuple[tuple[int, int], ...] | None, precision: float | None) -> None:
    def redactor(_: str) -> Sequence[Redaction]:
        found = (("Okafor", "NAME"), ("0048-2913", "MRN"), ("2019-05-02", "DATE"), ("Linda Fields", "NAME"))
        return [mark(*item) for item in found]

    marks = (mark("Okafor", "NAME"), mark("0048-2913", "MRN"), mark("Qwx", "NAME"))
    scores = score_redactions([MarkedNote(TEXT, marks, own)], redactor)
    assert scores["n"] == 3
    assert scores["recall"] == scores["direct_recall"] == pytest.approx(2 / 3)
    assert scores["per_category"] == {"MRN": {"recall": 1.0, "n": 1}, "NAME": {"recall": 0.5, "n": 2}}
    assert scores["precision"] == precision


def test_half_an_identifier_is_not_found() -> None:
    marks = (mark("Linda Fields", "NAME"),)
    assert score_redactions([MarkedNote(TEXT, marks, ())], lambda _: [mark("Linda", "NAME")])["recall"] == 0.0


def test_several_paths_are_scored_together_and_each(tmp_path: Path) -> None:
    folder, lines = tmp_path / "notes", tmp_path / "notes.jsonl"
    folder.mkdir()
    for number, text in enumerate(NOTES):
        (folder / f"{number}.txt").write_text(text, encoding="utf-8")
    lines.write_text("".join(json.dumps({"text": text}) + "\n" for text in NOTES), encoding="utf-8")
    scores = evaluate_phi([folder, lines], most=1)
    assert scores["notes"] == 2
    assert [source["notes"] for source in scores["per_source"].values()] == [1, 1]
    assert sum(source["n"] for source in scores["per_source"].values()) == scores["n"]
    assert flat_figures(scores)["notes: recall"] == scores["per_source"][str(folder)]["recall"]


class Tagger:
    def tag(self, sentences: Sequence[Sequence[str]]) -> list[list[str]]:
        return [["B-DIAG" if word in ("cough", "Okafor") else "O" for word in words] for words in sentences]


def test_entities_that_redaction_touches_gold_or_found(tmp_path: Path) -> None:
    text = "Dr. Okafor heard no crackles.\n\nShe has a cough."
    gold, bare, broken = (tmp_path / f"{name}.jsonl" for name in ("gold", "bare", "broken"))
    entities = [{"start": 20, "end": 28, "type": "DIAGNOSIS"}, {"start": 4, "end": 10, "type": "TEST"}]
    gold.write_text(json.dumps({"text": text, "entities": entities}), encoding="utf-8")
    bare.write_text(json.dumps({"text": text}) + "\n", encoding="utf-8")
    broken.write_text(json.dumps({"note": text}), encoding="utf-8")
    of_gold, of_found = entity_loss(gold, Tagger), entity_loss(bare, Tagger)
    assert (of_gold["share"], of_gold["touched"], of_gold["entities"], of_gold["gold"]) == (0.5, 1, 2, True)
    assert of_gold["per_type"]["TEST"] == {"touched": 1, "entities": 1}
    assert (of_found["touched"], of_found["entities"], of_found["gold"]) == (1, 2, False)
    with pytest.raises(CorpusError, match=r"broken\.jsonl:1: "):
        entity_loss(broken, Tagger)


def test_entities_of_a_brat_folder(tmp_path: Path) -> None:
    (tmp_path / "1.txt").write_text("Dr. Okafor heard crackles.", encoding="utf-8")
    (tmp_path / "1.ann").write_text("T1\tSign_symptom 17 25\tcrackles\n", encoding="utf-8")
    assert entity_loss(tmp_path, Tagger)["per_type"] == {"DIAGNOSIS": {"touched": 0, "entities": 1}}


def test_findings_of_presidio_that_overlap_count_once(script: Callable[[str], ModuleType]) -> None:
    united = script("bench_phi").united
    spans = [(4, 9, "US_BANK_NUMBER"), (0, 3, "PERSON"), (4, 9, "US_PASSPORT"), (7, 12, "DATE_TIME")]
    assert list(united(spans)) == [Redaction(0, 3, "PERSON"), Redaction(4, 12, "US_BANK_NUMBER")]
