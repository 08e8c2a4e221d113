"""What a note says of pregnancy, encounter, healing and treatment: tables of sentences, and what holds of any text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clincode.icd.circumstances import (
    encounter_of,
    gestational_weeks,
    healing_of,
    is_newborn,
    is_open,
    is_pregnant,
    is_treated,
    trimester_of,
)
from clincode.icd.conventions import Encounter, Healing

WEEKS = [
    # note, weeks, trimester
    ("20 weeks pregnant", 20, 2),
    ("G2P1 at 31 weeks", 31, 3),
    ("G2P1 at 31w4d, doing well", 31, 3),
    ("G1P0 27w6d", 27, 2),
    ("Gravid at 39w.", 39, 3),
    ("IUP, 8 wks", 8, 1),
    ("38 and 3/7 weeks, uncomplicated pregnancy", 38, 3),
    ("36 3/7 weeks gestation", 36, 3),
    ("at 28 wk gestation", 28, 3),
    ("a 12-week pregnancy", 12, 1),
    ("34+2 weeks gestation", 34, 3),
    ("30-year-old at 10 weeks of pregnancy", 10, 1),
    ("estimated gestational age 25 weeks", 25, 2),
    ("Primigravida, 16 weeks; nausea for the past 4 weeks.", 16, 2),
    ("Nausea for the past 4 weeks. Primigravida, 16 weeks.", 16, 2),
    # The limits of chapter 15.
    ("13 weeks pregnant", 13, 1),
    ("14 weeks pregnant", 14, 2),
    ("27 weeks pregnant", 27, 2),
    ("28 weeks pregnant", 28, 3),
    # Weeks of something else.
    ("20 weeks", None, 0),
    ("Back pain for 6 weeks.", None, 0),
    ("Pregnant; return in 6 weeks.", None, 0),
    ("Pregnant, cough for 3 weeks.", None, 0),
    ("Pregnancy test positive, follow up after 2 weeks.", None, 0),
    ("Pregnancy ended 10 weeks ago.", None, 0),
    ("Vaginal delivery, now 6 weeks postpartum.", None, 0),
    ("Preterm labor, infant now 8 weeks old.", None, 0),
    ("pregnancy: 50 weeks", None, 0),
    ("pregnant, hCG 2 weeks", None, 0),
    ("", None, 0),
    # The trimester may be said alone, and counts where both are.
    ("first trimester bleeding", None, 1),
    ("Pregnant, 1st trimester.", None, 1),
    ("2nd-trimester ultrasound", None, 2),
    ("Second trimester, 16 weeks pregnant", 16, 2),
    ("in her THIRD TRIMESTER", None, 3),
    ("each trimester", None, 0),
]


@pytest.mark.parametrize(("note", "weeks", "trimester"), WEEKS)
def test_weeks_and_trimester(note: str, weeks: int | None, trimester: int) -> None:
    assert (gestational_weeks(note), trimester_of(note)) == (weeks, trimester)
    assert is_pregnant(note) or weeks is None


@pytest.mark.parametrize(
    ("note", "pregnant"),
    [
        ("32-year-old, pregnant.", True),
        ("G3P2 in for an NST", True),
        ("Preeclampsia with headache", True),
        ("status post cesarean", True),
        ("in preterm labor", True),
        ("Missed abortion", True),
        ("Hypertension, diabetes.", False),
        ("manual laborer, at labor union", False),
        ("gravel in the driveway", False),
    ],
)
def test_pregnant(note: str, pregnant: bool) -> None:
    assert is_pregnant(note) is pregnant


ENCOUNTERS: list[tuple[str, str, Encounter, bool]] = [
    # sentence, note, encounter, whether it is said
    ("Hip fracture.", "", "initial", False),
    ("Fell today and broke his wrist.", "Fell today and broke his wrist.", "initial", True),
    ("Hip fracture.", "Brought to the ED. Hip fracture.", "initial", True),
    ("Hip fracture, initial encounter.", "", "initial", True),
    ("Hip fracture, subsequent encounter for fracture with routine healing.", "", "subsequent", True),
    ("Here for follow-up of a wrist fracture.", "", "subsequent", True),
    ("f/u of wrist fracture", "", "subsequent", True),
    ("Recheck of burn.", "", "subsequent", True),
    ("Wrist fracture, healing well.", "", "subsequent", True),
    ("Fracture with delayed healing", "", "subsequent", True),
    ("Malunion of the radius.", "", "subsequent", True),
    ("Nonunion of the tibia.", "", "subsequent", True),
    ("6 weeks out from ORIF.", "", "subsequent", True),
    ("Two weeks after the fall, 14 days post injury.", "", "subsequent", True),
    ("Fracture.", "Fracture. Cast is off.", "subsequent", True),
    ("Fracture.", "Follow-up visit. Fracture.", "subsequent", True),
    ("Aftercare for ankle fracture", "", "subsequent", True),
    ("Sutures removed, laceration clean.", "", "subsequent", True),
    ("Contracture, sequela of burn.", "", "sequela", True),
    ("Late effect of stroke.", "", "sequela", True),
    ("Limps as a result of an old fracture.", "", "sequela", True),
    # What is planned is no follow-up.
    ("Ankle sprain, follow up in 2 weeks.", "", "initial", False),
    ("Burn of hand, will follow up with PCP.", "", "initial", False),
    ("Fracture s/p fall.", "", "initial", False),
    # The sentence before the note.
    ("Ankle sprain, initial encounter.", "Follow-up visit for burn. Ankle sprain, initial encounter.", "initial", True),
]


@pytest.mark.parametrize(("sentence", "note", "encounter", "said"), ENCOUNTERS)
def test_encounter(sentence: str, note: str, encounter: Encounter, said: bool) -> None:
    assert encounter_of(sentence, note or sentence) == (encounter, said)


@pytest.mark.parametrize(
    ("text", "open_"),
    [
        ("open fracture of the tibia", True),
        ("Compound fracture", True),
        ("Gustilo II", True),
        ("closed fracture", False),
        ("fracture, closed or open not known", False),
        ("open reduction and internal fixation", False),
        ("reopened, opening", False),
        ("", False),
    ],
)
def test_open(text: str, open_: bool) -> None:
    assert is_open(text) is open_


@pytest.mark.parametrize(
    ("sentence", "healing"),
    [
        ("Fracture of the tibia", "routine"),
        ("healing well", "routine"),
        ("nonunion of the scaphoid", "nonunion"),
        ("Non-union", "nonunion"),
        ("fracture not united", "nonunion"),
        ("malunion", "malunion"),
        ("mal-united", "malunion"),
        ("delayed healing", "delayed"),
        ("delayed union", "delayed"),
        ("slow to heal", "delayed"),
    ],
)
def test_healing(sentence: str, healing: Healing) -> None:
    assert healing_of(sentence) == healing


@pytest.mark.parametrize(
    ("text", "treated"),
    [
        ("breast cancer, no evidence of disease", True),
        ("NED since 2019", True),
        ("completed chemotherapy in 2018", True),
        ("radiation completed", True),
        ("melanoma excised in 2015", True),
        ("on surveillance for colon cancer", True),
        ("colon cancer", False),
        ("colon cancer on chemo", False),
        ("currently receiving radiation", False),
        ("on tamoxifen, no recurrence", False),
        ("lung cancer, no disease progression", False),
        ("newly diagnosed, melanoma excised in 2015", False),
        ("surveillance scan, cycle 3 chemotherapy", False),
    ],
)
def test_treated(text: str, treated: bool) -> None:
    assert is_treated(text) is treated


@pytest.mark.parametrize(
    ("note", "newborn"),
    [
        ("Newborn with jaundice", True),
        ("neonatal sepsis", True),
        ("3-day-old boy", True),
        ("born at 38 weeks", True),
        ("in the NICU", True),
        ("60-year-old man", False),
        ("infantile spasms as a child", False),
        ("reborn", False),
    ],
)
def test_newborn(note: str, newborn: bool) -> None:
    assert is_newborn(note) is newborn


PIECES = st.sampled_from(
    [
        *("pregnant", "gestation", "20", "31w4d", "3/7", "weeks", "wk", "first trimester", "ago", "in", "for", "."),
        *("follow-up", "sequela", "initial encounter", "healing", "open", "fracture", "NED", "on chemo", "newborn"),
        *("G2P1", "\n", "today"),
    ]
)


@given(st.lists(PIECES, max_size=12).map(" ".join) | st.text())
def test_any_note(note: str) -> None:
    weeks, trimester = gestational_weeks(note), trimester_of(note)
    assert weeks is None or (3 < weeks < 45 and is_pregnant(note) and trimester > 0)
    assert trimester in range(4)
    encounter, said = encounter_of(note, note)
    assert encounter in ("initial", "subsequent", "sequela")
    assert said or encounter == "initial"
    assert encounter_of("", note) == (encounter, said)
