"""Data validation: each fault is found and named by file, line and id, and the text is never shown."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from training.corpora import GUIDELINES, read_jsonl
from training.pipeline.samples import check_line
from training.pipeline.shift import label_shift
from training.pipeline.validate import ROLES, Limits, Validation, validate, write_validation

TEXT = "Denies zebrafever. Given aspirin 81mg."


def entity(start: Any = 7, end: Any = 17, type: Any = "DIAGNOSIS", **more: Any) -> dict[str, Any]:
    return {"start": start, "end": end, "type": type, **more}


def note(id: Any = "n-1", text: Any = TEXT, entities: Any = None, **more: Any) -> dict[str, Any]:
    return {"id": id, "text": text, "entities": [entity()] if entities is None else entities, **more}


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in note().items() if key != name}


GOOD = [
    note(),
    note(entities=[]),
    note(entities=[entity(certainty="negated"), entity(25, 37, "MEDICATION")]),
    note(entities=[entity(7, 12), entity(12, 17)]),  # they touch
    note(text="🤒 fever", entities=[entity(2, 7)]),  # offsets are of code points
    note(text="Severe\npain", entities=[entity(0, 11)]),  # a wrapped line
    note(reviewers=["a"], extra=None),
]

BAD: list[tuple[Any, str, str]] = [
    (without("id"), "missing", "no 'id'"),
    (without("text"), "missing", "no 'text'"),
    (without("entities"), "missing", "no 'entities'"),
    (note(id=""), "missing", "'id' is empty"),
    (note(id=7), "schema", "'id' is no string"),
    (note(text=" \n", entities=[]), "missing", "'text' is empty"),
    (note(text=["zebrafever"]), "schema", "'text' is no string"),
    (note(text="half \ud83e of it", entities=[]), "schema", "half a character"),
    (note(entities={"a": 1}), "schema", "'entities' is no list"),
    (note(entities=["zebrafever"]), "schema", "entities[0] is no object"),
    (note(entities=[{"start": 1, "end": 2}]), "missing", "entities[0] has no type"),
    (note(entities=[entity(None, None)]), "missing", "entities[0] has no start, end"),
    (note(entities=[entity(end="17")]), "schema", "must be whole numbers"),
    (note(entities=[entity(end=17.0)]), "schema", "must be whole numbers"),
    (note(entities=[entity(start=True)]), "schema", "must be whole numbers"),
    (note(entities=[entity(9, 9)]), "span", "entities[0] is empty"),
    (note(entities=[entity(12, 9)]), "span", "entities[0] is empty"),
    (note(entities=[entity(-1, 5)]), "span", "does not lie in the text"),
    (note(entities=[entity(30, 99)]), "span", "does not lie in the text"),
    (note(entities=[entity(6, 17)]), "span", "white space"),
    (note(entities=[entity(7, 19)]), "span", "white space"),
    (note(entities=[entity(), entity(12, 20, "TEST")]), "span", "entities[0] and entities[1] overlap"),
    (note(entities=[entity(), entity()]), "span", "overlap"),
    (note(entities=[entity(type="Disease")]), "type", "entities[0].type is none of"),
    (note(entities=[entity(type=["DIAGNOSIS"])]), "type", "entities[0].type is none of"),
    (note(entities=[entity(certainty="absent")]), "schema", "certainty is none of"),
    ([1, 2], "schema", "no JSON object"),
    ("zebrafever", "schema", "no JSON object"),
    (b"{zebrafever", "schema", "no JSON"),
    (b'{"text": "\xff"}', "schema", "not UTF-8"),
    (b"[" * 100_000, "schema", "no JSON"),
]


def line_of(value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


@pytest.mark.parametrize("value", GOOD)
def test_what_training_reads_has_no_fault(value: Any, tmp_path: Path) -> None:
    assert check_line(line_of(value), "notes.jsonl", 3).faults == []
    (tmp_path / "notes.jsonl").write_bytes(line_of(value))
    assert read_jsonl(tmp_path / "notes.jsonl", GUIDELINES["clincode"])


@pytest.mark.parametrize(("value", "check", "reason"), BAD)
def test_a_fault_is_named_with_its_place_and_never_with_the_text(value: Any, check: str, reason: str) -> None:
    sample = check_line(line_of(value), "notes.jsonl", 3)
    assert [(fault.file, fault.line, fault.check) for fault in sample.faults] == [("notes.jsonl", 3, check)]
    assert reason in sample.faults[0].reason
    assert "zebrafever" not in repr(sample.faults)


def test_several_faults_of_a_note_are_all_named() -> None:
    value = note(id=None, entities=[entity(9, 9), entity(type="X"), entity(90, 99)])
    assert [fault.check for fault in check_line(line_of(value), "a", 1).faults] == ["missing", "span", "type", "span"]


def written(folder: Path, files: Mapping[str, list[Any]]) -> dict[str, list[Path]]:
    paths = {}
    for role, values in files.items():
        paths[role] = [folder / f"{role}.jsonl"]
        paths[role][0].write_bytes(b"\n".join(map(line_of, values)) + b"\n")
    return paths


def some(prefix: str, count: int, **more: Any) -> list[Any]:
    return [note(f"{prefix}-{i}", f"Denies zebrafever on day {prefix} {i}.", **more) for i in range(count)]


def checked(folder: Path, **files: list[Any]) -> tuple[Validation, dict[str, list[bytes]]]:
    all_files = {"old": some("o", 40), "devel": some("d", 5), "evaluation": some("e", 5), **files}
    return validate(written(folder, all_files))


def test_sound_data_pass_whole(tmp_path: Path) -> None:
    validation, usable = checked(tmp_path, new=some("n", 20), reviewed=some("r", 20))
    assert validation.passed
    assert validation.faults == ()
    assert [len(usable[role]) for role in ROLES] == [40, 20, 20, 5, 5]


def test_a_few_bad_samples_are_left_out(tmp_path: Path) -> None:
    validation, usable = checked(tmp_path, new=[*some("n", 19), b"{"])
    assert validation.passed  # 5% is not more than 5%
    assert len(usable["new"]) == 19
    assert [(fault.file, fault.line) for fault in validation.faults] == [("new.jsonl", 20)]


def test_more_stop_the_run_and_are_judged_file_by_file(tmp_path: Path) -> None:
    validation, _ = checked(tmp_path, new=[*some("n", 18), b"{"])  # 1 of 19; of all samples it would be 1 of 69
    assert validation.stops == ("new.jsonl (new): 1 of 19 samples fail (5.3%, limit 5.0%)",)


@pytest.mark.parametrize("role", ["new", "evaluation"])
def test_an_empty_file_stops_the_run(tmp_path: Path, role: str) -> None:
    validation, _ = checked(tmp_path, **{role: [b""]})
    assert f"{role}.jsonl ({role}) is empty" in validation.stops


@pytest.mark.parametrize("held", ["devel", "evaluation"])
def test_what_is_held_out_is_not_learnt_from(tmp_path: Path, held: str) -> None:
    leaked = note("n-x", f"  denies ZEBRAFEVER on day {held[0]}\n2.")  # case and white space do not hide it
    validation, usable = checked(tmp_path, new=[*some("n", 30), leaked])
    assert [(fault.check, fault.id, fault.reason) for fault in validation.faults] == [
        ("leakage", "n-x", f"text of {held}.jsonl:3, which is held out")
    ]
    assert len(usable["new"]) == 30
    assert len(usable[held]) == 5


def test_of_equal_notes_the_first_stays(tmp_path: Path) -> None:
    twice = [*some("n", 40), note("n-3", "Other text.", []), note("other", "Denies zebrafever on day o 7.")]
    validation, usable = checked(tmp_path, new=twice)
    assert [(fault.check, fault.line, fault.reason) for fault in validation.faults] == [
        ("duplicate", 41, "id of new.jsonl:4"),
        ("duplicate", 42, "text of old.jsonl:8"),
    ]
    assert len(usable["old"]) == len(usable["new"]) == 40


def test_another_distribution_of_labels_stops_the_run(tmp_path: Path) -> None:
    validation, _ = checked(tmp_path, new=some("n", 20, entities=[entity(type="TEST")]))
    assert len(validation.stops) == 1
    assert "1.000 from those of the old (total variation, limit 0.15" in validation.stops[0]


def test_two_notes_are_no_shift() -> None:
    old = [Counter(DIAGNOSIS=4, MEDICATION=2)] * 3 + [Counter(TEST=3)] * 3
    shift = label_shift(old, [Counter(TEST=3), Counter(TEST=2)])
    assert shift is not None
    assert shift.distance == pytest.approx(2 / 3, abs=0.1)
    assert not shift.exceeds(0.15, 0.01)


def test_the_distance_is_the_share_of_labels_that_are_others() -> None:
    old, new = [Counter(DIAGNOSIS=6, TEST=4)] * 50, [Counter(DIAGNOSIS=3, TEST=7)] * 50
    shift = label_shift(old, new)
    assert shift is not None
    assert shift.distance == pytest.approx(0.3)
    assert shift.p == pytest.approx(1 / 1000)
    assert shift.found["TEST"] == pytest.approx(0.7)


@pytest.mark.parametrize("side", [[], [Counter[str]()]])
def test_without_labels_there_is_nothing_to_compare(side: list[Counter[str]]) -> None:
    assert label_shift(side, [Counter(TEST=1)]) is None
    assert label_shift([Counter(TEST=1)], side) is None


def test_the_report_names_samples_and_shows_no_text(tmp_path: Path) -> None:
    bad = [note("<b>id", entities=[entity(9, 9)]), *some("n", 5)]
    validation, _ = checked(tmp_path, new=bad)
    for file in write_validation(validation, tmp_path / "out"):
        content = file.read_text(encoding="utf-8")
        assert "zebrafever" not in content
        assert "entities[0] is empty" in content
    assert "&lt;b&gt;id" in (tmp_path / "out" / "validation.html").read_text(encoding="utf-8")
    data = json.loads((tmp_path / "out" / "validation.json").read_text(encoding="utf-8"))
    assert data["passed"] is False
    assert list(data["faults"][0].values()) == ["new.jsonl", 1, "<b>id", "span", "entities[0] is empty"]


def test_limits_can_be_others(tmp_path: Path) -> None:
    files = written(tmp_path, {"old": [*some("o", 9), b"{"], "devel": some("d", 1), "evaluation": some("e", 1)})
    assert not validate(files)[0].passed
    assert validate(files, Limits(failing=0.1))[0].passed
