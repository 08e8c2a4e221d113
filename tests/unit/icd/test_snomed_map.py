"""The map from SNOMED CT: which rule holds for whom, which rows count, and how targets are written."""

from collections.abc import Callable
from pathlib import Path

import pytest

from clincode.errors import ResourceError
from clincode.icd import Terminology
from clincode.icd.snomed_map import (
    REFERENCE_SET,
    AgeLimit,
    Rule,
    Sex,
    SnomedMap,
    parse_rule,
    read_snomed_names,
    snomed_names,
)
from clincode.icd.source_files import code_of_release

HEADER = (
    "id\teffectiveTime\tactive\tmoduleId\trefsetId\treferencedComponentId\tmapGroup\tmapPriority\tmapRule\tmapAdvice"
    "\tmapTarget\tcorrelationId\tmapCategoryId"
)
AGE = "IFA 445518008 | Age at onset of clinical finding (observable entity) |"
FEMALE = "IFA 248152002 | Female (finding) |"
MALE = "IFA 248153007 | Male (finding) |"
OTHER_CONCEPT = "IFA 214264003 | Lethargy (finding) |"

Row = tuple[str, int, int, str, str]
Write = Callable[..., Path]


def row(number: int, fields: Row, *, active: str = "1", refset: str = REFERENCE_SET) -> str:
    concept, group, priority, rule, target = fields
    advice = f"ALWAYS {target} | CONSIDER LATERALITY SPECIFICATION"
    return "\t".join(
        [
            f"00000000-0000-0000-0000-{number:012}",
            "20260301",
            active,
            "5991000124107",
            refset,
            concept,
            str(group),
            str(priority),
            rule,
            advice,
            target,
            "447561005",
            "447637006",
        ]
    )


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def make(*rows: Row, more: str = "", header: str = HEADER) -> Path:
        path = tmp_path / "der2_iisssccRefset_ExtendedMapSnapshot_US1000124_20260301.txt"
        lines = [header, *(row(number, fields) for number, fields in enumerate(rows))]
        path.write_text("\r\n".join(lines) + "\r\n" + more, encoding="utf-8")
        return path

    return make


@pytest.fixture
def load(write: Write, terminology: Terminology) -> Callable[..., SnomedMap]:
    return lambda *rows, more="": SnomedMap.load(write(*rows, more=more), terminology)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("TRUE", ()),
        ("OTHERWISE TRUE", ()),
        ("", ()),
        (FEMALE, (Sex(True),)),
        (MALE, (Sex(False),)),
        (f"{AGE} < 18.0 years", (AgeLimit("<", 18),)),
        (f"{AGE} >= 12.0 years AND {AGE} < 19.0 years", (AgeLimit(">=", 12), AgeLimit("<", 19))),
        (f"{AGE} > 6 months AND {FEMALE}", (AgeLimit(">", 0.5), Sex(True))),
        (f"{AGE} <= 1.0 year", (AgeLimit("<=", 1),)),
        (f"{AGE} <= 28.0 days", (AgeLimit("<=", 28 / 365.25),)),
        (f"{AGE} < 2.0 weeks", (AgeLimit("<", 14 / 365.25),)),
        ("IFA 424144002 | Current chronological age (observable entity) | >= 65.0 years", (AgeLimit(">=", 65),)),
        (OTHER_CONCEPT, None),
        (f"{OTHER_CONCEPT} AND {AGE} >= 65.0 years", None),
        (f"{AGE} < 18.0 fortnights", None),
        ("IFA 72514003 | Pain score (observable entity) | >= 4.0 years", None),
        ("IF THE MOON IS FULL", None),
    ],
)
def test_rule(text: str, rule: Rule | None) -> None:
    assert parse_rule(text) == rule


@pytest.mark.parametrize(
    ("compare", "holds"),
    [
        ("<", (True, False, False)),
        ("<=", (True, True, False)),
        (">", (False, False, True)),
        (">=", (False, True, True)),
    ],
)
def test_age_limit_below_at_and_above(compare: str, holds: tuple[bool, ...]) -> None:
    limit = AgeLimit(compare, 18)
    assert tuple(limit.holds(age, None) for age in (17.9, 18, 18.1)) == holds
    assert not limit.holds(None, None)


@pytest.mark.parametrize(
    ("age", "female", "codes"),
    [
        (None, None, ("I10",)),
        (0.01, None, ("P29.2",)),
        (28 / 365.25, None, ("I10",)),
        (40.0, True, ("I10",)),
    ],
)
def test_first_rule_by_priority_that_holds_for_the_age(
    load: Callable[..., SnomedMap], age: float | None, female: bool | None, codes: tuple[str, ...]
) -> None:
    """The rows of hypertension, in the wrong order."""
    hypertension = load(
        ("38341003", 1, 2, "OTHERWISE TRUE", "I10"),
        ("38341003", 1, 1, f"{AGE} < 28.0 days", "P29.2"),
    )
    assert hypertension.targets("38341003", age_years=age, female=female) == codes


@pytest.mark.parametrize(("female", "codes"), [(True, ("N97.9",)), (False, ("N46.9",)), (None, ())])
def test_sex_decides_and_unknown_sex_gives_no_code_where_the_map_has_none(
    load: Callable[..., SnomedMap], female: bool | None, codes: tuple[str, ...]
) -> None:
    """Infertility: the last row says that it cannot be classified without the sex."""
    infertility = load(
        ("8619003", 1, 1, FEMALE, "N97.9"), ("8619003", 1, 2, MALE, "N46.9"), ("8619003", 1, 3, "OTHERWISE TRUE", "")
    )
    assert infertility.targets("8619003", female=female) == codes
    assert infertility.dropped == 0


def test_groups_hold_together_in_their_order(load: Callable[..., SnomedMap]) -> None:
    both = load(
        ("71421000119105", 2, 1, "TRUE", "N18.9"),
        ("71421000119105", 1, 1, "TRUE", "I12.9"),
        ("71421000119105", 3, 1, "TRUE", "I12.9"),
        ("38341003", 1, 1, "TRUE", "I10"),
    )
    assert both.targets("71421000119105") == ("I12.9", "N18.9")
    assert len(both) == 2


def test_rule_on_another_concept_never_holds(load: Callable[..., SnomedMap]) -> None:
    energy = load(
        ("248274002", 1, 1, f"{OTHER_CONCEPT} AND {AGE} >= 65.0 years", "R54"),
        ("248274002", 1, 2, "OTHERWISE TRUE", "R53.83"),
    )
    assert energy.targets("248274002", age_years=80) == ("R53.83",)
    assert energy.undecided == 1


def test_only_active_rows_of_the_map_to_icd_10_cm_count(load: Callable[..., SnomedMap]) -> None:
    retired = row(90, ("22298006", 3, 1, "TRUE", "I21.3"), active="0")
    who = row(91, ("22298006", 2, 1, "TRUE", "R69"), refset="447562003")
    infarction = load(("22298006", 1, 1, "TRUE", "I21.9"), more=f"{retired}\n{who}\n")
    assert infarction.targets("22298006") == ("I21.9",)


def test_code_that_the_release_has_not_is_dropped_and_nothing_takes_its_place(load: Callable[..., SnomedMap]) -> None:
    """The rule after it is for other patients, so its code would be wrong for these."""
    dead = load(("22298006", 1, 1, FEMALE, "I21.Q"), ("22298006", 1, 2, "OTHERWISE TRUE", "I21.9"))
    assert dead.targets("22298006", female=True) == ()
    assert dead.targets("22298006", female=False) == ("I21.9",)
    assert dead.dropped == 1


@pytest.mark.parametrize("concept", ["", "22298006x", "99999999", "1", "9" * 19, "²²²²²²²"])
def test_unknown_concept_has_no_code(load: Callable[..., SnomedMap], concept: str) -> None:
    assert load(("22298006", 1, 1, "TRUE", "I21.9")).targets(concept) == ()


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("I21.9", "I21.9"),
        ("I219", "I21.9"),
        (" i10 ", "I10"),
        ("I21", "I21"),
        ("I21.X", "I21"),
        ("S52.501A", "S52.501A"),
        ("S52501A", "S52.501A"),
        ("S52.501?", "S52.501"),
        ("S00.00X?", "S00.00"),
        ("T36.0X1?", "T36.0X1"),
        ("T36.0X1A", "T36.0X1A"),
        ("W19.XXX?", "W19"),
        ("W19XXXA", "W19.XXXA"),
        ("S52.501Z", None),
        ("I20-I25", None),
        ("Chapter 9", None),
        ("I21.Q", None),
        ("?", None),
        ("", None),
    ],
)
def test_code_as_others_write_it(terminology: Terminology, written: str, code: str | None) -> None:
    assert code_of_release(written, terminology) == code


def test_placeholder_leads_to_the_code_above_which_is_not_billable(
    load: Callable[..., SnomedMap], terminology: Terminology
) -> None:
    (code,) = load(("263102004", 1, 1, "TRUE", "S52.501?")).targets("263102004")
    assert code == "S52.501"
    assert not terminology.is_billable(code)


def test_human_readable_table_has_more_columns(tmp_path: Path, terminology: Terminology) -> None:
    cells = row(1, ("22298006", 1, 1, "TRUE", "I21.9")).split("\t")
    path = tmp_path / "tls_Icd10cmHumanReadableMap_US1000124_20260301.tsv"
    header = HEADER.replace("Id\tmapGroup", "Id\treferencedComponentName\tmapGroup")
    path.write_text("\n".join([header, "\t".join([*cells[:6], "Myocardial infarction", *cells[6:]])]))
    assert SnomedMap.load(path, terminology).targets("22298006") == ("I21.9",)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (("heart", 1, 1, "TRUE", "I21.9"), ":3: expected a SNOMED CT identifier"),
        (("22298006", -1, 1, "TRUE", "I21.9"), ":3: expected a SNOMED CT identifier, and whole numbers"),
        (("22298006", 1, 70_000, "TRUE", "I21.9"), ":3: expected a SNOMED CT identifier, and whole numbers"),
        (("22298006", 1, 1, "TRUE\tTRUE", "I21.9"), ":3: 14 columns, the header has 13"),
    ],
)
def test_malformed_row_is_named_by_line(write: Write, terminology: Terminology, fields: Row, message: str) -> None:
    path = write(("38341003", 1, 1, "TRUE", "I10"), fields)
    with pytest.raises(ResourceError, match=message):
        SnomedMap.load(path, terminology)


def test_full_release_is_refused(write: Write, terminology: Terminology) -> None:
    again = row(0, ("38341003", 1, 1, "TRUE", "I15.9"), active="0")
    path = write(("38341003", 1, 1, "TRUE", "I10"), more=again)
    with pytest.raises(ResourceError, match=r":3: .*take the Snapshot"):
        SnomedMap.load(path, terminology)


def test_international_file_is_refused(write: Write, terminology: Terminology) -> None:
    path = write(more=row(0, ("38341003", 1, 1, "TRUE", "I10"), refset="447562003"))
    with pytest.raises(ResourceError, match=f"no active row of reference set {REFERENCE_SET}"):
        SnomedMap.load(path, terminology)


def test_missing_file_and_other_header_say_what_is_needed(
    tmp_path: Path, write: Write, terminology: Terminology
) -> None:
    with pytest.raises(ResourceError, match=r"absent\.txt: .*no such file.*UMLS licence"):
        SnomedMap.load(tmp_path / "absent.txt", terminology)
    with pytest.raises(ResourceError, match=r":1: the header has no mapRule, mapTarget; .*UMLS licence"):
        SnomedMap.load(write(header=HEADER.replace("mapRule", "x").replace("mapTarget", "y")), terminology)


def test_dictionary_is_mapped_by_the_map(load: Callable[..., SnomedMap], tmp_path: Path) -> None:
    path = tmp_path / "names.tsv"
    path.write_text("term\tsnomedct\ncardiac silence\t22298006\nnothing known\t11111111\nloud vessels\t38341003\n")
    snomed_map = load(
        ("22298006", 1, 1, "TRUE", "I21.9"), ("22298006", 2, 1, "TRUE", "I25.2"), ("38341003", 1, 1, "TRUE", "I10")
    )
    assert list(snomed_names(read_snomed_names(path), snomed_map)) == [
        ("cardiac silence", "I21.9"),
        ("cardiac silence", "I25.2"),
        ("loud vessels", "I10"),
    ]


@pytest.mark.parametrize("line", ["\t22298006", "cardiac silence\tI21.9", "cardiac silence"])
def test_malformed_dictionary_is_named_by_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "names.tsv"
    path.write_text(f"term\tsnomedct\nfine\t22298006\n{line}\n")
    with pytest.raises(ResourceError, match=r"names\.tsv:3: "):
        list(read_snomed_names(path))
