"""Codes that stand together on one note: what notes exclude, what goes first, side, encounter, trimester, symptoms."""

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clincode.config import OWN_RULES, load_tsv_resource
from clincode.errors import ResourceError
from clincode.icd import Terminology
from clincode.icd.code_ranges import CodeRange, references
from clincode.icd.conventions import UNSPECIFIED_TRIMESTER, Conventions, Encounter, Healing
from clincode.icd.integral import INTEGRAL_FILE
from clincode.icd.sided_titles import Side
from clincode.icd.terminology import TabularList, is_group

SIDES: tuple[Side, ...] = ("right", "left", "bilateral", "unspecified")
KINDS: tuple[Encounter, ...] = ("initial", "subsequent", "sequela")
HEALINGS: tuple[Healing, ...] = ("routine", "delayed", "nonunion", "malunion")
NOTES = ("excludes1", "code_first", "use_additional")
MISPRINTED = {"G31.90", "R10.4"}
"""Codes that the list names and does not have."""


@pytest.fixture(scope="module")
def conventions(terminology: Terminology) -> Conventions:
    return Conventions(terminology)


@pytest.fixture(scope="module")
def codes(terminology: Terminology) -> tuple[str, ...]:
    return tuple(terminology)


# -- references --


@pytest.mark.parametrize(
    ("note", "ranges"),
    [
        ("diabetes mellitus due to underlying condition (E08.-)", [("E08", "E08")]),
        ("diabetes mellitus (E10.-, E11.-)", [("E10", "E10"), ("E11", "E11")]),
        ("gestational diabetes (O24.4-)", [("O24.4", "O24.4")]),
        ("hypertension (I10-I1A)", [("I10", "I1A")]),
        ("multiple sclerosis (G35-)", [("G35", "G35")]),
        ("Escherichia coli infection (A04.0-A04.4)", [("A04.0", "A04.4")]),
        ("pancreatitis (K85-K86.-)", [("K85", "K86")]),
        ("infarction (I63.3-I63.5-)", [("I63.3", "I63.5")]),
        ("atherosclerosis of the extremities (I70.2--I70.7-)", [("I70.2", "I70.7")]),
        ("apnea of newborn (P28.3- - P28.4-)", [("P28.3", "P28.4")]),
        ("rheumatoid arthritis by site, if known (M05.00 to M05.8A)", [("M05.00", "M05.8A")]),
        ("behavioral eating disorders of infancy (F98.2.-F98.3)", [("F98.2", "F98.3")]),
        ("disease complicating pregnancy (O10-O11, O13-O16)", [("O10", "O11"), ("O13", "O16")]),
        ("abscess with Crohn's disease (K50.014, K50.114,)", [("K50.014", "K50.014"), ("K50.114", "K50.114")]),
        ("meconium passage during delivery (P03.82 )", [("P03.82", "P03.82")]),
        ("torticollis NOS M43.6", [("M43.6", "M43.6")]),
        ("tendinitis as classified in M75-M77", [("M75", "M77")]),
        ("acquired absence of knee joint (Z89.52-", [("Z89.52", "Z89.52")]),
        ("excessive crying of infant (baby) R68.11", [("R68.11", "R68.11")]),
        ("pneumoconiosis with tuberculosis, any type in A15 (J65)", [("J65", "J65")]),
        ("vitamin B12 deficiency (E53.8)", [("E53.8", "E53.8")]),
        ("glucose-6-phosphate dehydrogenase (G6PD) deficiency without anemia (D75.A)", [("D75.A", "D75.A")]),
        ("nephritic syndrome (with C3 glomerulopathy)", []),
        ("code, if applicable, for codes G31.0-G31.83, G31.85-G31.9, to identify:", []),
        ("certain localized infections - see body system-related chapters", []),
    ],
)
def test_references(note: str, ranges: list[tuple[str, str]]) -> None:
    assert [(r.first, r.last) for r in references(note)] == ranges


@pytest.mark.parametrize(
    ("note", "held", "not_held"),
    [
        ("(E08.-)", ["E08", "E08.9", "E08.3211"], ["E09", "E0", "E07.9"]),
        ("(I10-I1A)", ["I10", "I15.9", "I1A.0"], ["I20", "I09.81", "H11", "I10-I1A", "Chapter 9"]),
        ("(C00-C49)", ["C00", "C43.9", "C4A.9", "C49.9"], ["C50", "C7A.00", "D03.9"]),
        ("(C43-C44)", ["C4A.30", "C44.91"], ["C45.0"]),
        ("(C00-C75)", ["C75.9"], ["C7A.1", "C7B.02", "C76.0"]),
        ("(M05-M14)", ["M1A.0710", "M14.60"], ["M15.0"]),
        ("(O94-O9A)", ["O9A.11", "O99.89"], ["O93", "P00.0"]),
        ("(A04.0-A04.4)", ["A04.0", "A04.3", "A04.4"], ["A04", "A04.5", "A04.72"]),
        ("(S06.1- to S06.6-)", ["S06.1X0A", "S06.6X9S"], ["S06.0X0A", "S06.811A"]),
        ("(F03.9-, F03.A-)", ["F03.90", "F03.A11"], ["F03.B0"]),
        ("(E08-E13 with .51-.52)", ["E11.51", "E08.52"], ["E11.59", "E11.9", "E11.5"]),
        ("(E08-E13 with .62-)", ["E10.621", "E13.628"], ["E10.69"]),
        ("see categories E08-E10, E11, E13 with ketoacidosis", ["E11.10", "E13.11"], ["E11.9", "E11.65"]),
        (
            "(T36-T50 with fifth or sixth character 5)",
            ["T36.0X5A", "T50.905A", "T36.95XA", "T39.015A"],
            ["T36.0X1A", "T36.91XA", "T39.016A", "T51.0X1A"],
        ),
        (
            "(T36-T65 with fifth or sixth character 1-4)",
            ["T36.0X1A", "T39.011A", "T36.94XA", "T51.0X4D"],
            ["T36.0X5A", "T39.015A", "T66.XXXA"],
        ),
        ("of medication (T36-T50) with fifth or sixth character 6", ["T38.3X6A"], ["T38.3X5A"]),
        ("(T43.1X with sixth character 1-4)", ["T43.1X1A"], ["T43.1X5A", "T43.011A"]),
        ("(F11-F19 with fifth to sixth characters 51)", ["F19.151"], ["F19.150", "F10.151"]),
        ("(F10-F19 with 5th character .6)", ["F10.26"], ["F10.20"]),
        ("(I69. with final characters -23)", ["I69.323", "I69.923"], ["I69.321", "I69.32"]),
        ("(S02.- with 7th character B)", ["S02.0XXB"], ["S02.0XXA"]),
        ("(S52.- with open fracture 7th character)", ["S52.501B", "S52.501M"], ["S52.501A", "S52.501D"]),
        ("(S92.-with 7th character B)", ["S92.001B"], ["S92.001A"]),
        ("leukemia in remission C91.0-C95.9 with 5th character 1", ["C91.01"], ["C91.00"]),
    ],
)
def test_range_holds(note: str, held: list[str], not_held: list[str]) -> None:
    ranges = references(note)
    assert [code for code in held if not any(r.holds(code) for r in ranges)] == []
    assert [code for code in not_held if any(r.holds(code) for r in ranges)] == []


def test_ranges_run_as_the_list_does(terminology: Terminology) -> None:
    """Of two categories that follow each other, no range of codes up to the first holds the second."""
    categories = [code for code in terminology.base_codes() if len(code) == 3 and code != "J4A"]
    for before, after in pairwise(categories):
        if before[0] == after[0]:
            assert CodeRange(before, after).holds(before), (before, after)
            assert CodeRange(before, after).holds(after), (before, after)
            assert not CodeRange(f"{before[0]}00", before).holds(after), (before, after)


def test_every_note_with_a_code_in_it_is_read_and_names_codes_of_the_release(
    terminology: Terminology, codes: tuple[str, ...]
) -> None:
    starts = {code[:n] for code in codes for n in range(3, len(code) + 1)}
    for code in (code for code in codes if len(code) < 8 or is_group(code)):
        entry = terminology[code]
        for note in (text for kind in NOTES for text in getattr(entry, kind)):
            ranges = references(note)
            assert ranges or not re.search(r"\([A-Z]\d[0-9A-Z][.\-)]", note), (code, note)
            unknown = {end for r in ranges for end in (r.first, r.last)} - starts - MISPRINTED
            assert not unknown, (code, note)


# -- excludes1 --


@pytest.mark.parametrize(
    ("code", "other", "words"),
    [
        ("R73.9", "E11.9", "diabetes mellitus"),
        ("K75.9", "B19.20", "viral hepatitis"),
        ("R52", "R10.9", "abdomen pain"),
        ("R56.9", "G40.909", "convulsions NOS"),
        ("K80.20", "K83.1", "with cholelithiasis"),
        ("N30.90", "N39.0", "cystitis"),
        ("N17.9", "N19", "acute kidney failure"),
        ("E87.20", "E11.10", "diabetic acidosis"),  # stands at E87.2
        ("I10", "P29.2", "neonatal hypertension"),  # stands at the block
        ("O26.891", "Z34.00", "supervision of normal pregnancy"),  # stands at the chapter
        ("E11.9", "E10.9", "type 2 diabetes"),
        ("S06.0X0A", "S06.5X0A", "concussion with other intracranial injuries"),
        ("I50.9", "I50.1", None),
        ("I10", "I50.9", None),
        ("E87.20", "E11.9", None),  # diabetes, but not with ketoacidosis
        ("J18.9", "J96.01", None),
        ("T88.7XXA", "I10", None),  # "specified adverse effects (A00-R94)"
        ("E11.9", "E11.9", None),
        ("I21.4", "I21", None),
    ],
)
def test_excludes1(conventions: Conventions, code: str, other: str, words: str | None) -> None:
    for note in (conventions.excludes1(code, other), conventions.excludes1(other, code)):
        assert note is None if words is None else note is not None and words in note


def test_a_note_above_both_excludes_what_it_names_from_the_rest(
    small_list: TabularList, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the block "infarction (I21.-)": it says nothing of two infarctions, nor of two codes of the rest."""
    monkeypatch.setattr("clincode.icd.integral.load_tsv_resource", lambda *_: [])
    tabular = replace(
        small_list,
        codes=("Chapter 9", "I20-I25", "I21", "I21.4", "I21.9", "I22", "I24"),
        titles=("Heart", "Ischemic", "Infarction", "One", "Another", "Further", "Other"),
        parents=(-1, 0, 1, 2, 2, 1, 1),
        extended={},
        notes={"excludes1": {"I20-I25": ["infarction (I21.-)"], "I22": ["the rest of its own (I22.-)"]}},
    )
    conventions = Conventions(Terminology(tabular))
    assert conventions.excludes1("I21.9", "I24") == conventions.excludes1("I24", "I21.9") == "infarction (I21.-)"
    assert conventions.excludes1("I21.9", "I21.4") is None
    assert conventions.excludes1("I22", "I24") is None


def test_a_note_above_both_in_the_list(conventions: Conventions) -> None:
    note = "unilateral condylar hyperplasia or hypoplasia (M27.8)"
    assert conventions.excludes1("M27.8", "M26.03") == note
    assert conventions.excludes1("M26.03", "M26.04") is None


def test_no_code_excludes_itself_or_what_it_stands_below(conventions: Conventions, terminology: Terminology) -> None:
    """D72, whose note names D72.824 below it, is among them."""
    for code in [*list(terminology.base_codes())[::23], "D72.824"]:
        for above in (code, *terminology.ancestors(code)):
            assert conventions.excludes1(code, above) is None


# -- sequence --


@pytest.mark.parametrize(
    ("code", "first"),
    [
        ("I50.9", "I11.0"),
        ("D63.1", "N18.6"),
        ("F02.80", "G30.9"),  # stands at F02
        ("N18.6", "I12.0"),
        ("R65.20", "A41.9"),
        ("L97.511", "E11.621"),
        ("E08.9", "K86.1"),
        ("T20.40XA", "T54.1X1A"),  # the extended code has its base's notes
    ],
)
def test_code_first(conventions: Conventions, code: str, first: str) -> None:
    assert any(r.holds(first) for r in conventions.code_first(code))
    assert not any(r.holds(code) for r in conventions.code_first(first))


@pytest.mark.parametrize(
    ("code", "additional"),
    [("E11.22", "N18.4"), ("J44.9", "F17.210"), ("I10", "F17.210"), ("E11.9", "Z79.4"), ("N40.1", "R33.8")],
)
def test_use_additional(conventions: Conventions, code: str, additional: str) -> None:
    assert any(r.holds(additional) for r in conventions.use_additional(code))
    assert not any(r.holds("J45.909") for r in conventions.use_additional(code))


@pytest.mark.parametrize(
    ("code", "manifestation"),
    [
        ("F02.80", True),
        ("G63", True),
        ("E20.811", True),  # by its title; its note has an "if known"
        ("D63.0", True),
        ("D63.1", True),
        ("H28", True),
        ("J91", True),  # "in conditions classified elsewhere", without a note
        ("E08.9", True),
        ("R65.20", True),
        ("J12.82", True),
        ("T20.40XA", True),
        ("I50.9", False),  # each of its notes is one cause of many
        ("A41.9", False),
        ("N18.6", False),
        ("J18.9", False),
        ("L97.511", False),
        ("K31.84", False),
        ("I82.401", False),
        ("B95.61", False),  # "as the cause of diseases classified elsewhere"
        ("E11.9", False),
    ],
)
def test_is_manifestation(conventions: Conventions, code: str, manifestation: bool) -> None:
    assert conventions.is_manifestation(code) is manifestation


# -- what is left open --


@pytest.mark.parametrize(
    ("code", "unspecified"),
    [
        ("J18.9", True),
        ("N19", True),  # "Unspecified kidney failure"
        ("S52.509A", True),
        ("O44.00", True),  # "… NOS or without hemorrhage, unspecified trimester"
        ("I10", False),
        ("E11.9", False),
        ("S52.511A", False),
        ("O36.0110", False),  # "first trimester, not applicable or unspecified"
    ],
)
def test_is_unspecified(conventions: Conventions, code: str, unspecified: bool) -> None:
    assert conventions.is_unspecified(code) is unspecified


@pytest.mark.parametrize(
    ("code", "side"),
    [
        ("S52.501A", "right"),
        ("S52.502A", "left"),
        ("S52.509A", "unspecified"),
        ("S52.509", "unspecified"),
        ("H25.13", "bilateral"),
        ("H25.10", "unspecified"),
        ("M17.0", "bilateral"),
        ("M17.10", "unspecified"),
        ("M79.603", "unspecified"),  # "Pain in arm, unspecified"
        ("M79.609", "unspecified"),  # "Pain in unspecified limb", beside arms and legs of a side
        ("M67.819", "unspecified"),  # of synovium and tendon, which no code of a side names together
        ("C50.919", "unspecified"),  # "of unspecified site of unspecified female breast"
        ("C50.911", "right"),  # "of unspecified site of right female breast"
        ("S60.00XA", "unspecified"),
        ("S37.009A", "unspecified"),
        ("E11.3291", "right"),  # the 7th character says it
        ("E11.3299", "unspecified"),
        ("H40.1190", "unspecified"),  # "stage unspecified" is not a side
        ("H40.1110", "right"),
        ("G81.91", "right"),
        ("H54.3", "bilateral"),  # "both eyes"
        ("N63.0", "unspecified"),
        ("R10.11", "right"),
        ("J18.9", None),
        ("I50.1", None),  # left ventricular failure
        ("I50.9", None),  # beside right heart failure
        ("I44.7", None),  # left bundle-branch block
        ("I21.11", None),  # right coronary artery
        ("K51.50", None),  # left sided colitis
        ("T81.500A", None),  # accidentally left in the body
        ("N19", None),  # unspecified kidney failure
        ("M25.50", None),  # which joint, not which side
        ("L03.90", None),
        ("L89.40", None),  # "… buttock and hip, unspecified stage"
        ("K57.90", None),
        ("S25.99XA", None),  # "of unspecified blood vessel of thorax"
        ("K25.2", None),  # "with both hemorrhage and perforation"
        ("H54.1131", None),  # a side for each of two conditions
        ("O36.0190", None),
    ],
)
def test_laterality(conventions: Conventions, code: str, side: Side | None) -> None:
    assert conventions.laterality(code) == side
    assert conventions.needs_laterality(code) is (side == "unspecified")


@pytest.mark.parametrize(
    ("code", "side", "sided"),
    [
        ("S52.509A", "right", "S52.501A"),
        ("S52.509A", "left", "S52.502A"),
        ("S52.509G", "left", "S52.502G"),
        ("S52.501A", "left", "S52.502A"),
        ("S52.501A", "unspecified", "S52.509A"),
        ("S52.501A", "right", "S52.501A"),
        ("S52.501A", "bilateral", None),
        ("S52.509", "left", "S52.502"),
        ("H25.10", "left", "H25.12"),
        ("H25.10", "bilateral", "H25.13"),
        ("H25.13", "right", "H25.11"),
        ("H65.00", "bilateral", "H65.03"),
        ("M17.10", "left", "M17.12"),
        ("M17.10", "bilateral", "M17.0"),
        ("M17.0", "right", "M17.11"),
        ("C50.919", "left", "C50.912"),
        ("C34.90", "right", "C34.91"),
        ("L97.909", "right", "L97.919"),
        ("I83.009", "left", "I83.029"),
        ("I83.813", "left", "I83.812"),
        ("M79.603", "right", "M79.601"),
        ("M79.609", "right", None),  # the right arm or the right leg
        ("S60.00XA", "right", None),  # which finger
        ("S62.629A", "right", None),  # the middle phalanx of a finger is not the middle finger
        ("S31.809A", "right", "S31.819A"),
        ("H02.529", "right", "H02.523"),  # "unspecified eye, unspecified lid", "right eye, unspecified eyelid"
        ("H60.00", "right", "H60.01"),  # "external ear, unspecified ear", "right external ear"
        ("N83.00", "left", "N83.02"),  # "of ovary, unspecified side", "of left ovary"
        ("N63.0", "right", "N63.10"),  # "right breast, unspecified quadrant"
        ("E11.3299", "left", "E11.3292"),
        ("H40.1190", "left", "H40.1120"),
        ("M1A.0190", "left", "M1A.0120"),
        ("G81.90", "right", "G81.91"),  # the dominant side
        ("G81.90", "left", "G81.94"),  # the other
        ("G81.91", "left", "G81.92"),
        ("I69.359", "right", "I69.351"),
        ("I69.359", "left", "I69.354"),
        ("C44.101", "right", None),  # the upper eyelid or the lower
        ("J18.9", "left", None),
        ("I50.9", "right", None),
        ("I50.1", "right", None),
        ("I21.11", "left", None),
        ("L03.90", "right", None),
        ("M25.50", "right", None),
    ],
)
def test_sided(conventions: Conventions, code: str, side: Side, sided: str | None) -> None:
    assert conventions.sided(code, side) == sided


def test_sides_mirror_each_other(conventions: Conventions, codes: tuple[str, ...]) -> None:
    """In the whole list, the left of the right of a code is the code."""
    mirrored = 0
    for code in codes[::41]:
        if conventions.laterality(code) == "left":
            right = conventions.sided(code, "right")
            assert right is not None
            assert conventions.sided(right, "left") == code
            mirrored += 1
    assert mirrored > 200


# -- 7th character --


@pytest.mark.parametrize(
    ("code", "encounter"),
    [
        ("S52.501A", "initial"),
        ("S52.501N", "subsequent"),
        ("S52.501S", "sequela"),
        ("M48.40XS", "sequela"),  # "sequela of fracture"
        ("W08.XXXS", "sequela"),
        ("S61.401D", "subsequent"),
        ("S52.501", None),
        ("O31.11X1", None),
        ("H40.1110", None),
        ("Z00.00", None),
        ("J18.9", None),
    ],
)
def test_encounter(conventions: Conventions, code: str, encounter: Encounter | None) -> None:
    assert conventions.encounter(code) == encounter


@pytest.mark.parametrize(
    ("code", "kind", "open_", "healing", "found"),
    [
        ("S52.501", "initial", False, "routine", "S52.501A"),
        ("S52.501D", "initial", True, "routine", "S52.501B"),
        ("S52.501A", "subsequent", False, "routine", "S52.501D"),
        ("S52.501A", "subsequent", False, "delayed", "S52.501G"),
        ("S52.501A", "subsequent", False, "nonunion", "S52.501K"),
        ("S52.501A", "subsequent", False, "malunion", "S52.501P"),
        ("S52.501A", "subsequent", True, "routine", "S52.501E"),
        ("S52.501A", "subsequent", True, "malunion", "S52.501Q"),
        ("S52.501B", "sequela", False, "routine", "S52.501S"),
        ("S42.001A", "subsequent", True, "nonunion", "S42.001K"),  # one character for open and closed
        ("S02.0XXA", "initial", True, "routine", "S02.0XXB"),
        ("S22.31XA", "subsequent", False, "malunion", None),
        ("M80.08XA", "initial", True, "routine", "M80.08XA"),
        ("S82.161A", "initial", True, "routine", None),  # a torus fracture
        ("S61.401A", "subsequent", False, "delayed", "S61.401D"),
        ("T84.010A", "sequela", False, "routine", "T84.010S"),
        ("W08.XXXA", "sequela", False, "routine", "W08.XXXS"),
        ("S52.5", "initial", False, "routine", None),
        ("O31.11X1", "initial", False, "routine", None),
        ("J18.9", "subsequent", False, "routine", None),
    ],
)
def test_with_encounter(
    conventions: Conventions, code: str, kind: Encounter, open_: bool, healing: Healing, found: str | None
) -> None:
    assert conventions.with_encounter(code, kind, open_=open_, healing=healing) == found


def test_an_open_fracture_is_of_type_iii_only_where_that_is_said(
    small_list: TabularList, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the order of the characters: here it is that of the gravest first."""
    monkeypatch.setattr("clincode.icd.integral.load_tsv_resource", lambda *_: [])
    meanings = {
        "C": "initial encounter for open fracture type IIIA, IIIB, or IIIC",
        "B": "initial encounter for open fracture type I or II",
        "A": "initial encounter for closed fracture",
    }
    conventions = Conventions(Terminology(replace(small_list, seventh=(meanings,), extended={"S52.5": (0, "CBA")})))
    assert conventions.with_encounter("S52.5", "initial") == "S52.5XXA"
    assert conventions.with_encounter("S52.5", "initial", open_=True) == "S52.5XXB"


# -- trimester --


@pytest.mark.parametrize(
    ("code", "trimester"),
    [
        ("O10.011", 1),
        ("O99.012", 2),
        ("O36.0130", 3),
        ("O26.899", UNSPECIFIED_TRIMESTER),
        ("Z34.80", UNSPECIFIED_TRIMESTER),
        ("O10.02", None),  # "complicating childbirth"
        ("O80", None),
        ("I10", None),
    ],
)
def test_trimester(conventions: Conventions, code: str, trimester: int | None) -> None:
    assert conventions.trimester(code) == trimester


@pytest.mark.parametrize(
    ("code", "trimester", "found"),
    [
        ("O10.019", 1, "O10.011"),
        ("O10.011", 3, "O10.013"),
        ("O10.011", UNSPECIFIED_TRIMESTER, "O10.019"),
        ("O10.011", 1, "O10.011"),
        ("O44.00", 2, "O44.02"),
        ("O36.0190", 2, "O36.0120"),  # the fetus stays
        ("O40.9XX2", 3, "O40.3XX2"),
        ("O14.03", 1, None),  # pre-eclampsia begins later
        ("O60.13X1", 3, "O60.14X1"),  # preterm labor second, delivery third trimester
        ("O60.12X1", 3, None),  # preterm labor and delivery in the second
        ("O10.02", 1, None),
        ("I10", 1, None),
    ],
)
def test_with_trimester(conventions: Conventions, code: str, trimester: int, found: str | None) -> None:
    assert conventions.with_trimester(code, trimester) == found


# -- every code of the release --


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_what_is_found_is_of_the_release_and_says_what_was_asked(
    terminology: Terminology, conventions: Conventions, codes: tuple[str, ...], data: st.DataObject
) -> None:
    code = codes[data.draw(st.integers(0, len(codes) - 1))]
    side, kind = data.draw(st.sampled_from(SIDES)), data.draw(st.sampled_from(KINDS))
    open_, healing = data.draw(st.booleans()), data.draw(st.sampled_from(HEALINGS))
    trimester = data.draw(st.integers(0, 3))
    sided = conventions.sided(code, side)
    met = conventions.with_encounter(code, kind, open_=open_, healing=healing)
    carried = conventions.with_trimester(code, trimester)
    for found in (sided, met, carried):
        if found is not None:
            assert found in terminology
            assert found[:3] == code[:3]
            assert terminology.is_billable(found) or not terminology.is_billable(code)
    assert sided is None or conventions.laterality(sided) == side
    assert met is None or conventions.encounter(met) == kind
    assert carried is None or conventions.trimester(carried) == trimester


@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_excludes1_is_the_same_both_ways(conventions: Conventions, codes: tuple[str, ...], data: st.DataObject) -> None:
    code, other = (codes[data.draw(st.integers(0, len(codes) - 1))] for _ in range(2))
    assert conventions.excludes1(code, other) == conventions.excludes1(other, code)


def test_a_code_of_no_release_is_a_key_error(conventions: Conventions) -> None:
    for ask in (conventions.laterality, conventions.code_first, conventions.trimester, conventions.encounter):
        with pytest.raises(KeyError):
            ask("A99.99")


# -- symptoms --


@pytest.mark.parametrize(
    ("symptom", "diagnoses", "explained_by"),
    [
        ("R05.9", ["I10", "J18.9"], "J18.9"),
        ("R06.02", ["I50.9", "J44.9"], "I50.9"),
        ("R07.9", ["I21.4"], "I21.4"),
        ("R10.31", ["K35.80"], "K35.80"),
        ("R50.9", ["N10"], "N10"),
        ("R11.2", ["K56.609"], "K56.609"),
        ("R51.9", ["G43.909"], "G43.909"),
        ("R73.9", ["E11.9"], "E11.9"),
        ("K92.1", ["K25.4"], "K25.4"),
        ("R42", ["H81.10"], "H81.10"),
        ("M25.561", ["M17.11"], "M17.11"),
        ("M25.561", ["M17.0"], "M17.0"),
        ("M25.561", ["M17.12"], None),  # the other knee
        ("M25.561", ["M16.11"], None),  # another joint
        ("M25.569", ["M17.12"], "M17.12"),
        ("M79.602", ["I82.402"], None),  # an arm, a leg
        ("R05.9", ["I10"], None),
        ("R05.9", [], None),
        ("R33.8", ["N40.1"], None),  # the list wants both
        ("R45.851", ["F32.9"], None),
        ("R31.9", ["N40.1"], None),
        ("R47.01", ["I63.9"], None),  # the deficits of a stroke are coded
        ("R18.8", ["K74.60"], None),
        ("K80.20", ["K80.20"], None),
        ("R05.9", ["J18.no such code"], "J18.no such code"),
    ],
)
def test_integral(conventions: Conventions, symptom: str, diagnoses: list[str], explained_by: str | None) -> None:
    assert conventions.integral(symptom, diagnoses) == explained_by


def test_integral_rows_are_many_and_none_is_idle() -> None:
    rows = [(row["symptom"], row["diagnosis"]) for row in load_tsv_resource(INTEGRAL_FILE, ("symptom", "diagnosis"))]
    assert len(rows) >= 250
    assert len(set(rows)) == len(rows)
    by_start: dict[str, list[tuple[str, str]]] = {}
    for row in rows:
        by_start.setdefault(row[0][:3], []).append(row)
    for symptom, diagnosis in rows:
        wider = [
            row
            for row in by_start[symptom[:3]]
            if row != (symptom, diagnosis) and symptom.startswith(row[0]) and diagnosis.startswith(row[1])
        ]
        assert not wider, f"{symptom} with {diagnosis} says nothing beside {wider}"


def test_no_row_says_integral_of_what_the_list_wants_coded_as_well(
    conventions: Conventions, terminology: Terminology
) -> None:
    """No symptom that a diagnosis' "use additional code" names, no diagnosis that a symptom's "code first" names."""
    rows = load_tsv_resource(INTEGRAL_FILE, ("symptom", "diagnosis"))
    prefixes = {row[column] for row in rows for column in row}
    below = {
        prefix: [code for code in (prefix, *terminology.descendants(prefix)) if len(code) < 8] for prefix in prefixes
    }
    for row in rows:
        symptoms, diagnoses = below[row["symptom"]], below[row["diagnosis"]]
        wanted = {r for code in diagnoses for r in conventions.use_additional(code)}
        assert not any(r.holds(code) for r in wanted for code in symptoms), row
        first = {r for code in symptoms for r in conventions.code_first(code)}
        assert not any(r.holds(code) for r in first for code in diagnoses), row


@pytest.mark.parametrize("row", ["R99.Z\tJ18", "R05\tJ18.99", "Chapter 9\tJ18", "J09-J18\tR05", "\tJ18"])
def test_a_row_that_starts_no_code_is_refused(
    terminology: Terminology, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: str
) -> None:
    (tmp_path / INTEGRAL_FILE).write_text(f"symptom\tdiagnosis\n{row}\n", encoding="utf-8")
    monkeypatch.setenv(OWN_RULES, str(tmp_path))
    with pytest.raises(ResourceError, match=INTEGRAL_FILE) as refused:
        Conventions(terminology)
    assert all(cell.strip() in str(refused.value) for cell in row.split("\t"))


def test_a_hospital_adds_rows_of_its_own(
    terminology: Terminology, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / INTEGRAL_FILE).write_text("symptom\tdiagnosis\nR18\tK74\nR1\tR18.0\n", encoding="utf-8")
    monkeypatch.setenv(OWN_RULES, str(tmp_path))
    conventions = Conventions(terminology)
    assert conventions.integral("R18.8", ["K74.60"]) == "K74.60"
    assert conventions.integral("R17", ["R18.0"]) == "R18.0"  # "R1" is no code and starts some
    assert conventions.integral("R18.0", ["R18.0"]) is None  # nothing explains itself
