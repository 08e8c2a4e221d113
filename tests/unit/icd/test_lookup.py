"""What a coder meets in notes → the first code, by names alone; and what holds for any text."""

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clincode.errors import ResourceError
from clincode.icd import IcdLinker, MatchKind, Terminology
from clincode.icd.synonyms import load_synonyms, parse_synonyms

FIRST_CODE = [
    ("acute myocardial infarction", "I21.9"),
    ("Acute Myocardial Infarction", "I21.9"),
    ("myocardial infarction", "I21.9"),
    ("myocardial infarctions", "I21.9"),
    ("heart attack", "I21.9"),
    ("NSTEMI", "I21.4"),
    ("STEMI", "I21.3"),
    ("hypertension", "I10"),
    ("essential hypertension", "I10"),
    ("primary hypertension", "I10"),
    ("HTN", "I10"),
    ("Hypertension, unspecified", "I10"),
    ("hypotension", "I95.9"),
    ("congestive heart failure", "I50.9"),
    ("CHF", "I50.9"),
    ("cardiac failure", "I50.9"),
    ("acute on chronic systolic heart failure", "I50.23"),
    ("coronary artery disease", "I25.10"),
    ("atrial fibrillation", "I48.91"),
    ("a-fib", "I48.91"),
    ("paroxysmal atrial fibrillation", "I48.0"),
    ("severe aortic stenosis", "I35.0"),
    ("dilated cardiomyopathy", "I42.0"),
    ("deep vein thrombosis", "I82.409"),
    ("pulmonary embolism", "I26.99"),
    ("type 2 diabetes mellitus", "E11.9"),
    ("type II diabetes mellitus", "E11.9"),
    ("diabetes mellitus type 2", "E11.9"),
    ("Type 2 diabetes mellitus without complications", "E11.9"),
    ("type 1 diabetes", "E10.9"),
    ("T2DM", "E11.9"),
    ("diabetic ketoacidosis", "E11.10"),
    ("hypothyroidism", "E03.9"),
    ("hyperlipidaemia", "E78.5"),
    ("hypercholesterolaemia", "E78.00"),
    ("obesity", "E66.9"),
    ("hypokalemia", "E87.6"),
    ("hyponatraemia", "E87.1"),
    ("gout", "M10.9"),
    ("pneumonia", "J18.9"),
    ("Pneumonia, unspecified organism", "J18.9"),
    ("community acquired pneumonia", "J18.9"),
    ("aspiration pneumonia", "J69.0"),
    ("asthma", "J45.909"),
    ("mild asthma", "J45.909"),
    ("asthma exacerbation", "J45.901"),
    ("COPD", "J44.9"),
    ("chronic obstructive pulmonary disease", "J44.9"),
    ("severe COPD", "J44.9"),
    ("pleural effusion", "J90"),
    ("shortness of breath", "R06.02"),
    ("SOB", "R06.02"),
    ("dyspnoea", "R06.00"),
    ("cough", "R05.9"),
    ("sore throat", "J02.9"),
    ("obstructive sleep apnea", "G47.33"),
    ("urinary tract infection", "N39.0"),
    ("UTI", "N39.0"),
    ("chronic kidney disease", "N18.9"),
    ("CKD stage III", "N18.30"),
    ("end-stage renal disease", "N18.6"),
    ("acute kidney injury", "N17.9"),
    ("acute renal failure", "N17.9"),
    ("haematuria", "R31.9"),
    ("proteinuria", "R80.9"),
    ("kidney stones", "N20.0"),
    ("renal calculus", "N20.0"),
    ("GERD", "K21.9"),
    ("gastro-oesophageal reflux disease", "K21.9"),
    ("acute cholecystitis", "K81.0"),
    ("acute appendicitis", "K35.80"),
    ("Crohn disease", "K50.90"),
    ("ulcerative colitis", "K51.90"),
    ("cirrhosis of the liver", "K74.60"),
    ("cirrhosis", "K74.60"),
    ("diarrhoea", "R19.7"),
    ("nausea and vomiting", "R11.2"),
    ("nausea", "R11.0"),
    ("abdominal pain", "R10.9"),
    ("chest pain", "R07.9"),
    ("pain in chest", "R07.9"),
    ("stroke", "I63.9"),
    ("ischaemic stroke", "I63.9"),
    ("cerebral infarction", "I63.9"),
    ("TIA", "G45.9"),
    ("migraine", "G43.909"),
    ("migraines", "G43.909"),
    ("epilepsy", "G40.909"),
    ("Alzheimer's disease", "G30.9"),
    ("Alzheimer disease", "G30.9"),
    ("Parkinson’s disease", "G20.A1"),
    ("Guillain-Barré syndrome", "G61.0"),
    ("headache", "R51.9"),
    ("seizures", "R56.9"),
    ("syncope", "R55"),
    ("dizziness", "R42"),
    ("depression", "F32.A"),
    ("major depressive disorder", "F32.9"),
    ("anxiety", "F41.9"),
    ("bipolar disorder", "F31.9"),
    ("schizophrenia", "F20.9"),
    ("PTSD", "F43.10"),
    ("anaemia", "D64.9"),
    ("iron deficiency anaemia", "D50.9"),
    ("thrombocytopenia", "D69.6"),
    ("neutropenia", "D70.9"),
    ("sepsis", "A41.9"),
    ("septic shock", "R65.21"),
    ("fever", "R50.9"),
    ("HIV", "B20"),
    ("herpes zoster", "B02.9"),
    ("cellulitis", "L03.90"),
    ("breast cancer", "C50.919"),
    ("carcinoma of the bladder", "C67.9"),
    ("bladder cancer", "C67.9"),
    ("adenocarcinoma of the colon", "C18.9"),
    ("lung cancer", "C34.90"),
    ("prostate cancer", "C61"),
    ("ovarian carcinoma", "C56.9"),
    ("non-Hodgkin's lymphoma", "C85.90"),
    ("multiple myeloma", "C90.00"),
    ("back pain", "M54.9"),
    ("low back pain", "M54.50"),
    ("left knee pain", "M25.562"),
    ("rheumatoid arthritis", "M06.9"),
    ("osteoarthritis", "M19.90"),
    ("osteoporosis", "M81.0"),
    ("hip fracture", "S72.009A"),
    ("psoriasis", "L40.9"),
    ("glaucoma", "H40.9"),
    ("cataracts", "H26.9"),
    ("otitis media", "H66.90"),
    ("pre-eclampsia", "O14.90"),
    ("edema", "R60.9"),
    ("oedema", "R60.9"),
    ("right lower lobe pneumonia", "J18.9"),
    ("bilateral pleural effusions", "J90"),
    ("new onset atrial fibrillation", "I48.91"),
    ("worsening shortness of breath", "R06.02"),
    ("COVID-19", "U07.1"),
    ("weight loss", "R63.4"),
    ("fatigue", "R53.83"),
    ("human immunodeficiency virus (HIV) infection", "B20"),
    ("chronic renal failure", "N18.9"),
    ("alopecia", "L65.9"),
]
KIND = [
    ("acute myocardial infarction", MatchKind.EXACT),
    ("Guillain-Barré syndromes", MatchKind.SYNONYM),
    ("Abscesses of spleens", MatchKind.NORMALISED),
    ("htn", MatchKind.SYNONYM),
    ("knee, osteochondritis dissecans", MatchKind.REORDERED),
    ("hepatic carcinoma", MatchKind.RELATED),
    ("severe hypospadias", MatchKind.UNMODIFIED),
    ("pneumonia due to aspiration of marbles", MatchKind.REDUCED),
    ("left rheumatoid arthritis", MatchKind.REDUCED),
    ("methotrexate treated rheumatoid arthritis", MatchKind.HEAD),
]
NOTHING_FITS = [
    "gibberish",
    "",
    " ",
    "the",
    "of the",
    "unspecified",
    "NOS",
    "patient",
    "severe",
    "left",
    "42",
    "...",
    "hepatic",
    "acute",
    "severe disease",
    "brain",
]


@pytest.mark.parametrize(("mention", "code"), FIRST_CODE)
def test_first_code(linker: IcdLinker, terminology: Terminology, mention: str, code: str) -> None:
    candidates = linker.link(mention)
    assert [candidate.code for candidate in candidates[:1]] == [code]
    assert candidates[0].description == terminology.title(code)


@pytest.mark.parametrize(("mention", "kind"), KIND)
def test_kind_of_match(linker: IcdLinker, mention: str, kind: MatchKind) -> None:
    assert [found.kind for found in linker.lookup.find(mention)][:1] == [kind]


@pytest.mark.parametrize("mention", NOTHING_FITS)
def test_abstains(linker: IcdLinker, mention: str) -> None:
    assert linker.link(mention) == ()
    assert linker.named(mention) == ()


def test_a_mention_as_long_as_a_note_is_no_mention(linker: IcdLinker) -> None:
    assert linker.link("chest pain " * 1000) == ()


def test_a_category_gives_its_default_alone(linker: IcdLinker) -> None:
    assert [candidate.code for candidate in linker.link("acute myocardial infarction")] == ["I21.9"]


def test_where_names_tie_each_is_shown_and_none_is_trusted(linker: IcdLinker) -> None:
    candidates = linker.link("stress fracture", limit=20)
    assert len(candidates) > 5
    assert all(candidate.code.startswith(("M84.3", "M48.4")) for candidate in candidates)
    assert candidates[0].confidence < linker.link("gout")[0].confidence
    assert all(candidate.confidence < candidates[0].confidence / 2 for candidate in candidates[1:])


def test_a_nearer_match_is_trusted_more(linker: IcdLinker) -> None:
    mentions = ["acute myocardial infarction", "renal cancer", "lupus related pneumonia"]
    confidences = [linker.link(mention)[0].confidence for mention in mentions]
    assert confidences == sorted(confidences, reverse=True)
    assert len(set(confidences)) == len(confidences)


def test_what_the_words_name_may_not_be_billable(linker: IcdLinker) -> None:
    named = linker.named("acute myocardial infarction")
    assert [(each.code, each.billable) for each in named[:2]] == [("I21", False), ("I21.9", True)]
    assert linker.named("acute myocardial infarction", limit=1) == named[:1]


def test_limit(linker: IcdLinker) -> None:
    whole = linker.link("stress fracture", limit=5)
    assert len(whole) == 5
    for limit in range(-1, 6):
        assert linker.link("stress fracture", limit=limit) == whole[: max(limit, 0)]


def test_several_mentions_together_are_linked_as_alone(linker: IcdLinker) -> None:
    mentions = ["gout", "", "gibberish", "stress fracture", "gout", "HTN"]
    assert linker.link_all(mentions, limit=3) == [linker.link(mention, limit=3) for mention in mentions]
    assert linker.named_all(mentions, limit=3) == [linker.named(mention, limit=3) for mention in mentions]
    assert linker.link_all([]) == linker.named_all([]) == []


WORDS = """acute chronic left severe pain of in the heart kidney disease failure with due to fracture neoplasm malignant
    (mild) [HIV] type II 2 diabetes hip knee burn infection and or unspecified other hernia cancer drug-induced coma"""
CLINICAL = st.lists(st.sampled_from(WORDS.split()), max_size=8).map(" ".join)


@given(st.one_of(st.text(), CLINICAL))
def test_any_text_gets_billable_codes_in_order_or_none(linker: IcdLinker, terminology: Terminology, text: str) -> None:
    candidates = linker.link(text)
    assert candidates == linker.link(text)
    assert len({candidate.code for candidate in candidates}) == len(candidates) <= 5
    for candidate in candidates:
        assert candidate.billable
        assert terminology.is_billable(candidate.code)
        assert candidate.description == terminology.title(candidate.code)
        assert 0.0 <= candidate.confidence <= 1.0
    confidences = [candidate.confidence for candidate in candidates]
    assert confidences == sorted(confidences, reverse=True)


def test_every_title_and_inclusion_term_finds_a_billable_code(linker: IcdLinker, terminology: Terminology) -> None:
    codes = [code for code in terminology.base_codes() if code[0] not in "VWXY"][::25]
    for code in codes:
        for name in (terminology.title(code), *terminology[code].inclusion_terms):
            candidates = linker.link(name) if len(name) <= 300 else ("too long",)
            assert candidates, name


def test_a_billable_title_leads_to_its_code(linker: IcdLinker, terminology: Terminology) -> None:
    codes = [code for code in terminology.base_codes() if terminology.is_billable(code) and code[0] not in "VWXY"][::25]
    right = sum(linker.link(terminology.title(code))[0].code == code for code in codes)
    assert right / len(codes) > 0.98


def test_linking_is_fast(linker: IcdLinker) -> None:
    mentions = [mention for mention, _ in FIRST_CODE]
    start = time.process_time()
    for mention in mentions:
        linker.link(mention)
    assert (time.process_time() - start) / len(mentions) < 0.001


def test_curated_terms_are_many_and_lead_to_their_codes(linker: IcdLinker, terminology: Terminology) -> None:
    synonyms = load_synonyms(terminology)
    assert len(synonyms) > 1000
    wrong = [term for term, code in synonyms.items() if linker.link(term)[0].code != code]
    assert wrong == []


def test_a_hospital_has_terms_of_its_own(
    terminology: Terminology, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "icd_synonyms.tsv").write_text("sugar sickness of ward 7\tE11.9\nhtn\tI16.9\n")
    monkeypatch.setenv("CLINCODE_RULES", str(tmp_path))
    synonyms = load_synonyms(terminology)
    assert (synonyms["sugar sickness of ward 7"], synonyms["htn"]) == ("E11.9", "I16.9")
    assert len(synonyms) > 1000


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("htn\tI10\nmi\tI21\n", r"icd_synonyms.tsv:2: I21 is no billable code of ICD-10-CM April 2026"),
        ("# c\n\nhtn\tI99.99\n", r"icd_synonyms.tsv:3: I99.99"),
        ("htn I10\n", r"icd_synonyms.tsv:1: expected"),
        ("htn\tI10\tnote\tmore\n", r"icd_synonyms.tsv:1: expected"),
        ("\tI10\n", r"icd_synonyms.tsv:1: expected"),
        ("htn\tI10\nHTN\tI10\n", r"icd_synonyms.tsv:2: the term 'htn'"),
    ],
)
def test_curated_terms_that_do_not_hold_are_refused_by_line(terminology: Terminology, text: str, fault: str) -> None:
    with pytest.raises(ResourceError, match=fault):
        parse_synonyms(text, terminology)
