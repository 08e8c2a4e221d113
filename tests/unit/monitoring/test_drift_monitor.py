"""The monitor: alerts with their since, state over a restart, and what must never stand in it."""

import json
import math
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from drift_samples import MONDAY, NEW, OLD, WEEK, small_reference, types_of
from hypothesis import given
from hypothesis import strategies as st

from clincode.phi.names import name_lists
from monitoring.drift.answers import Answers, outside_share, stability_index
from monitoring.drift.labels import LabelWeek
from monitoring.drift.monitor import WEEKS, DriftMonitor, week_of
from monitoring.drift.reference import Reference, read_reference
from monitoring.drift.sources import files_of, read_notes
from monitoring.drift.store import read_label_weeks, read_state, write_state


@pytest.fixture(scope="module")
def reference() -> Reference:
    return small_reference()


def observe(
    monitor: DriftMonitor, notes: int, text: str = OLD, at: datetime = MONDAY, types: list[str] | None = None
) -> None:
    for number in range(notes):
        found = types if types is not None else types_of(number)
        monitor.observe(text, found, [0.9] * len(found), "progress_note", at, 0.8)


def test_nothing_is_said_of_nothing(reference: Reference) -> None:
    report = DriftMonitor(reference).report(MONDAY)
    assert (report.word_kl, report.types, report.window_notes, list(report.alerts)) == (None, None, 0, [])
    assert report.labels.verdict == "too_few"


def test_the_same_notes_are_no_alert(reference: Reference) -> None:
    monitor = DriftMonitor(reference)
    observe(monitor, 1200)
    report = monitor.report(MONDAY + WEEK)
    assert list(report.alerts) == []
    assert report.word_kl is not None
    assert report.word_kl < 0.01
    assert report.types is not None
    assert (report.week, report.types.notes) == ("2026-W48", 1200)
    assert set(report.types_by_note_type) == {"progress_note"}
    assert report.entities_per_note[0] == pytest.approx(report.entities_per_note[1], abs=0.02)


def test_other_words_are_an_alert_since_they_were_seen_and_until_they_are_gone(reference: Reference) -> None:
    monitor = DriftMonitor(reference, window_notes=2000, buckets=4)
    observe(monitor, 1500)
    observe(monitor, 500, NEW, MONDAY + timedelta(hours=1))
    observe(monitor, 500, NEW, MONDAY + timedelta(hours=2))
    (alert,) = monitor.report(MONDAY + timedelta(hours=3)).alerts
    assert (alert.kind, alert.limit) == ("words", 0.15)
    assert alert.value > 0.15
    assert alert.since.startswith("2026-11-23T09:00")
    observe(monitor, 2000)
    assert list(monitor.report(MONDAY + timedelta(hours=4)).alerts) == []


def test_few_notes_are_no_alert_of_words(reference: Reference) -> None:
    monitor = DriftMonitor(reference)
    observe(monitor, 999, NEW)
    assert list(monitor.report(MONDAY).alerts) == []
    observe(monitor, 1, NEW)
    assert [alert.kind for alert in monitor.report(MONDAY).alerts] == ["words"]


def test_types_are_tested_when_the_week_is_over(reference: Reference) -> None:
    monitor = DriftMonitor(reference)
    for week in range(3):
        types = ["PROCEDURE", "PROCEDURE", "ANATOMY"] if week else None
        observe(monitor, 150, at=MONDAY + week * WEEK, types=types)
    observe(monitor, 1, at=MONDAY + 2 * WEEK)  # notes that are all alike would not be tested
    assert list(monitor.report(MONDAY + WEEK).alerts) == []
    report = monitor.report(MONDAY + 3 * WEEK)
    (alert,) = report.alerts
    assert (alert.kind, alert.limit, alert.since) == ("types", 0.01, "2026-W49")
    assert report.types is not None
    assert alert.value == report.types.p < 0.01 < report.types.cramers_v


def test_labels_are_an_alert_since_their_week(reference: Reference) -> None:
    monitor = DriftMonitor(reference)
    monitor.label_weeks = [LabelWeek("2026-W47", 0.79, 0.7, 0.85, 300), LabelWeek("2026-W48", 0.78, 0.7, 0.85, 300)]
    (alert,) = monitor.report(MONDAY + WEEK).alerts
    assert (alert.kind, alert.value, alert.limit, alert.since, alert.advice) == (
        "labels", 0.78, 0.80, "2026-W47", "retrain"
    )  # fmt: skip


def test_weeks_that_are_kept_are_bounded(reference: Reference) -> None:
    monitor = DriftMonitor(reference)
    for week in range(30):
        observe(monitor, 2, at=MONDAY + week * WEEK)
    observe(monitor, 2, at=MONDAY)  # long over
    meta = json.loads(monitor.state()["meta"].tobytes())
    assert len(meta["weeks"]) == WEEKS
    assert monitor.observed == 62


def test_a_restart_loses_nothing(reference: Reference, tmp_path: Path) -> None:
    whole, before = (DriftMonitor(reference, window_notes=2000, buckets=4) for _ in range(2))
    for monitor in (whole, before):
        observe(monitor, 1400)
        observe(monitor, 700, NEW, MONDAY + timedelta(hours=1))
    write_state(tmp_path / "drift.npz", before.state())
    after = DriftMonitor(reference, window_notes=2000, buckets=4)
    state = read_state(tmp_path / "drift.npz")
    assert state is not None
    after.restore(state)
    for monitor in (whole, after):
        observe(monitor, 300, NEW, MONDAY + WEEK)
    at = MONDAY + WEEK + timedelta(hours=1)
    assert after.report(at).to_json() == whole.report(at).to_json()
    assert after.report(at).alerts
    assert after.observed == whole.observed == 2400


def test_no_word_of_a_note_stands_in_state_or_report_but_the_vocabulary(reference: Reference, tmp_path: Path) -> None:
    monitor = DriftMonitor(reference)
    for _ in range(50):
        monitor.observe(f"{OLD} Hrothgar kvothe 5550199", ["DIAGNOSIS"], [0.5], "progress_note", MONDAY)
    write_state(tmp_path / "drift.npz", monitor.state())
    kept = read_state(tmp_path / "drift.npz")
    assert kept is not None
    content = (
        b"".join(array.tobytes() for array in kept.values()) + json.dumps(monitor.report(MONDAY).to_json()).encode()
    )
    for hidden in (b"hrothgar", b"kvothe", b"5550199"):
        assert hidden not in content.lower()
    assert set(kept) == {"meta", "window_ring", "window_notes", "window_at"}
    text = kept["meta"].tobytes().decode()
    assert not any(word in text for word in ("pneumonia", "ceftriaxone"))  # counts have places, not names


def test_a_state_is_the_owners_alone_and_replaced_whole(reference: Reference, tmp_path: Path) -> None:
    path = tmp_path / "kept" / "drift.npz"
    write_state(path, DriftMonitor(reference).state())
    write_state(path, DriftMonitor(reference).state())
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["drift.npz"]


def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(reference: Reference, tmp_path: Path) -> None:
    monitor = DriftMonitor(reference)
    observe(monitor, 10)
    other = monitor.state()
    meta = other["meta"].tobytes().replace(b'"vocabulary": "', b'"vocabulary": "x')
    changes = [
        {"meta": np.frombuffer(b"{}", dtype=np.uint8)},
        {"meta": np.frombuffer(b"no json", dtype=np.uint8)},
        {"window_ring": np.zeros((2, 2))},
        {"meta": np.frombuffer(meta, dtype=np.uint8)},
    ]
    for change in changes:
        with pytest.raises(ValueError, match=r"state|format|reference|window|JSON|Expecting"):
            monitor.restore({**other, **change})
    assert monitor.observed == 10
    assert read_state(tmp_path / "none.npz") is None
    (tmp_path / "bad.npz").write_bytes(b"PK no zip")
    with pytest.raises(ValueError, match="not a state"):
        read_state(tmp_path / "bad.npz")


def test_an_answer_of_unknown_types_is_refused_and_nothing_counted(reference: Reference) -> None:
    monitor = DriftMonitor(reference)
    for types, note_type in ((["GENE"], "progress_note"), (["TEST"], "letter")):
        with pytest.raises(KeyError):
            monitor.observe(OLD, types, [0.5], note_type, MONDAY)
    assert (monitor.observed, monitor.report(MONDAY).window_notes) == (0, 0)


def test_a_reference_without_answers_watches_words_alone() -> None:
    monitor = DriftMonitor(small_reference(answers=0))
    observe(monitor, 200)
    report = monitor.report(MONDAY + WEEK)
    assert (report.types, report.confidence_psi) == (None, None)
    assert report.word_kl is not None


def test_a_reference_is_the_same_from_its_file(reference: Reference, tmp_path: Path) -> None:
    path = tmp_path / "reference.json"
    path.write_text(json.dumps(reference.to_json()))
    again = read_reference(path)
    assert again.to_json() == reference.to_json()
    path.write_text("[]")
    with pytest.raises(ValueError, match="not a reference"):
        read_reference(path)


def test_the_reference_that_is_shipped_names_ordinary_words_alone(root: Path) -> None:
    reference = read_reference(root / "config" / "drift-reference.json")
    words = reference.words.vocabulary.words
    assert len(words) > 3000
    assert reference.answers is not None
    assert reference.answers.notes >= 400
    lists = name_lists()
    assert [word for word in words if lists.is_listed(word) or any(char.isdigit() for char in word)] == []
    assert (root / "config" / "drift-reference.json").stat().st_size < 100_000


@pytest.mark.parametrize(
    ("text", "spans", "share"),
    [
        ("acute chest pain today", [(6, 16)], 0.5),
        ("pain, none", [(0, 4)], 0.5),
        ("aa aa aa", [(3, 5)], 2 / 3),
        ("none here", [], 1.0),
        (" \n", [], None),
        ("short", [(0, 99)], 0.0),
    ],
)
def test_words_outside(text: str, spans: list[tuple[int, int]], share: float | None) -> None:
    assert outside_share(text, spans) == (share if share is None else pytest.approx(share))


@given(st.lists(st.floats(0, 1), max_size=50))
def test_confidences_fall_into_bins(confidences: list[float]) -> None:
    answers = Answers()
    answers.add(["TEST"] * len(confidences), confidences, "progress_note")
    assert answers.confidences.sum() == len(confidences)
    assert Answers.from_json(json.loads(json.dumps(answers.to_json()))).to_json() == answers.to_json()


def test_the_stability_index_by_hand() -> None:
    p, q = (10.5 / 31, 20.5 / 31), (20.5 / 31, 10.5 / 31)
    by_hand = sum((a - b) * math.log(a / b) for a, b in zip(p, q, strict=True))
    assert stability_index(np.array([10, 20]), np.array([20, 10])) == pytest.approx(by_hand)
    assert stability_index(np.array([0, 0]), np.array([20, 10])) is None


def test_weeks_are_of_utc() -> None:
    assert week_of(MONDAY) == "2026-W48"
    assert week_of(datetime.fromisoformat("2026-11-23T00:30+02:00")) == "2026-W47"
    assert week_of(datetime.fromisoformat("2027-01-01T12:00+00:00")) == "2026-W53"


def test_weekly_scores_are_read_by_their_names(tmp_path: Path) -> None:
    micro = {"f1": 0.9, "interval": [0.85, 0.93], "predicted": 210}
    (tmp_path / "2026-W48.json").write_text(json.dumps({"entities_decided": {"micro": micro}}))
    (tmp_path / "notes.json").write_text("no json")
    assert read_label_weeks(tmp_path) == [LabelWeek("2026-W48", 0.9, 0.85, 0.93, 210)]
    assert read_label_weeks(tmp_path / "none") == []
    (tmp_path / "2026-W49.json").write_text("no json")
    with pytest.raises(ValueError, match="2026-W49"):
        read_label_weeks(tmp_path)


def test_sources_are_read_by_kind(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("One note.")
    (tmp_path / "b.tsv").write_text("Chest\tB-DIAG\npain\tI-DIAG\n\nNone\tO\n")
    suggested = {"type": "TEST", "start": 0, "end": 4, "confidence": 0.5, "key": "1"}
    lines = [
        {"text": "Film clear", "note_type": "operative_report", "entities_suggested": [suggested]},
        {"note_text": "No more", "answer": {"entities": []}},
    ]
    (tmp_path / "c.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "d.png").write_bytes(b"")
    files = files_of([tmp_path])
    assert [path.name for path in files] == ["a.txt", "b.tsv", "c.jsonl"]
    notes = [note for path in files for note in read_notes(path)]
    assert [note.text for note in notes] == ["One note.", "Chest pain", "None", "Film clear", "No more"]
    assert notes[3].note_type == "operative_report"
    assert notes[3].entities is not None
    assert notes[3].entities[0]["start_char"] == 0
    assert (notes[4].entities, notes[0].entities) == ([], None)


@pytest.mark.parametrize("line", ["{", "{}", '{"text": 1}', '{"text": "a", "note_type": "letter"}', "[]"])
def test_a_line_that_is_no_note_is_named_and_not_quoted(tmp_path: Path, line: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "secret"}\n' + line + "\n")
    with pytest.raises(ValueError, match=r"a\.jsonl:2: not a note$"):
        list(read_notes(path))


def test_other_kinds_of_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="neither"):
        files_of([tmp_path / "a.pdf"])
    with pytest.raises(OSError, match=r"a\.txt"):
        files_of([tmp_path / "a.txt"])
