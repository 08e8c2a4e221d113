"""Identifiers are found where clinicians write them, and nothing clinical is taken for one."""

import itertools
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clincode.errors import ResourceError
from clincode.phi import find_identifiers, masked
from clincode.phi.patterns import CATEGORIES, default_patterns, parse_patterns


def found(text: str) -> list[tuple[str, str]]:
    return [(redaction.category, text[redaction.start : redaction.end]) for redaction in find_identifiers(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mr. Okafor was seen today.", [("NAME", "Okafor")]),
        ("Mrs. Day's husband Martin called.", [("NAME", "Day"), ("NAME", "Martin")]),
        ("Amelia Hastings, MD", [("NAME", "Amelia Hastings")]),
        ("Patient: HASTINGS, AMELIA R.   Room 4", [("NAME", "HASTINGS, AMELIA R.")]),
        ("Hastings, Amelia (00482913)", [("NAME", "Hastings, Amelia"), ("OTHER_ID", "00482913")]),
        (
            "cc: Joseph Okoro, Ruth Lim and Amelia Hastings",
            [("NAME", n) for n in ("Joseph Okoro", "Ruth Lim", "Amelia Hastings")],
        ),
        ("Discussed with Ramirez. Then Ramirez agreed.", [("NAME", "Ramirez"), ("NAME", "Ramirez")]),
        ("seen by dr. hopkins", [("NAME", "hopkins")]),
        (
            "Seen on 03/14/2019, again 2019-05-02 and June 3.",
            [("DATE", "03/14/2019"), ("DATE", "2019-05-02"), ("DATE", "June 3")],
        ),
        ("since March, and in 2018", [("DATE", "March")]),
        ("A 93-year-old man whose son is 64 years old", [("AGE", "93")]),
        ("a 91 y/o F, ninety-four-year-old mother", [("AGE", "91"), ("AGE", "ninety-four")]),
        ("call (555) 201-4477 x12", [("PHONE", "(555) 201-4477 x12")]),
        ("Fax: 555.201.4478", [("FAX", "555.201.4478")]),
        ("a.hastings@example.org", [("EMAIL", "a.hastings@example.org")]),
        ("see https://portal.example.org/p/88.", [("URL", "https://portal.example.org/p/88")]),
        ("from 10.24.3.8 and fe80::1ff:fe23:4567:890a", [("IP", "10.24.3.8"), ("IP", "fe80::1ff:fe23:4567:890a")]),
        ("SSN 219-09-9999", [("SSN", "219-09-9999")]),
        ("MRN: 0048-2913", [("MRN", "0048-2913")]),
        ("Member ID XWH123456789", [("HEALTH_PLAN", "XWH123456789")]),
        ("Account #: 99-128374", [("ACCOUNT", "99-128374")]),
        ("DEA AB1234563", [("LICENSE", "AB1234563")]),
        ("VIN 1HGCM82633A004352", [("VEHICLE", "1HGCM82633A004352")]),
        ("pacemaker serial number SN-8842193", [("DEVICE", "SN-8842193")]),
        ("Fingerprint ID FP-99213", [("BIOMETRIC", "FP-99213")]),
        ("photo IMG_20391.jpg", [("PHOTO", "IMG_20391.jpg")]),
        ("Accession #: S20-11842", [("OTHER_ID", "S20-11842")]),
        (
            "lives at 1420 North Oak Street, Apt 4B, Springfield, IL 62704.",
            [("ADDRESS", "1420 North Oak Street, Apt 4B, Springfield, IL 62704")],
        ),
        ("He works in Mapleville.", [("ADDRESS", "Mapleville")]),
        ("transferred from St. Anselm's Medical Center", [("FACILITY", "St. Anselm's Medical Center")]),
        ("Okafor was sitting up; Hastings had walked.", [("NAME", "Okafor"), ("NAME", "Hastings")]),
        ("When Kowalczyk arrived by car, Delgado left.", [("NAME", "Kowalczyk"), ("NAME", "Delgado")]),
        (
            "Amelia, Joseph and Ruth & Martin Lim came.",
            [("NAME", n) for n in ("Amelia", "Joseph", "Ruth", "Martin Lim")],
        ),
        ("Amelia's fever is down, Robert Parkinson's is not.", [("NAME", "Amelia"), ("NAME", "Robert Parkinson")]),
        ("brought in by her daughter (Kirannu Oyelaran)", [("NAME", "Kirannu Oyelaran")]),
        (
            "Kirannu R. Hastings and Maria del Carmen Ruiz",
            [("NAME", "Kirannu R. Hastings"), ("NAME", "Maria del Carmen Ruiz")],
        ),
        ("HASTINGS, KIRANNU   DOB: 02/01/1950", [("NAME", "HASTINGS, KIRANNU"), ("DATE", "02/01/1950")]),
        ("Stone, his cardiologist, was paged.", [("NAME", "Stone")]),
        ("the Oyelaran family; April Hastings", [("NAME", "Oyelaran"), ("NAME", "April Hastings")]),
        ("seen by R. Hastings, DO", [("NAME", "R. Hastings")]),
        ("chart 0048-2913, record 00-1482-2913", [("MRN", "0048-2913"), ("MRN", "00-1482-2913")]),
        ("stent placed 3/14, drain out 04/02", [("DATE", "3/14"), ("DATE", "04/02")]),
        ("sample K20-118425 sent", [("OTHER_ID", "K20-118425")]),
    ],
)
def test_identifiers(text: str, expected: list[tuple[str, str]]) -> None:
    assert found(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Parkinson's disease, Crohn disease and Hodgkin lymphoma",
        "Foley catheter placed; Apgar 8 and 9 at 1 and 5 minutes",
        "Murphy's sign negative, Romberg positive, Babinski absent",
        "disc herniation at L4-L5 and C5/C6, T12 compression fracture",
        "BRCA1, TP53, HER2 and KRAS G12D were tested",
        "BP 120/80, pulse 72, temp 98.6, SpO2 95%, strength 5/5, murmur 3/6",
        "Na 138, K 4.1, platelets 328,000, WBC 11.4 x 10^9/L",
        "aspirin 81 mg daily, metformin 500 mg BID, insulin 10 units",
        "He may return if fever develops. In 2015 she had a stroke.",
        "a 45-year-old woman, G2P1, at 38 weeks",
        "seen in the Wound Clinic and the Emergency Department",
        "Glasgow Coma Scale 15, NYHA class III, Gleason 4+3",
        "Patient denies chest pain. Mother: hypertension. Father: diabetes.",
        "no visitors from Mexico or India",
        "She will follow up in two weeks. Will refer to cardiology.",
        "Epstein-Barr virus and Lyme disease serologies; West Nile virus negative",
        "- Patient Education and Counseling: Fall precautions. Nurse Assessment: stable. Pt Denies pain.",
        "Brain CT showed no bleed; AST and ALT rose; TEE was normal; ELISA positive, Candida grew",
        "Miller Fisher syndrome, Smith fracture, Wilson's disease, Bruce protocol, Mohs surgery, Edwards valve",
        "Newborn with jaundice. Dear Colleague, platelets: Platelets fell from 240. Winters in Florida.",
        "pain 8/10, strength 4/5, murmur 3/6, records of 2015-2019, 1000-2000 mg",
        "Cardiology was called. Symptoms began. Subsequent works. Refer to Urology. Meets with Nutrition.",
    ],
)
def test_what_is_no_identifier(text: str) -> None:
    assert found(text) == []


def test_a_mask_keeps_every_offset_and_the_shape() -> None:
    text = "Mr. O'Brien, 03/14/2019"
    assert masked(text, find_identifiers(text)) == "Mr. X'Xxxxx, 00/00/0000"


@settings(deadline=None, max_examples=60)
@given(st.text(alphabet="ABab é1-/.,:'@#()\n", max_size=300))
def test_any_text_gives_ordered_spans_inside_it_and_a_mask_of_its_length(text: str) -> None:
    redactions = find_identifiers(text)
    assert all(0 <= r.start < r.end <= len(text) and r.category in CATEGORIES for r in redactions)
    assert all(before.end <= after.start for before, after in itertools.pairwise(redactions))
    assert len(masked(text, redactions)) == len(text)


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ({"category": "SHOE_SIZE", "example": "x1", "pattern": "x1"}, "unknown category"),
        ({"category": "MRN", "example": "x1", "pattern": "x("}, "does not compile"),
        ({"category": "MRN", "example": "x1", "pattern": "y"}, "does not match"),
        ({"category": "MRN", "example": "x1", "pattern": "{NOWHERE}"}, "unknown macro"),
        ({"category": "MRN", "example": "x1", "pattern": "x*"}, "does not match it, or matches nothing"),
        ({"category": "NAME", "example": "x1", "pattern": "x1"}, "must use one of"),
    ],
)
def test_a_broken_pattern_is_named(row: dict[str, str], fault: str) -> None:
    with pytest.raises(ResourceError, match=fault):
        parse_patterns([row])


def test_the_patterns_cover_every_category() -> None:
    assert {pattern.category for pattern in default_patterns()} == set(CATEGORIES)


@pytest.mark.parametrize(
    "piece", ["0-", "Aa ", "A. ", "O'", "Amelia and ", "mother (", "van Van ", "SMITH, AMELIA ", "review with ", "\n "]
)
def test_time_grows_with_the_length_of_the_text(piece: str) -> None:
    def seconds(size: int) -> float:
        text = (piece * size)[:size]
        start = time.perf_counter()
        find_identifiers(text)
        return time.perf_counter() - start

    seconds(100)
    assert seconds(10_000) < 10 * seconds(2_500) + 0.2
