"""Conditions that are coded together: pairs and their list, links that must be stated, what the table may not say."""

from bisect import bisect_left
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clincode.config import OWN_RULES, load_tsv_resource
from clincode.errors import ResourceError
from clincode.icd import Terminology
from clincode.icd.combinations import COLUMNS, COMBINATIONS_FILE, Combinations, Combined

HEADER = "\t".join(COLUMNS)


def never(one: str, other: str) -> bool:
    return False


def always(one: str, other: str) -> bool:
    return True


@pytest.fixture(scope="module")
def table(terminology: Terminology) -> Combinations:
    return Combinations(terminology)


@pytest.fixture(scope="module")
def rows(terminology: Terminology) -> tuple[tuple[dict[str, str], str, str], ...]:
    """Rows, each with the first billable code that begins as its first beginnings do."""
    billable = sorted(code for code in terminology if terminology.is_billable(code))

    def starting(cell: str) -> str:
        return billable[bisect_left(billable, cell.split(maxsplit=1)[0])]

    table = load_tsv_resource(COMBINATIONS_FILE, COLUMNS)
    return tuple((row, starting(row["first"]), starting(row["second"])) for row in table)


def _codes(combined: tuple[Combined, ...]) -> str:
    return " ".join(each.code for each in combined)


@pytest.mark.parametrize(
    ("listed", "answer"),
    [
        # hypertension with heart failure and kidney disease
        ("I10 I50.9", "I11.0 I50.9"),
        ("I50.22 I10", "I11.0 I50.22"),
        ("I10 I51.7", "I11.9"),
        ("I10 I51.81", "I10 I51.81"),
        ("I10 N18.30", "I12.9 N18.30"),
        ("I10 N18.5", "I12.0 N18.5"),
        ("I10 N18.6", "I12.0 N18.6"),
        ("I10 I50.9 N18.4", "I13.0 I50.9 N18.4"),
        ("I10 I50.33 N18.6", "I13.2 I50.33 N18.6"),
        ("I10 I51.7 N18.9", "I13.10 N18.9"),
        ("I10 N18.9 Z99.2", "I12.0 N18.6 Z99.2"),
        ("I10 I11.0 I50.9", "I11.0 I50.9"),
        ("I11.0 I12.9", "I13.0"),
        ("I10 N17.9", "I10 N17.9"),
        # coronary disease, heart failure, valves, rhythm
        ("I25.10 I20.0", "I25.110"),
        ("I25.10 I20.9", "I25.119"),
        ("I25.10 I20.89", "I25.118"),
        ("I25.10 I20.9 I20.0", "I25.110"),
        ("I25.810 I20.0", "I25.700"),
        ("I25.10 I21.4", "I25.10 I21.4"),
        ("I50.22 I50.32", "I50.42"),
        ("I50.21 I50.22", "I50.23"),
        ("I50.9 I50.22", "I50.22"),
        ("J81.0 I50.9", "I50.1"),
        ("J81.0 I50.23", "I50.23"),
        ("I34.0 I35.0", "I08.0"),
        ("I34.0 I07.1 I35.1", "I08.3"),
        ("I35.0 I35.1", "I35.2"),
        ("I45.10 I44.4", "I45.2"),
        # diabetes
        ("E11.9 N18.30", "E11.22 N18.30"),
        ("E10.9 N18.4", "E10.22 N18.4"),
        ("E13.9 N18.4", "E13.22 N18.4"),
        ("E11.9 G62.9", "E11.42"),
        ("E08.9 G62.9", "E08.42"),
        ("E11.9 E16.2", "E11.649"),
        ("E11.9 R73.9", "E11.65"),
        ("E11.9 K31.84", "E11.43 K31.84"),
        ("E11.9 H26.9", "E11.36"),
        ("E11.9 H25.13", "E11.9 H25.13"),
        ("E11.9 H35.00", "E11.319"),
        ("E11.9 H35.00 H35.81", "E11.311"),
        ("E11.3292 H35.81", "E11.3212"),
        ("E11.9 L97.511", "E11.621 L97.511"),
        ("E11.9 L97.211", "E11.622 L97.211"),
        ("E11.9 L89.152", "E11.9 L89.152"),
        ("E11.9 I73.9", "E11.51"),
        ("E11.9 I73.9 I96", "E11.52"),
        ("E11.9 I70.201", "E11.51 I70.201"),
        ("E11.9 M86.171", "E11.69 M86.171"),
        ("E11.9 I25.10", "E11.9 I25.10"),
        ("E11.9 N18.30 I10 G62.9 R73.9", "E11.22 E11.42 E11.65 I12.9 N18.30"),
        # blood, thyroid, lipids
        ("N18.4 D64.9", "D63.1 N18.4"),
        ("E05.90 E04.2", "E05.20"),
        ("E05.91 E04.0", "E05.01"),
        ("E78.00 E78.1", "E78.2"),
        ("D70.9 R50.9", "R50.81 D70.9"),
        # lungs
        ("J44.9 J20.9", "J44.0 J20.9"),
        ("J44.1 J18.9", "J44.0 J44.1 J18.9"),
        ("J44.9 J69.0", "J44.9 J69.0"),
        ("J44.9 J45.909", "J44.89"),
        ("J44.9 J45.40", "J44.89 J45.40"),
        ("J44.9 J43.9", "J43.9"),
        ("J43.9 J42", "J44.89"),
        ("J45.40 J45.901", "J45.41"),
        ("J10.1 J18.9", "J10.00"),
        ("J11.1 J13", "J11.08 J13"),
        ("A37.90 J18.9", "A37.91"),
        ("J85.2 J18.9", "J85.1"),
        ("J96.00 R09.02", "J96.01"),
        ("J96.01 J96.11", "J96.21"),
        # gut
        ("K57.30 K92.2", "K57.31"),
        ("K57.32 K63.0", "K57.20"),
        ("K57.32 K92.1 K63.1", "K57.21"),
        ("K25.9 K92.0", "K25.4"),
        ("K26.3 K92.1", "K26.0"),
        ("K26.9 K63.1", "K26.5"),
        ("K26.9 K92.2 K63.1", "K26.6"),
        ("K29.70 K92.0", "K29.71"),
        ("K50.90 K56.609", "K50.912"),
        ("K51.00 K62.5", "K51.011"),
        ("K50.10 K60.30", "K50.113 K60.30"),
        ("K40.90 K56.609", "K40.30"),
        ("K40.21 K56.609", "K40.01"),
        ("K43.2 K56.609 I96", "K43.1"),
        ("K35.80 K65.0", "K35.209"),
        ("K35.80 K65.0 K63.1", "K35.201"),
        ("K66.0 K56.600", "K56.51"),
        ("K80.20 K81.0", "K80.00"),
        ("K80.21 K81.1", "K80.11"),
        ("K80.20 K81.0 K81.1", "K80.12"),
        ("K80.20 K80.51 K81.0 K83.09", "K80.63"),
        ("K70.30 R18.8", "K70.31"),
        ("K74.60 R18.8", "K74.60 R18.8"),
        ("I85.00 K74.60", "I85.10 K74.60"),
        ("I85.00 K74.60 K92.0", "I85.11 K74.60"),
        # kidney and bladder
        ("N20.1 N13.30", "N13.2"),
        ("N20.1 N13.30 N10", "N13.6"),
        ("N40.0 R33.9", "N40.1 R33.9"),
        ("N40.0 R35.0 R35.1", "N40.1 R35.0 R35.1"),
        ("N30.00 R31.9", "N30.01"),
        ("N39.0 B96.20", "N39.0 B96.20"),
        ("N39.3 N39.41", "N39.46"),
        # arteries and veins with ulcers
        ("I70.201 L97.212", "I70.232 L97.212"),
        ("I70.212 L97.521", "I70.245 L97.521"),
        ("I70.201 L97.221", "I70.201 L97.221"),
        ("I70.221 I96", "I70.261"),
        ("I83.91 L97.312", "I83.013 L97.312"),
        ("I83.90 L97.222", "I83.022 L97.222"),
        ("I87.302 L97.929", "I87.312 L97.929"),
        # bones and back
        ("M81.0 M84.452A", "M80.052A"),
        ("M81.8 M48.56XD", "M80.88XD"),
        ("C79.51 M84.421A", "M84.521A C79.51"),
        ("M54.50 M54.31", "M54.41"),
        ("M51.26 M54.16", "M51.16"),
        ("M50.222 M54.12", "M50.122"),
        ("M47.812 G95.9", "M47.12"),
        # mind and nerves
        ("F03.90 R45.1", "F03.911"),
        ("F03.B0 R44.1", "F03.B2"),
        ("F03.911 R44.1", "F03.92 F03.911"),
        ("G30.9 F03.90", "F02.80 G30.9"),
        ("F03.A11 G30.9", "F02.A11 G30.9"),
        ("F03.90 G20.A1 R45.1", "F02.811 G20.A1"),
        ("F03.90 F41.9", "F03.90 F41.9"),
        ("G40.209 G40.919", "G40.219"),
        ("G40.309 G40.901", "G40.301"),
        ("G43.109 G43.919", "G43.119"),
        ("F40.00 F41.0", "F40.01"),
        ("F10.20 F10.10", "F10.20"),
        ("F10.20 F10.929", "F10.229"),
        ("F11.10 F11.93", "F11.13"),
        ("Z21 B59", "B20 B59"),
        ("R11.0 R11.10", "R11.2"),
        # pregnancy
        ("E11.9 Z33.1", "O24.119 E11.9"),
        ("E11.9 Z3A.09", "O24.111 E11.9 Z3A.09"),
        ("E10.9 Z3A.28", "O24.013 E10.9 Z3A.28"),
        ("I10 Z34.02", "O10.012"),
        ("I10 N18.9 Z3A.20", "I12.9 O10.212 O26.832 N18.9 Z3A.20"),
        ("D50.9 Z3A.14", "O99.012 D50.9 Z3A.14"),
        ("N39.0 Z33.1", "O23.40"),
        ("O10.012 O14.02", "O11.2 O10.012"),
        ("O24.419 Z79.4", "O24.414"),
    ],
)
def test_presumed(table: Combinations, listed: str, answer: str) -> None:
    assert _codes(table.combine(listed.split(), never)) == answer


@pytest.mark.parametrize(
    ("listed", "answer"),
    [
        ("C50.911 D64.9", "D63.0 C50.911"),
        ("A41.9 B96.20", "A41.51"),
        ("A41.9 B95.62", "A41.02"),
        ("A41.9 N17.9", "A41.9 R65.20 N17.9"),
        ("A41.9 N17.9 R65.21", "A41.9 R65.21 N17.9"),
        ("J18.9 B95.3", "J13"),
        ("J18.9 B96.1", "J15.0"),
        ("J18.9 U07.1", "J12.82 U07.1"),
        ("E11.9 E78.5", "E11.69 E78.5"),
        ("E11.9 I25.10", "E11.59 I25.10"),
        ("E11.9 N52.9", "E11.69 N52.1"),
        ("E10.9 E87.20", "E10.10"),
        ("D64.9 T45.1X5A", "D64.81 T45.1X5A"),
        ("D50.9 K25.4", "D50.0 K25.4"),
        ("K85.90 K80.20", "K85.10 K80.20"),
        ("K85.91 F10.20", "K85.21 F10.20"),
        ("K74.60 F10.20 R18.8", "K70.31 F10.20"),
        ("K72.90 R40.20", "K72.91"),
        ("J90 C34.11", "J91.0 C34.11"),
        ("R18.8 C56.1", "R18.0 C56.1"),
        ("I63.9 I65.22", "I63.232"),
        ("I69.30 G81.91", "I69.351"),
        ("I69.30 G81.91 R13.10 R47.01", "I69.320 I69.351 I69.391 R13.10"),
        ("I27.20 J44.9", "I27.23 J44.9"),
        ("M81.0 S72.144A", "M80.051A"),
        ("M32.9 N05.9", "M32.14"),
        ("L40.0 M19.90", "L40.0 L40.50"),
        ("M10.071 N18.30", "M10.371 N18.30"),
        ("F03.90 F41.9", "F03.94"),
        ("F10.239 F05", "F10.231"),
        ("G62.9 F10.20", "G62.1 F10.20"),
        ("B02.9 M79.2", "B02.29"),
        ("M51.26 M54.50 M54.31", "M51.16"),
    ],
)
def test_stated(table: Combinations, listed: str, answer: str) -> None:
    assert sorted(_codes(table.combine(listed.split(), always)).split()) == sorted(answer.split())
    assert _codes(table.combine(listed.split(), never)) != answer


def test_open_fracture_is_no_pathological_one(table: Combinations) -> None:
    assert _codes(table.combine(["M81.0", "S72.001B"], always)) == "M81.0 S72.001B"


def test_parts_are_what_the_note_listed(table: Combinations) -> None:
    assert table.combine(["N18.4", "E11.9", "I10", "K21.9", "I50.9"], never) == (
        Combined("E11.22", ("N18.4", "E11.9")),
        Combined("I13.0", ("N18.4", "I10", "I50.9")),
        Combined("N18.4", ("N18.4",)),
        Combined("K21.9", ("K21.9",)),
        Combined("I50.9", ("I50.9",)),
    )


def test_what_a_code_says_already_is_part_of_it(table: Combinations) -> None:
    assert table.combine(["I10", "I11.0"], never) == (Combined("I11.0", ("I10", "I11.0")),)


def test_one_direction_is_enough_and_made_codes_are_related_by_their_parts(table: Combinations) -> None:
    def related(one: str, other: str) -> bool:
        return (one, other) in {("N05.9", "M32.9"), ("F10.20", "K74.60")}

    assert _codes(table.combine(["M32.9", "N05.9"], related)) == "M32.14"
    assert _codes(table.combine(["K74.60", "F10.20", "R40.20"], related)) == "K70.30 F10.20 R40.20"


def test_related_is_asked_of_the_notes_own_codes(table: Combinations) -> None:
    asked: set[str] = set()

    def related(one: str, other: str) -> bool:
        asked.update((one, other))
        return True

    listed = ["A41.9", "B96.20", "N17.9", "E11.9", "E78.5", "K74.60", "F10.20"]
    table.combine(listed, related)
    assert asked
    assert asked <= set(listed)


def test_unknown_and_repeated_codes(table: Combinations) -> None:
    assert table.combine([], never) == ()
    assert _codes(table.combine(["X", "I10", "Q99.99", "I10"], never)) == "X I10 Q99.99"


def test_every_row_makes_one_code_of_both(
    terminology: Terminology, table: Combinations, rows: tuple[tuple[dict[str, str], str, str], ...]
) -> None:
    for row, first, second in rows:
        answer = table.combine([first, second], always)
        assert any(set(each.parts) == {first, second} or each.code == row["together"] for each in answer), row
        assert all(terminology.is_billable(each.code) for each in answer), row


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_billable_gives_billable_in_any_order_and_again(
    terminology: Terminology,
    table: Combinations,
    rows: tuple[tuple[dict[str, str], str, str], ...],
    data: st.DataObject,
) -> None:
    pairs = data.draw(st.lists(st.sampled_from(rows), max_size=6))
    listed = [code for _, *pair in pairs for code in pair]
    related = data.draw(st.sampled_from([never, always]))
    answer = table.combine(listed, related)
    codes = {each.code for each in answer}
    assert len(codes) == len(answer)
    assert all(terminology.is_billable(code) for code in codes)
    assert {part for each in answer for part in each.parts} == set(listed)
    shuffled = table.combine(data.draw(st.permutations(listed)), related)
    assert {(each.code, frozenset(each.parts)) for each in shuffled} == {
        (each.code, frozenset(each.parts)) for each in answer
    }
    assert {each.code for each in table.combine(sorted(codes), related)} == codes


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("I10\tZ90.9\tI11.0\tnone\tassumed", "'Z90.9' starts no code of ICD-10-CM April 2026"),
        ("I10 I77\tQ00 Z0Z\tI11.0\tnone\tassumed", "'Z0Z' starts no code"),
        ("I00-I99\tQ00\tI11.0\tnone\tassumed", "'I00-I99' starts no code"),
        ("I77\tQ00\tI11\tnone\tassumed", "together is 'I11', no billable code"),
        ("I77\tQ00\tI14.*\tnone\tassumed", "together is 'I14.*', no billable code of ICD-10-CM April 2026 for 'I77'"),
        ("I77\tQ00\tI11.0\tthird\tassumed", "keeps is 'third', must be one of first, second, both, none"),
        ("I77\tQ00\tI11.0\tnone\tguessed", "linked is 'guessed', must be assumed or stated"),
        ("I77\tQ00\tfirst\tboth\tassumed", "together is 'first' itself, so keeps must be none"),
        ("I50\tI10\tI11.0\tsecond\tassumed", "'I50' with 'I10' stands there twice"),
        ("\tI10\tI11.0\tsecond\tassumed", "both codes must be named"),
    ],
)
def test_faulty_row_is_named(
    terminology: Terminology, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: str, fault: str
) -> None:
    (tmp_path / COMBINATIONS_FILE).write_text(f"{HEADER}\n{row}\n", encoding="utf-8")
    monkeypatch.setenv(OWN_RULES, str(tmp_path))
    first, second = row.split("\t")[:2]
    with pytest.raises(ResourceError) as caught:
        Combinations(terminology)
    assert str(caught.value).startswith(f"{COMBINATIONS_FILE}: '{first}' with '{second}': ")
    assert fault in str(caught.value)


def test_own_rows_count_too(terminology: Terminology, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = f"{HEADER}\nM17 M16\tE66.01\tM15.9\tfirst\tstated\n"
    (tmp_path / COMBINATIONS_FILE).write_text(own, encoding="utf-8")
    monkeypatch.setenv(OWN_RULES, str(tmp_path))
    assert _codes(Combinations(terminology).combine(["M17.11", "E66.01"], always)) == "M15.9 M17.11"
