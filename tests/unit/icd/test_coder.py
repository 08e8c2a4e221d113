"""Notes with their mentions marked → the note's list, by names alone: who has what, since when, and how surely."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from clincode.icd import Coder, IcdLinker
from clincode.icd.coder import STATUS_CONFIDENCE, WEAKEST_SUGGESTION, Coded
from clincode.icd.note_list import Entry, NoteList, merged
from clincode.labels import EntityType
from clincode.types import CodeCandidate, NoteType

PROGRESS, DISCHARGE, OPERATION = NoteType.PROGRESS_NOTE, NoteType.DISCHARGE_SUMMARY, NoteType.OPERATIVE_REPORT
CodeNote = Callable[..., Coded]


@pytest.fixture
def code(coder: Coder, marked: Callable[[str], Any]) -> CodeNote:
    def coded(note: str, note_type: NoteType = PROGRESS, by: Coder = coder) -> Coded:
        read = marked(note)
        return by.code(read.text, note_type, read.sentences, read.mentions)

    return coded


def codes_of(coded: Coded) -> list[str]:
    return [code.code for code in coded.codes]


# -- whose it is, when, and how surely --

CONTEXT = [
    ("Seen for {hypertension}.", ["I10"]),
    ("Denies {fever|negated}.", []),
    ("Return if {fever|hypothetical} recurs.", []),
    ("Her husband has {asthma|other}.", []),
    ("No {hypertension|negated}, no {diabetes|negated}.", []),
    ("{fever|negated,historical}, {asthma|negated,family}, {gout|hypothetical,family}", []),
    ("{Hypertension}; denies {chest pain|negated}.", ["I10"]),
    # A denied mention says nothing against the same condition elsewhere.
    ("Had {fever} on Monday. No {fever|negated} today.", ["R50.9"]),
    # A relative's: the code of the family's history.
    ("Mother had {breast cancer|family}.", ["Z80.3"]),
    ("Father: {colon cancer|family}, {type 2 diabetes|family}, {stroke|family}.", ["Z80.0", "Z83.3", "Z82.3"]),
    ("Brother had {prostate cancer|family,historical}.", ["Z80.42"]),
    ("Sister with {asthma|family} and {depression|family}.", ["Z82.5", "Z81.8"]),
    ("Grandfather had {pneumonia|family}.", ["Z83.6"]),
    ("Mother's {cough|family} is better.", []),
    ("Mother has {diabetes|family}. He has {diabetes}.", ["E11.9", "Z83.3"]),
    ("Father had {history of colon cancer|family}.", ["Z80.0"]),
    # What is past: the code of its history, or of what it left.
    ("History of {breast cancer|historical}.", ["Z85.3"]),
    ("Remote {colon cancer|historical}, {kidney stones|historical}.", ["Z85.038", "Z87.442"]),
    ("{Pneumonia|historical} last winter.", ["Z87.01"]),
    ("{Stroke|historical} in 2015 without residua.", ["Z86.73"]),
    ("{Pulmonary embolism|historical} in 2012.", ["Z86.711"]),
    ("{Myocardial infarction|historical} in 2015.", ["I25.2"]),
    ("{hip fracture|historical} in childhood", ["Z87.81"]),
    ("{cough|historical} in May", []),
    # Or the condition, where that does not go away.
    (
        "History of {hypertension|historical}, {type 2 diabetes|historical}, {COPD|historical}.",
        ["I10", "E11.9", "J44.9"],
    ),
    ("History of {asthma|historical} and {atrial fibrillation|historical}", ["J45.909", "I48.91"]),
    # A cancer that is said to be gone is history.
    ("{Breast cancer}, completed chemotherapy in 2016, NED.", ["Z85.3", "Z92.21"]),
    ("{Breast cancer}, currently on chemotherapy.", ["C50.919"]),
    ("{Lung cancer}. No disease progression on CT.", ["C34.90"]),
]


@pytest.mark.parametrize(("note", "codes"), CONTEXT)
def test_context_of_a_mention(code: CodeNote, note: str, codes: list[str]) -> None:
    assert codes_of(code(note)) == codes


@pytest.mark.parametrize(("note_type", "codes"), [(DISCHARGE, ["I26.99"]), (PROGRESS, []), (OPERATION, [])])
def test_what_is_possible_is_coded_at_discharge_alone(code: CodeNote, note_type: NoteType, codes: list[str]) -> None:
    assert codes_of(code("Probable {pulmonary embolism|possible}.", note_type)) == codes
    assert codes_of(code("No {pulmonary embolism|negated}; {asthma|hypothetical}.", note_type)) == []
    assert codes_of(code("{Pulmonary embolism}.", note_type)) == ["I26.99"]


def test_only_diseases_have_suggestions_and_whatever_is_said_of_them(code: CodeNote) -> None:
    coded = code(
        "{Aspirin|MEDICATION} for {chest pain}, no {fever|negated}; {ECG|TEST}, {heart|ANATOMY}, {PCI|PROCEDURE}"
    )
    assert [[each.code for each in candidates[:1]] for candidates in coded.suggestions] == [
        [],
        ["R07.9"],
        ["R50.9"],
        [],
        [],
        [],
    ]
    assert codes_of(coded) == ["R07.9"]


@pytest.mark.parametrize("note", ["", " ", "No complaints.", "{xyzzy}", "{severe}", "40 weeks pregnant.", "BMI 24."])
def test_nothing_gives_nothing(code: CodeNote, note: str) -> None:
    assert code(note).codes == ()


# -- what the note says in particular --

PARTICULAR = [
    # side
    ("{Left knee pain}.", ["M25.562"]),
    ("{Knee pain} on the right.", ["M25.561"]),
    ("Right knee: {pain}, worse on stairs.", ["R52"]),
    ("{Pain} in the left {knee|ANATOMY}.", ["M25.562"]),
    ("{Pain} of {right knee|ANATOMY}.", ["M25.561"]),
    ("{Left hip pain} and {right knee pain}.", ["M25.552", "M25.561"]),
    ("{Otitis media} of the right ear.", ["H66.91"]),
    ("{Age-related nuclear cataract}, OS.", ["H25.12"]),
    ("{Age-related nuclear cataract}, both eyes.", ["H25.13"]),
    ("{Primary osteoarthritis of knee}, bilateral.", ["M17.0"]),
    ("{Breast cancer} of the left breast.", ["C50.912"]),
    ("{Cellulitis} of the left {leg|ANATOMY}.", ["L03.116"]),
    ("{Deep vein thrombosis} of the left leg.", ["I82.402"]),
    ("{Hypertension}; left knee replaced.", ["I10"]),
    ("{Knee pain}. On 2 L NC.", ["M25.569"]),  # litres
    ("Left knee swollen. {Knee pain}.", ["M25.562"]),
    ("Bruise of left ankle, {fracture of the distal radius} on the right.", ["S52.501A"]),
    ("{Laceration of left forearm}.", ["S51.812A"]),
    ("{Laceration of left hand}.", ["S61.412A"]),
    ("{Fracture of left elbow}.", ["S42.402A"]),
    ("{Fracture of left ankle}.", ["S82.892A"]),
    ("{Pain in left thumb}.", ["M79.645"]),
    # site
    ("{Colon cancer} of the cecum.", ["C18.0"]),
    ("Acute {DVT} of the left popliteal vein.", ["I82.432"]),
    ("{STEMI}, culprit lesion in the left anterior descending artery.", ["I21.02"]),
    ("{Benign neoplasm of skin}.", ["D23.9"]),
    # encounter
    ("{Fracture of the left femur}, seen in the ED.", ["S72.92XA"]),
    ("{Fracture of the left femur}, follow-up visit.", ["S72.92XD"]),
    ("{Fracture of the left femur} with nonunion, follow-up visit.", ["S72.92XK"]),
    ("{Open fracture of the left femur}, seen in the ED.", ["S72.92XB"]),
    ("Sequela of {fracture of the left femur}.", ["S72.92XS"]),
    ("{Ankle sprain}, left, today.", ["S93.402A"]),
    ("{Concussion} yesterday.", ["S06.0XAA"]),
    # stage, degree
    ("{CKD stage 3b}", ["N18.32"]),
    ("{Pressure ulcer} of the {sacrum|ANATOMY}, stage 3.", ["L89.153"]),
    ("{Acute on chronic systolic heart failure}.", ["I50.23"]),
    ("{Acute heart failure}.", ["I50.9"]),
    ("{Acute on chronic heart failure}.", ["I50.9"]),
    ("{Acute on chronic heart failure}, reduced ejection fraction.", ["I50.23"]),
    ("{Chronic heart failure}.", ["I50.9"]),
    ("{Acute decompensated heart failure}.", ["I50.9"]),
    ("{Breast cancer}, stage IV. {CKD}.", ["C50.919", "N18.9"]),
    ("{CKD}. {Pressure ulcer of sacrum}, stage 3.", ["N18.9", "L89.153"]),
    ("{Type 2 diabetes} without {retinopathy|negated}.", ["E11.9"]),
    ("{Hip fracture} without {dislocation|negated}, left.", ["S72.002A"]),
    # pregnancy
    ("G2P1 at 31 weeks with {gestational diabetes}.", ["O24.419", "Z3A.31"]),
    ("{Pre-eclampsia} at 36w2d, G1P0.", ["O14.93", "Z3A.36"]),
    ("27 weeks pregnant. {Pre-eclampsia}.", ["O14.92", "Z3A.27"]),
    ("{Pre-eclampsia}, first trimester.", ["O14.90"]),  # which is before it can be
    ("28 weeks pregnant with {UTI}.", ["O23.43", "Z3A.28"]),
    ("{Hypertension}, pregnant at 20 weeks.", ["O10.012", "Z3A.20"]),
    ("{Asthma}, 12 weeks pregnant.", ["O99.511", "J45.909", "Z3A.12"]),
    ("Pregnant, third trimester, {anemia}.", ["O99.013", "D64.9"]),
    ("{Ectopic pregnancy} at 7 weeks.", ["O00.90"]),  # no weeks with an abortive outcome
    ("{Gestational diabetes}.", ["O24.419"]),
    ("{Hypertension} for 20 weeks.", ["I10"]),
    # newborn
    ("Newborn with {jaundice}.", ["P59.9"]),
    ("60-year-old with {jaundice}.", ["R17"]),
    # misspelt
    ("{Pnuemonia} and {cellulitus}.", ["J18.9", "L03.90"]),
]


@pytest.mark.parametrize(("note", "codes"), PARTICULAR)
def test_what_the_note_says_in_particular(code: CodeNote, note: str, codes: list[str]) -> None:
    assert codes_of(code(note)) == codes


# -- together --

TOGETHER = [
    ("{HTN} and {chronic diastolic heart failure}.", ["I11.0", "I50.32"]),
    ("{Hypertension}. {CKD stage 4}.", ["I12.9", "N18.4"]),
    ("{HTN}, {CHF} and {CKD stage 3b}.", ["I13.0", "I50.9", "N18.32"]),
    ("{HTN}, {ESRD} on dialysis.", ["I12.0", "N18.6", "Z99.2"]),
    ("{CAD} with {unstable angina}.", ["I25.110"]),
    ("{Type 2 diabetes}. {CKD stage 3a}.", ["E11.22", "N18.31"]),
    ("{Type 2 diabetes} with {diabetic neuropathy}.", ["E11.40"]),
    ("{DKA} in {type 1 diabetes}.", ["E10.10"]),
    ("{Anemia} in {CKD}.", ["N18.9", "D63.1"]),
    ("{COPD} with {acute bronchitis}.", ["J44.0", "J20.9"]),
    ("{Cholelithiasis} with {acute cholecystitis}.", ["K80.00"]),
    ("{Influenza} with {pneumonia}.", ["J11.00"]),
    ("{GERD} with {esophagitis}.", ["K21.00"]),
    # Not what is denied, another's, or over.
    ("{HTN}, no {heart failure|negated}.", ["I10"]),
    ("{HTN}. Father had {heart failure|family}.", ["I10", "Z82.49"]),
    ("{CAD}, no {angina|negated}.", ["I25.10"]),
    ("{HTN}. {heart failure|hypothetical}, {CKD|possible}.", ["I10"]),
    # The same condition, once.
    ("{HTN}. {Hypertension} controlled.", ["I10"]),
    ("{T2DM}. {Type 2 diabetes} with {diabetic neuropathy}. {Diabetes}.", ["E11.40"]),
    ("{Injury} of the knee. {Fracture of right femur}, today.", ["S72.91XA"]),
]


@pytest.mark.parametrize(("note", "codes"), TOGETHER)
def test_what_conditions_make_together(code: CodeNote, note: str, codes: list[str]) -> None:
    assert codes_of(code(note)) == codes


STATUSES = [
    ("Status post CABG in 2010.", ["Z95.1"]),
    ("s/p {CABG|PROCEDURE}.", ["Z95.1"]),
    ("{CABG|PROCEDURE,historical}.", ["Z95.1"]),
    ("Planned {CABG|PROCEDURE}.", []),
    ("PAST SURGICAL HISTORY:\nCABG, cholecystectomy", ["Z95.1", "Z90.49"]),
    ("FAMILY HISTORY:\nmother s/p CABG in 2010", []),
    ("s/p left total knee replacement in 2012.", ["Z96.652"]),
    ("s/p bilateral total knee replacement in 2012.", ["Z96.653"]),
    ("s/p total knee replacement in 2012.", ["Z96.659"]),
    ("He has a pacemaker.", ["Z95.0"]),
    ("No {pacemaker|PROCEDURE,negated}.", []),
    ("His wife has a {pacemaker|PROCEDURE,other}.", []),
    ("On warfarin for {atrial fibrillation}.", ["I48.91", "Z79.01"]),
    ("{Type 2 diabetes}, on insulin.", ["E11.9", "Z79.4"]),
    ("ALLERGIES:\npenicillin", ["Z88.0"]),
    ("Former smoker. {COPD}.", ["J44.9", "Z87.891"]),
    ("{Obesity}, BMI 36.2.", ["E66.9", "Z68.36"]),
    ("{Cough}, BMI 36.2.", ["R05.9"]),
    ("{Pneumonia}. Smokes daily.", ["J18.9", "F17.200"]),
    ("Return if {pacemaker in place|hypothetical} fails.", []),
    ("Screening for {colon cancer|hypothetical}.", ["Z12.11"]),
]


@pytest.mark.parametrize(("note", "codes"), STATUSES)
def test_status(code: CodeNote, note: str, codes: list[str]) -> None:
    assert codes_of(code(note)) == codes


# -- the list --

ORDER = [
    # Conditions, symptoms, history, status, and what is only so.
    (
        "On warfarin. Pacemaker in place. Mother had {breast cancer|family}. {Nausea}. {Hypertension}.",
        ["I10", "R11.0", "Z80.3", "Z95.0", "Z79.01"],
    ),
    ("{Headache}, {back pain}. {Gout}.", ["M10.9", "R51.9", "M54.9"]),
    ("{Gout}. {Asthma}. {Hypertension}.", ["M10.9", "J45.909", "I10"]),
    ("{Hypertension}. {Asthma}. {Gout}.", ["I10", "J45.909", "M10.9"]),
    # A pregnant patient's first, though last mentioned.
    ("{Gout}. {Gestational diabetes} at 31 weeks gestation.", ["O24.419", "M10.9", "Z3A.31"]),
    # The shock behind the sepsis, a manifestation behind what it is of.
    ("{Septic shock}. {Sepsis} from {UTI}.", ["A41.9", "N39.0", "R65.21"]),
    ("{Heart failure}. {Hypertensive heart disease}.", ["I11.0", "I50.9"]),
]


@pytest.mark.parametrize(("note", "codes"), ORDER)
def test_order(code: CodeNote, note: str, codes: list[str]) -> None:
    assert codes_of(code(note)) == codes


FLAGS = [
    ("{Hypertension}.", {"I10": ()}),
    ("{Fever}.", {"R50.9": ("unspecified",)}),
    ("{Right knee pain}.", {"M25.561": ()}),
    ("{Knee pain}.", {"M25.569": ("unspecified", "needs_laterality")}),
    ("{Breast cancer}.", {"C50.919": ("unspecified", "needs_laterality")}),
    ("{Contusion of left forearm}.", {"S50.12XA": ("encounter_assumed",)}),
    ("{Contusion of left forearm} today.", {"S50.12XA": ()}),
    ("{Contusion of left forearm}, initial encounter.", {"S50.12XA": ()}),
    ("{Contusion of left forearm}, follow-up visit.", {"S50.12XD": ()}),
    ("{Contusion of left forearm}, sequela.", {"S50.12XS": ()}),
    ("{Contusion of left forearm|historical} in 2001.", {"Z87.828": ()}),
    ("{Pneumonia} with {cough}.", {"J18.9": ("unspecified",), "R05.9": ("unspecified", "integral_symptom")}),
    ("{Gout} with {cough}.", {"M10.9": ("unspecified",), "R05.9": ("unspecified",)}),
    ("{UTI} with {dysuria}.", {"N39.0": (), "R30.0": ("integral_symptom",)}),
    ("{NSTEMI}, {chest pain} gone.", {"I21.4": (), "R07.9": ("unspecified", "integral_symptom")}),
    (
        "{Type 1 diabetes} and {type 2 diabetes}.",
        {"E10.9": ("excludes1_conflict",), "E11.9": ("excludes1_conflict",)},
    ),
    ("{Hyponatremia} in {SIADH}.", {"E87.1": ("excludes1_conflict",), "E22.2": ("excludes1_conflict",)}),
    ("{Type 1 diabetes}. No {type 2 diabetes|negated}.", {"E10.9": ()}),
    ("{Septic shock}.", {"R65.21": ("manifestation",)}),
]


@pytest.mark.parametrize(("note", "flags"), FLAGS)
def test_flags(code: CodeNote, note: str, flags: dict[str, tuple[str, ...]]) -> None:
    assert {each.code: each.flags for each in code(note).codes} == flags


EVIDENCE = [
    ("{Fever}, {gout}.", {"R50.9": (0,), "M10.9": (1,)}),
    ("{HTN}. No {fever|negated}. {Hypertension}. {BP|TEST}. {high blood pressure}", {"I10": (0, 2, 4)}),
    ("{HTN} and {diastolic heart failure}.", {"I11.0": (0, 1), "I50.30": (1,)}),
    ("On {aspirin|MEDICATION} after {CABG|PROCEDURE} in 2010.", {"Z95.1": (1,), "Z79.82": (0,)}),
    ("Status post CABG in 2010.", {"Z95.1": ()}),
    ("{Asthma|family}. {COPD|family}.", {"Z82.5": (0, 1)}),
]


@pytest.mark.parametrize(("note", "evidence"), EVIDENCE)
def test_evidence(code: CodeNote, note: str, evidence: dict[str, tuple[int, ...]]) -> None:
    assert {each.code: each.evidence for each in code(note).codes} == evidence


def test_titles_and_confidences(code: CodeNote, coder: Coder) -> None:
    coded = code("{Hypertension}. He has a pacemaker.")
    (first, *_), *_ = coded.suggestions
    condition, status = coded.codes
    assert condition.description == "Essential (primary) hypertension"
    assert condition.confidence == first.confidence == coder.linker.link("hypertension")[0].confidence
    assert (status.description, status.confidence) == ("Presence of cardiac pacemaker", STATUS_CONFIDENCE)


def test_a_note_is_coded_the_same_each_time(code: CodeNote, linker: IcdLinker) -> None:
    note = "{HTN}, {CHF}, {left knee pain}; mother had {gout|family}. s/p CABG. {Fracture of right femur} today."
    assert code(note) == code(note) == code(note, by=Coder(linker))


# -- by given rankings --


class GivenLinker:
    """Ranks mentions as it is told; everything else is the real linker's."""

    def __init__(self, linker: IcdLinker, rankings: Mapping[str, Sequence[tuple[str, float]]]) -> None:
        self._linker, self._rankings = linker, rankings

    def __getattr__(self, name: str) -> Any:
        return getattr(self._linker, name)

    def link_all(self, mentions: Sequence[str]) -> list[tuple[CodeCandidate, ...]]:
        ranked = [self._rankings.get(mention, ()) for mention in mentions]
        return [tuple(CodeCandidate(code, "", confidence) for code, confidence in each) for each in ranked]


def given(linker: IcdLinker, **rankings: Sequence[tuple[str, float]]) -> Coder:
    return Coder(GivenLinker(linker, rankings))  # type: ignore[arg-type]


def test_an_unsure_mention_is_shown_but_stays_off_the_list(code: CodeNote, linker: IcdLinker) -> None:
    least = linker.threshold
    coder = given(linker, aaa=[("M10.9", least - 0.01)], bbb=[("I10", least)])
    coded = code("{aaa} {bbb}", by=coder)
    assert [[each.code for each in candidates] for candidates in coded.suggestions] == [["M10.9"], ["I10"]]
    assert codes_of(coded) == ["I10"]


def test_the_weakest_are_not_shown(code: CodeNote, linker: IcdLinker) -> None:
    weak = WEAKEST_SUGGESTION
    coder = given(linker, aaa=[("M10.9", 0.5), ("I10", weak), ("J44.9", weak - 0.01)])
    assert [each.code for each in code("{aaa}", by=coder).suggestions[0]] == ["M10.9", "I10"]


def test_what_the_note_makes_one_code_is_one_suggestion(code: CodeNote, linker: IcdLinker) -> None:
    coder = given(linker, pain=[("M10.9", 0.4), ("M25.562", 0.3), ("M25.561", 0.2), ("M25.569", 0.1)])
    (candidates,) = code("{pain}, right side", by=coder).suggestions
    assert [(each.code, round(each.confidence, 3)) for each in candidates] == [("M25.561", 0.6), ("M10.9", 0.4)]
    assert [each.description for each in candidates] == ["Pain in right knee", "Gout, unspecified"]


def test_surer_codes_of_one_kind_come_first(code: CodeNote, linker: IcdLinker) -> None:
    coder = given(linker, aaa=[("M10.9", 0.4)], bbb=[("I10", 0.9)], ccc=[("J44.9", 0.7)], ddd=[("R51.9", 0.9)])
    assert codes_of(code("{aaa} {bbb} {ccc} {ddd}", by=coder)) == ["I10", "J44.9", "M10.9", "R51.9"]
    assert codes_of(code("{ddd} {ccc} {bbb} {aaa}", by=coder)) == ["J44.9", "I10", "M10.9", "R51.9"]


def test_the_surest_of_several_mentions_counts(code: CodeNote, linker: IcdLinker) -> None:
    coder = given(linker, aaa=[("M10.9", 0.4)], bbb=[("M10.9", 0.8)])
    (found,) = code("{aaa}, {bbb}, {aaa}", by=coder).codes
    assert (found.code, found.confidence, found.evidence) == ("M10.9", 0.8, (0, 1, 2))


def test_chapters_of_other_patients_are_far_behind(code: CodeNote, linker: IcdLinker) -> None:
    coder = given(linker, aaa=[("P59.9", 0.8), ("R17", 0.5)], bbb=[("O99.019", 0.4), ("D64.9", 0.3)])
    assert [c[0].code for c in code("{aaa}, {bbb}", by=coder).suggestions] == ["R17", "D64.9"]
    assert [c[0].code for c in code("Newborn. {aaa}", by=coder).suggestions] == ["P59.9"]
    assert [c[0].code for c in code("Pregnant. {bbb}", by=coder).suggestions] == ["O99.019"]


# -- entries --


def entry(code: str, *evidence: int, confidence: float = 0.8, assumed: bool = False) -> Entry:
    return Entry(code, confidence, evidence, assumed)


def test_merged_entries() -> None:
    first = entry("I10", 3, confidence=0.5, assumed=True)
    assert merged([]) == []
    assert merged([first, entry("M10.9", 1), entry("I10", 0, 3, confidence=0.4)]) == [
        entry("I10", 0, 3, confidence=0.5),
        entry("M10.9", 1),
    ]
    assert merged([first, first]) == [first]


LISTED = [
    # entries' codes, those that are listed in their order
    ([], []),
    (["E11.9", "E11.21"], ["E11.21"]),
    (["E11.9", "E10.9"], ["E11.9", "E10.9"]),
    (["I50.9", "I50.22"], ["I50.22"]),
    (["J45.909", "J45.41"], ["J45.41"]),
    (["T14.90XA", "S52.501A"], ["S52.501A"]),
    (["T14.90XA", "I10"], ["T14.90XA", "I10"]),
    (["S52.501A", "S52.201A"], ["S52.501A", "S52.201A"]),  # of injuries there may be several
    (["Z3A.20", "O24.419"], ["O24.419", "Z3A.20"]),
    (["Z3A.20", "O00.90"], ["O00.90"]),
    (["Z3A.20", "I10"], ["I10"]),
    (["Z33.1", "O24.419"], ["O24.419"]),
    (["Z33.1", "I10"], ["I10", "Z33.1"]),
    (["Z68.36", "E66.9"], ["E66.9", "Z68.36"]),
    (["Z68.36", "I10"], ["I10"]),
    (
        ["W19.XXXA", "Z79.4", "Z95.1", "Z85.3", "B96.20", "R05.9", "N39.0"],
        ["N39.0", "R05.9", "B96.20", "Z85.3", "Z95.1", "Z79.4", "W19.XXXA"],
    ),
]


@pytest.mark.parametrize(("codes", "listed"), LISTED)
def test_what_is_listed_and_in_which_order(coder: Coder, codes: list[str], listed: list[str]) -> None:
    found = list(NoteList(coder.conventions).listed([entry(each, place) for place, each in enumerate(codes)]))
    assert [each.code for each in found] == listed
    assert all(each.description == coder.terminology.title(each.code) for each in found)


def test_types_that_are_no_disease_give_no_code(code: CodeNote) -> None:
    for type_ in EntityType:
        expected = ["I10"] if type_ is EntityType.DIAGNOSIS else []
        assert codes_of(code(f"{{hypertension|{type_}}}")) == expected
