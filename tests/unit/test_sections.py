import pytest
from hypothesis import given
from hypothesis import strategies as st

from clincode.sections import header_sections, is_header, split_sentences

LONG = "This is a long line of ordinary prose that an editor wrapped at a width and it goes"


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("No fever. Chest clear.", ["No fever.", "Chest clear."]),
        ("Seen by Dr. Jones today. Doing well.", ["Seen by Dr. Jones today.", "Doing well."]),
        ("Took 2.5 mg p.o. b.i.d. for a week.", ["Took 2.5 mg p.o. b.i.d. for a week."]),
        ("Metoprolol 25 mg b.i.d. Lisinopril 5 mg.", ["Metoprolol 25 mg b.i.d.", "Lisinopril 5 mg."]),
        ("Temp 38.5. Pulse 90.", ["Temp 38.5.", "Pulse 90."]),
        ("Asthma vs. COPD.", ["Asthma vs. COPD."]),
        ("Levothyroxine 0.5 mg. No cough.", ["Levothyroxine 0.5 mg.", "No cough."]),
        ("Given vitamin D. He is better.", ["Given vitamin D.", "He is better."]),
        ("Patient of J. Smith with gout.", ["Patient of J. Smith with gout."]),
        ("Is it a stroke? No.", ["Is it a stroke?", "No."]),
        ("1. Asthma.\n2. Gout, stable.", ["1. Asthma.", "2. Gout, stable."]),
        ("- aspirin\n- heparin", ["- aspirin", "- heparin"]),
        ("Aspirin 81 mg\nMetoprolol 25 mg", ["Aspirin 81 mg", "Metoprolol 25 mg"]),
        (f"{LONG}\non here. Next.", [f"{LONG}\non here.", "Next."]),
        (f"{LONG}\r\non here.", [f"{LONG}\r\non here."]),
        (f"{LONG}\n\nNew paragraph.", [LONG, "New paragraph."]),
        (f"{LONG}.\nnext line", [f"{LONG}.", "next line"]),
        ("Fever: none\nRash (-)", ["Fever: none", "Rash (-)"]),
        ("a\u0301 pain 🤒. B\u00a0c.", ["a\u0301 pain 🤒.", "B\u00a0c."]),
        ("  \n\t ", []),
        ("", []),
    ],
)
def test_sentences(text: str, sentences: list[str]) -> None:
    assert [text[s.start : s.end] for s in split_sentences(text)] == sentences


@pytest.mark.parametrize(
    ("text", "mention", "section"),
    [
        ("CHIEF COMPLAINT: chest pain", "chest pain", "CHIEF_COMPLAINT"),
        ("HPI: 67 yo man with gout.", "gout", "HISTORY_OF_PRESENT_ILLNESS"),
        ("PAST MEDICAL HISTORY:\n1. Gout.\n2. COPD", "COPD", "PAST_MEDICAL_HISTORY"),
        ("Past Medical History\nGout", "Gout", "PAST_MEDICAL_HISTORY"),
        ("PMH: gout", "gout", "PAST_MEDICAL_HISTORY"),
        ("FAMILY HISTORY: father with gout\nSOCIAL HISTORY: smoker", "smoker", "SOCIAL_HISTORY"),
        ("FAMILY HISTORY: father with gout", "gout", "FAMILY_HISTORY"),
        ("A/P: gout flare", "gout", "ASSESSMENT_AND_PLAN"),
        ("**Assessment and Plan:**\ngout", "gout", "ASSESSMENT_AND_PLAN"),
        ("# Assessment\ngout", "gout", "ASSESSMENT"),
        ("3. IMPRESSION: gout", "gout", "IMPRESSION"),
        ("DISCHARGE DIAGNOSES:\nGout", "Gout", "DISCHARGE_DIAGNOSIS"),
        ("ASSESSMENT:\nGout: stable on allopurinol.\nAsthma.", "Asthma", "ASSESSMENT"),
        ("FAMILY HISTORY: none\nTRANSFUSION HISTORY:\ngout", "gout", None),
        ("The patient has a history: gout.", "gout", None),
        ("gout", "gout", None),
    ],
)
def test_sections(text: str, mention: str, section: str | None) -> None:
    at = text.index(mention)
    holding = [s for s in split_sentences(text) if s.start <= at < s.end]
    assert [s.section for s in holding] == [section]


clinical = st.lists(
    st.sampled_from(
        ["HPI:", "No fever", ".", "\n", "\r\n", " ", "Dr.", "1.", "b.i.d.", "- ", "🤒", "e\u0301", "\u2028", LONG]
    ),
    max_size=40,
).map("".join)


@given(st.text(max_size=300) | clinical)
def test_sentences_cover_the_text_in_order(text: str) -> None:
    sentences = split_sentences(text)
    covered = set()
    previous = 0
    for sentence in sentences:
        assert previous <= sentence.start < sentence.end
        assert not text[sentence.start].isspace()
        assert not text[sentence.end - 1].isspace()
        covered |= set(range(sentence.start, sentence.end))
        previous = sentence.end
    assert all(index in covered for index, character in enumerate(text) if not character.isspace())


def test_headers_are_lower_case_and_many() -> None:
    assert len(header_sections()) > 150
    assert all(header == header.lower() for header in header_sections())


def test_a_header_is_no_mention() -> None:
    assert is_header("HPI: cough", 0, 3)
    assert is_header("No fever.\n ASSESSMENT AND PLAN: gout", 11, 21)
    assert not is_header("Assessment of gait and plan: stable", 0, 10)
    assert not is_header("ASSESSMENT AND PLAN: gout", 21, 25)
    assert not is_header("HPI was long", 0, 3)
    assert not is_header("Gout: stable", 0, 4)
