"""``clincode codes``: what it prints of a code and of words, and how it ends."""

import json

import pytest
from click.testing import Result
from typer.testing import CliRunner

from cli.main import app
from clincode.errors import ResourceError

RELEASE = "ICD-10-CM April 2026"


def run(*arguments: str) -> Result:
    # Wide enough that no line is broken.
    return CliRunner().invoke(app, ["codes", *arguments], env={"COLUMNS": "250"})


def answer(*arguments: str) -> dict[str, object]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, object] = json.loads(result.stdout)
    return found


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (
            ["starvation", "edema"],
            [f"{RELEASE}: starvation edema", "│ E43 ", "severe protein-calorie malnutrition", "✓", "Starvation edema"],
        ),
        (["pnuemonia", "--limit", "1"], ["│ J18.9 ", "Pneumonia, unspecified organism"]),
        (["heart attack"], ["│ I21.9 ", "heart attack"]),
        # The start of codes, and brackets that are no markup.
        (["B3", "--limit", "400"], ["B35.9", "B37.9"]),
        (["giardiasis"], ["Giardiasis [lambliasis]"]),
        (["ankle sprain", "--limit", "1"], ["│ S93.4 ", "│     5 │"]),
        (["S52.5", "--billable"], ["│ S52.501A ", "✓"]),
    ],
)
def test_words_and_beginnings_give_a_table(arguments: list[str], lines: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    assert [line for line in lines if line not in result.stdout] == []


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        (
            "e1122",
            [
                f"{RELEASE}, E11.22: billable",
                "Chapter 4  Endocrine, nutritional and metabolic diseases (E00-E89)",
                "  › E08-E13  Diabetes mellitus (E08-E13)",
                "    › E11  Type 2 diabetes mellitus",
                "      › E11.2  Type 2 diabetes mellitus with kidney complications",
                "        › E11.22  Type 2 diabetes mellitus with diabetic chronic kidney disease",
                "use additional",
                "  code to identify stage of chronic kidney disease (N18.1-N18.6)",
                "  code to identify control using:  (at E11)",
                "excludes1 (never coded together)",
                "  gestational diabetes (O24.4-)  (at E11)",
            ],
        ),
        (
            "I21",
            [
                f"{RELEASE}, I21: not billable, a code below may be",
                "  cardiac infarction",
                "code also",
                "  the presence of hypertension (I10-I1A)  (at I20-I25)",
                "below",
                "  I21.9  Acute myocardial infarction, unspecified  ✓",
                "  I21.0  ST elevation (STEMI) myocardial infarction of anterior wall",
            ],
        ),
        (
            "S52.501",
            [
                f"{RELEASE}, S52.501: billable with a 7th character",
                "7th characters",
                "  A  initial encounter for closed fracture",
                "notes",
                "  A fracture not indicated as open or closed should be coded to closed  (at S52)",
            ],
        ),
        ("I20-I25", [f"{RELEASE}, I20-I25: not billable, a code below may be", "  I20  Angina pectoris"]),
        ("R65.20", ["inclusion terms", "  Severe sepsis NOS", "code first"]),
    ],
)
def test_a_code_is_shown_with_all_that_the_list_says(code: str, lines: list[str]) -> None:
    result = run(code)
    assert result.exit_code == 0, result.output
    said = [line.rstrip() for line in result.stdout.splitlines()]
    assert [line for line in lines if line not in said] == []


def test_json_of_words() -> None:
    found = answer("type 2 diabetes", "--limit", "2", "--billable")
    assert (found["release"], found["query"]) == ("April 2026", "type 2 diabetes")
    hits = found["hits"]
    assert isinstance(hits, list)
    assert [set(hit) for hit in hits] == [{"code", "title", "term", "billable", "children", "score"}] * 2
    assert hits[0]["code"] == "E11.9"
    assert all(hit["billable"] for hit in hits)


def test_json_of_a_code() -> None:
    found = answer("S52.501A")
    assert (found["code"], found["billable"], found["children"]) == ("S52.501A", True, [])
    hierarchy = [each["code"] for each in found["hierarchy"]]  # type: ignore[attr-defined]
    assert hierarchy == ["Chapter 19", "S50-S59", "S52", "S52.5", "S52.50", "S52.501", "S52.501A"]
    assert {"at": "S52", "text": "traumatic amputation of forearm (S58.-)"} in found["excludes1"]  # type: ignore[operator]
    assert found["inclusion_terms"] == []
    base = answer("S52.501")
    assert list(base["seventh_characters"]) == list("ABCDEFGHJKMNPQRS")  # type: ignore[call-overload]
    assert [child["code"] for child in base["children"]][:2] == ["S52.501A", "S52.501B"]  # type: ignore[attr-defined]


def test_inclusion_terms_are_not_inherited_and_other_notes_are() -> None:
    found = answer("E11.21")
    assert [each["at"] for each in found["inclusion_terms"]] == ["E11.21"] * 3  # type: ignore[attr-defined]
    places = [each["at"] for each in found["excludes1"]]  # type: ignore[attr-defined]
    assert places[0] == "E11"
    assert set(places) <= {each["code"] for each in found["hierarchy"]}  # type: ignore[attr-defined]


@pytest.mark.parametrize("arguments", [["zzzz"], ["Z99.99"], ["Z99.99", "--json"], [""], ["zzzz", "--billable"]])
def test_nothing_found_is_said_and_ends_with_1(arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("error: no ")
    assert f"of {RELEASE} fits '{arguments[0]}'" in result.stderr


@pytest.mark.parametrize("arguments", [[], ["pain", "--limit", "0"]])
def test_a_wrong_call_ends_with_2(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


def test_a_list_that_cannot_be_read_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise ResourceError("no list here")

    monkeypatch.setattr("cli.codes._terminology", missing)
    result = run("pain")
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", "error: no list here\n")
