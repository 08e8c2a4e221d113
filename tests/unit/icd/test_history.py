"""Codes of past conditions, of relatives', and of status; and what the words around a status must say."""

import time
from pathlib import Path

import pytest

from clincode.config import OWN_RULES, load_tsv_resource
from clincode.errors import ResourceError
from clincode.icd import Terminology, status, status_cues
from clincode.icd.history import History
from clincode.icd.status import StatusCue, body_mass_code, gestation_code, statuses


@pytest.fixture(scope="module")
def codes(terminology: Terminology) -> History:
    return History(terminology)


HISTORY = [
    # condition, personal, family, chronic
    ("A15.0", "Z86.11", "Z83.1", False),
    ("A41.9", "Z86.19", "Z83.1", False),
    ("A41.02", "Z86.14", "Z83.1", False),
    ("A80.9", "Z86.12", "Z83.1", False),
    ("A87.9", "Z86.61", "Z83.1", False),
    ("B18.2", "Z86.19", "Z83.1", True),
    ("B20", None, "Z83.0", True),
    ("B54", "Z86.13", "Z83.1", False),
    ("B59", "Z87.01", "Z83.1", False),
    ("B90.9", "Z86.11", "Z83.1", True),
    ("C02.9", "Z85.810", "Z80.8", False),
    ("C15.9", "Z85.01", "Z80.0", False),
    ("C16.9", "Z85.028", "Z80.0", False),
    ("C18.9", "Z85.038", "Z80.0", False),
    ("C20", "Z85.048", "Z80.0", False),
    ("C25.9", "Z85.07", "Z80.0", False),
    ("C34.90", "Z85.118", "Z80.1", False),
    ("C43.9", "Z85.820", "Z80.8", False),
    ("C50.919", "Z85.3", "Z80.3", False),
    ("C53.9", "Z85.41", "Z80.49", False),
    ("C56.9", "Z85.43", "Z80.41", False),
    ("C57.00", "Z85.4A", "Z80.44", False),
    ("C61", "Z85.46", "Z80.42", False),
    ("C64.9", "Z85.528", "Z80.51", False),
    ("C65.9", "Z85.53", "Z80.59", False),
    ("C67.9", "Z85.51", "Z80.52", False),
    ("C71.9", "Z85.841", "Z80.8", False),
    ("C73", "Z85.850", "Z80.8", False),
    ("C78.7", "Z85.89", "Z80.8", True),
    ("C7A.026", "Z85.040", "Z80.8", False),
    ("C7A.090", "Z85.110", "Z80.8", False),
    ("C80.1", "Z85.9", "Z80.9", False),
    ("C81.90", "Z85.71", "Z80.7", False),
    ("C81.9A", "Z85.71", "Z80.7", True),
    ("C85.90", "Z85.72", "Z80.7", False),
    ("C91.00", "Z85.6", "Z80.6", False),
    ("C91.01", "Z85.6", "Z80.6", True),
    ("C91.10", "Z85.6", "Z80.6", True),
    ("D05.10", "Z86.000", "Z84.89", False),
    ("D06.9", "Z86.001", "Z84.89", False),
    ("D12.6", "Z86.0101", "Z83.710", False),
    ("D32.0", "Z86.011", "Z84.89", False),
    ("D35.2", "Z86.018", "Z84.89", False),
    ("D3A.090", "Z86.012", "Z84.89", False),
    ("D45", "Z86.03", "Z84.89", True),
    ("D50.9", "Z86.2", "Z83.2", False),
    ("D57.00", "D57.1", "Z83.2", False),
    ("D57.1", "Z86.2", "Z83.2", True),
    ("D68.51", "Z86.2", "Z83.2", True),
    ("E03.9", "Z86.39", "Z83.49", True),
    ("E10.10", "E10.9", "Z83.3", False),
    ("E11.621", "Z86.31", "Z83.3", False),
    ("E11.9", "Z86.39", "Z83.3", True),
    ("E78.01", "Z86.39", "Z83.42", True),
    ("E86.0", "Z86.39", "Z83.49", False),
    ("F10.20", "F10.21", "Z81.1", False),
    ("F10.21", "F10.21", "Z81.1", True),
    ("F10.90", None, "Z81.1", False),
    ("F14.10", "F14.11", "Z81.3", False),
    ("F17.210", "Z87.891", "Z81.2", False),
    ("F20.9", "Z86.59", "Z81.8", True),
    ("F43.20", "Z86.59", "Z81.8", False),
    ("F79", "Z86.59", "Z81.0", True),
    ("G03.9", "Z86.61", "Z82.0", False),
    ("G35.D", "Z86.69", "Z82.0", True),
    ("G45.9", "Z86.73", "Z82.0", False),
    ("H40.9", "Z86.69", "Z83.511", True),
    ("H91.90", "Z86.69", "Z82.2", True),
    ("I10", "Z86.79", "Z82.49", True),
    ("I21.9", "I25.2", "Z82.49", False),
    ("I25.2", "I25.2", "Z82.49", True),
    ("I26.99", "Z86.711", "Z82.49", False),
    ("I30.9", "Z86.79", "Z82.49", False),
    ("I46.9", "Z86.74", "Z82.41", False),
    ("I50.9", "Z86.79", "Z82.49", True),
    ("I63.9", "Z86.73", "Z82.3", False),
    ("I69.354", "Z86.79", "Z82.49", True),
    ("I80.00", "Z86.72", "Z82.49", False),
    ("I82.409", "Z86.718", "Z82.49", False),
    ("I82.509", "Z86.718", "Z82.49", True),
    ("J18.9", "Z87.01", "Z83.6", False),
    ("J44.1", "J44.9", "Z82.5", False),
    ("J44.9", "Z87.09", "Z82.5", True),
    ("J93.9", "Z87.09", "Z83.6", False),
    ("K25.9", "Z87.11", "Z83.79", False),
    ("K57.32", "Z87.19", "Z83.79", False),
    ("K63.5", "Z86.0100", "Z83.719", False),
    ("K74.60", "Z87.19", "Z83.79", True),
    ("L03.90", "Z87.2", "Z84.0", False),
    ("L40.9", "Z87.2", "Z84.0", True),
    ("M06.9", "Z87.39", "Z82.61", True),
    ("M80.08XA", "Z87.310", "Z82.62", False),
    ("M81.0", "Z87.39", "Z82.62", True),
    ("M84.361A", "Z87.312", "Z82.69", False),
    ("M84.48XA", "Z87.311", "Z82.69", False),
    ("N04.9", "Z87.441", "Z84.19", False),
    ("N17.9", "Z87.448", "Z84.19", False),
    ("N18.9", "Z87.448", "Z84.19", True),
    ("N20.0", "Z87.442", "Z84.19", False),
    ("N39.0", "Z87.440", "Z84.2", False),
    ("N42.30", "Z87.430", "Z84.2", False),
    ("N73.9", "Z87.42", "Z84.2", False),
    ("N87.9", "Z87.410", "Z84.2", False),
    ("O14.90", "Z87.59", None, False),
    ("O24.419", "Z86.32", "Z83.3", False),
    ("O60.00", "Z87.51", None, False),
    ("P77.9", "Z87.61", None, False),
    ("Q21.0", "Z87.74", "Z82.79", False),
    ("Q37.9", "Z87.730", "Z82.79", False),
    ("Q54.9", "Z87.710", "Z82.79", False),
    ("Q61.2", "Z87.718", "Z82.71", True),
    ("Q79.3", "Z87.761", "Z82.79", False),
    ("Q90.9", None, "Z82.79", True),
    ("R05.9", None, None, False),
    ("R31.9", "Z87.448", None, False),
    ("R56.9", "Z87.898", None, False),
    ("S06.0X0A", "Z87.820", None, False),
    ("S52.501A", "Z87.81", None, False),
    ("S72.001S", "Z87.81", None, True),
    ("S83.511A", "Z87.828", None, False),
    ("T14.91XA", "Z91.51", None, False),
    ("T74.21XA", "Z91.410", None, False),
    ("T74.22XA", "Z62.810", None, False),
    ("T78.2XXA", "Z87.892", None, False),
    ("U07.1", "Z86.16", "Z83.1", False),
    ("W19.XXXA", "Z91.81", None, False),
    ("Z22.7", "Z86.15", "Z83.1", False),
    ("Z80.3", None, "Z80.3", True),
    ("Z85.3", None, None, True),
    ("Z95.1", None, None, True),
]


@pytest.mark.parametrize(("condition", "personal", "family", "chronic"), HISTORY)
def test_history(codes: History, condition: str, personal: str | None, family: str | None, chronic: bool) -> None:
    assert (codes.personal(condition), codes.family(condition), codes.is_chronic(condition)) == (
        personal,
        family,
        chronic,
    )


@pytest.mark.parametrize("code", ["Chapter 9", "I20-I25", "", "X", "nonsense", "C99.99"])
def test_what_is_no_code_has_no_history(codes: History, code: str) -> None:
    assert (codes.personal(code), codes.family(code), codes.is_chronic(code)) == (None, None, False)


def test_every_code_is_billable_and_conditions_are_covered(codes: History, terminology: Terminology) -> None:
    billable = [code for code in terminology if terminology.is_billable(code)]
    personal = {codes.personal(code) for code in billable} - {None}
    family = {codes.family(code) for code in billable} - {None}
    assert all(terminology.is_billable(code) for code in personal | family if code)
    # Only words, not the code of a condition, lead to these.
    by_words = {"Z86.00A", "Z86.0102", "Z86.51", "Z87.821", "Z87.890"}
    past = {code for code in billable if code[:3] in ("Z85", "Z86", "Z87")}
    assert past - personal == by_words
    assert {code for code in billable if "Z80" <= code[:3] <= "Z84"} == family


def test_history_follows_what_the_list_says_is_classifiable_where(codes: History, terminology: Terminology) -> None:
    for first, last, above in (
        ("C15", "C26", "Z80.0"),
        ("C51", "C63", "Z80.4"),
        ("F11", "F16", "Z81.3"),
        ("J40", "J47", "Z82.5"),
        ("E08", "E13", "Z83.3"),
        ("K00", "K95", "Z83.7"),
        ("N00", "N29", "Z84.1"),
        ("D50", "D89", "Z83.2"),
    ):
        within = [code for code in terminology.base_codes() if first <= code[:3] <= last]
        assert within
        assert {code for code in within if not (codes.family(code) or "").startswith(above)} == set()


STATUSES = [
    # text, what is said of it: words and code
    ("s/p CABG in 2010", [("CABG", "Z95.1")]),
    ("Status post coronary artery bypass grafting", [("coronary artery bypass grafting", "Z95.1")]),
    ("History of cholecystectomy.", [("cholecystectomy", "Z90.49")]),
    ("Appendectomy at age 7", [("Appendectomy", "Z90.49")]),
    ("cholecystectomy 10 years ago", [("cholecystectomy", "Z90.49")]),
    ("She underwent laparoscopic cholecystectomy today.", []),
    ("prior left total knee replacement", [("total knee replacement", "Z96.659")]),
    ("s/p total left knee replacement", [("total left knee replacement", "Z96.659")]),
    ("status post bilateral total hip arthroplasty", [("bilateral total hip arthroplasty", "Z96.643")]),
    ("PSH: TAH/BSO", [("TAH/BSO", "Z90.710"), ("TAH/BSO", "Z90.722")]),
    ("history of bilateral mastectomy", [("bilateral mastectomy", "Z90.13")]),
    ("s/p right below-the-knee amputation", [("below-the-knee amputation", "Z89.519")]),
    ("R AKA 2015", [("AKA", "Z89.619")]),
    ("John Smith, aka Johnny, seen in 2015", []),
    ("amputation of the right great toe in 2012", [("amputation of the right great toe", "Z89.419")]),
    ("status post renal transplantation", [("renal transplantation", "Z94.0")]),
    ("awaiting kidney transplant", [("awaiting kidney transplant", "Z76.82")]),
    ("referred for kidney transplant evaluation", []),
    ("He has a pacemaker.", [("pacemaker", "Z95.0")]),
    ("pacemaker in place", [("pacemaker in place", "Z95.0")]),
    ("a temporary pacemaker was placed in 2019", []),
    ("ICD placed in 2015", [("ICD", "Z95.810")]),
    ("known ICD-10 code", []),
    ("prior RCA stent in 2018", [("RCA stent", "Z95.5")]),
    ("She has a colostomy.", [("colostomy", "Z93.3")]),
    ("history of colostomy reversal", []),
    ("chronic tracheostomy", [("chronic tracheostomy", "Z93.0")]),
    ("history of gastric bypass", [("gastric bypass", "Z98.84")]),
    ("prior cesarean section", [("cesarean section", "Z98.891")]),
    ("hysterectomized due to leiomyomas", [("hysterectomized", "Z90.710")]),
    ("history of colon cancer who underwent colectomy", []),
    ("scheduled for hysterectomy", []),
    ("No history of cholecystectomy", []),
    ("clopidogrel is held prior to knee replacement", []),
    ("ESRD on dialysis", [("ESRD on dialysis", "Z99.2")]),
    ("on hemodialysis since 2012", [("hemodialysis", "Z99.2")]),
    ("required urgent hemodialysis", []),
    ("wheelchair-bound", [("wheelchair-bound", "Z99.3")]),
    ("COPD on home oxygen", [("home oxygen", "Z99.81")]),
    ("takes insulin at night", [("insulin", "Z79.4")]),
    ("insulin-dependent diabetes", [("insulin-dependent diabetes", "Z79.4")]),
    ("non-insulin-dependent diabetes", []),
    ("insulin resistance, on metformin", [("metformin", "Z79.84")]),
    ("warfarin 5 mg daily", [("warfarin", "Z79.01")]),
    ("Long-term use of warfarin", [("warfarin", "Z79.01")]),
    ("She was started on warfarin.", []),
    (
        "on aspirin 81 mg, clopidogrel and insulin",
        [("aspirin", "Z79.82"), ("clopidogrel", "Z79.02"), ("insulin", "Z79.4")],
    ),
    ("aspirin given once", []),
    ("chronic steroid use", [("chronic steroid use", "Z79.52")]),
    ("maintained on prednisone", [("prednisone", "Z79.52")]),
    ("prednisone 40 mg daily", []),
    ("on prednisone 40 mg for 5 days", []),
    ("chronic opioid therapy", [("chronic opioid therapy", "Z79.891")]),
    ("taking ibuprofen for the pain", []),
    ("not on insulin", []),
    ("penicillin allergy", [("penicillin", "Z88.0")]),
    ("allergic to codeine and latex", [("codeine", "Z88.5"), ("latex", "Z91.040")]),
    ("Allergies: penicillin, sulfa", [("penicillin", "Z88.0"), ("sulfa", "Z88.2")]),
    ("No known drug allergies", []),
    ("no latex allergy", []),
    ("treated with amoxicillin", []),
    ("Current smoker", [("Current smoker", "F17.200")]),
    ("smoker of 20 cigarettes a day", [("smoker of 20 cigarettes", "F17.210")]),
    ("former smoker", [("former smoker", "Z87.891")]),
    ("non-smoker", []),
    ("Tobacco use: never", []),
    ("denies tobacco use", []),
    ("Code status: DNR/DNI", [("DNR/DNI", "Z66")]),
    ("currently homeless", [("currently homeless", "Z59.00")]),
    ("His father had a CABG in 2010", []),
    ("ER+/PR+ carcinoma", [("ER+/PR+", "Z17.0"), ("ER+/PR+", "Z17.21")]),
    ("blood type O positive", [("blood type O positive", "Z67.40")]),
    ("status post chemotherapy and radiation therapy", [("chemotherapy", "Z92.21"), ("radiation therapy", "Z92.3")]),
    ("BMI 34.2 kg/m2", [("BMI 34.2", "Z68.34")]),
    ("body mass index (BMI) of 41", [("body mass index (BMI) of 41", "Z68.41")]),
    ("BMI 85th percentile", []),
    ("28 weeks pregnant", [("28 weeks pregnant", "Z3A.28")]),
    ("39 2/7 weeks' gestation", [("39 2/7 weeks' gestation", "Z3A.39")]),
    ("born at 32 weeks gestation", []),
]


@pytest.mark.parametrize(("text", "expected"), STATUSES)
def test_status(text: str, expected: list[tuple[str, str]]) -> None:
    said = [(text[match.start : match.end], match.code) for match in statuses(text) if match.said]
    assert said == expected


def test_what_is_not_said_is_found_all_the_same() -> None:
    (match,) = statuses("Past surgical history\nCholecystectomy")[-1:]
    assert (match.cue, match.code, match.said) == (StatusCue.PAST, "Z90.49", False)


def test_offsets_are_those_of_the_text_and_in_order() -> None:
    text = "İstanbul. ﬁ 𝒳 s/p CABG.\nOn insulin, s/p\nright total\nknee replacement; BMI 31."
    found = statuses(text)
    assert [text[match.start : match.end] for match in found] == [
        "CABG",
        "insulin",
        "total\nknee replacement",
        "BMI 31",
    ]
    assert all(match.said for match in found)


@pytest.mark.parametrize(
    "text",
    [
        "insulin" + "-" * 5000 + "pump",
        "history of " + "a/" * 3000 + " cabg",
        "s/p cabg" + " a" * 3000 + ", cabg",
        "on insulin" + "x" * 240 + " insulin",
        "\n" * 5000 + "cabg",
        "total the " * 1000 + "bmi " + "is " * 3000,
    ],
)
def test_strange_text_takes_no_long_time(text: str) -> None:
    start = time.process_time()
    statuses(text)
    assert time.process_time() - start < 1


@pytest.mark.parametrize("text", ["", " ", "\n\n", "-", "the left", "<number>", "no", "of of of"])
def test_nothing_gives_nothing(text: str) -> None:
    assert statuses(text) == ()


def test_every_status_is_billable(terminology: Terminology) -> None:
    rows = load_tsv_resource("icd_status.tsv", ("phrase", "cue", "code"))
    assert len(rows) > 2000
    assert {row["code"] for row in rows if row["code"] != "-" and not terminology.is_billable(row["code"])} == set()


def test_every_phrase_is_found_as_it_is_written() -> None:
    for row in load_tsv_resource("icd_status.tsv", ("phrase", "cue", "code")):
        phrase = row["phrase"].replace("<number>", "20")
        if row["code"] != "-":
            found = [(match.start, match.end, match.cue, match.code) for match in statuses(phrase)]
            assert (0, len(phrase), row["cue"], row["code"]) in found, row


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (9.9, None),
        (17, "Z68.1"),
        (19.9, "Z68.1"),
        (20, "Z68.20"),
        (39.9, "Z68.39"),
        (44.9, "Z68.41"),
        (45, "Z68.42"),
        (59.2, "Z68.43"),
        (69, "Z68.44"),
        (99, "Z68.45"),
        (100, None),
    ],
)
def test_body_mass_index(terminology: Terminology, value: float, code: str | None) -> None:
    assert body_mass_code(value) == code
    assert code is None or terminology.is_billable(code)


@pytest.mark.parametrize("weeks", range(60))
def test_weeks_of_gestation(terminology: Terminology, weeks: int) -> None:
    code = gestation_code(weeks)
    assert (code is not None) == (1 <= weeks <= 45)
    if code is not None:
        assert terminology.is_billable(code)
        assert f"{weeks} weeks" in terminology.title(code) or weeks < 8 or weeks > 42


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("C50\tZ85.3\tZ80.3\tno", "stands there twice"),
        ("C99\tZ85.3\tZ80.3\tno", "begins with 'C99'"),
        ("C50.0\tZ85\tZ80.3\tno", "Z85 is no billable code"),
        ("C50.0\tZ85.3\tZ80.3\tmaybe", "must be yes or no"),
    ],
)
def test_faulty_history_is_refused(
    terminology: Terminology, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: str, fault: str
) -> None:
    (tmp_path / "icd_history.tsv").write_text(f"condition\tpersonal\tfamily\tchronic\n{row}\n", encoding="utf-8")
    monkeypatch.setenv(OWN_RULES, str(tmp_path))
    with pytest.raises(ResourceError, match=fault):
        History(terminology)


@pytest.mark.parametrize(
    ("file", "text", "fault"),
    [
        ("icd_status.tsv", "phrase\tcue\tcode\nfoo\tnever\tZ66\n", "unknown cue 'never'"),
        ("icd_status.tsv", "phrase\tcue\tcode\ncabg\tpast\tZ95.1\n", "stands there twice"),
        ("icd_status.tsv", "phrase\tcue\tcode\nfoo\tpast\t-\n", "must be any"),
        ("icd_status.tsv", "phrase\tcue\tcode\n \tany\tZ66\n", "no phrase"),
        ("icd_status_cues.tsv", "words\tcue\tside\treach\nfoo\tlater\tbefore\t\n", "unknown cue 'later'"),
        ("icd_status_cues.tsv", "words\tcue\tside\treach\nfoo\tpast\tabove\t\n", "side 'above'"),
        ("icd_status_cues.tsv", "words\tcue\tside\treach\nfoo\tpast\tbefore\tfar\n", "reach 'far'"),
    ],
)
def test_faulty_status_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, text: str, fault: str
) -> None:
    (tmp_path / file).write_text(text, encoding="utf-8")
    monkeypatch.setenv(OWN_RULES, str(tmp_path))
    loads = (status._status_tree, status_cues.contexts)
    for load in loads:
        load.cache_clear()
    try:
        with pytest.raises(ResourceError, match=fault):
            statuses("s/p CABG")
    finally:
        for load in loads:
            load.cache_clear()
