import pytest
from hypothesis import given
from hypothesis import strategies as st

import clincode.assertions
from clincode.assertions import ContextRules, assert_context, default_rules
from clincode.assertions.cues import parse_cue
from clincode.errors import ResourceError
from clincode.labels import EntityType
from clincode.sections import split_sentences
from clincode.types import Assertion, Span


def assertion(text: str, mention: str, entity_type: EntityType = EntityType.DIAGNOSIS) -> Assertion:
    start = text.index(mention)
    span = Span(start, start + len(mention), entity_type, 1.0)
    sentence = next(s for s in split_sentences(text) if s.start <= start < s.end)
    return assert_context(text, sentence, [span])[0]


# text, mention, certainty, trigger
CERTAINTY = [
    ("Patient denies chest pain.", "chest pain", "negated", "denies"),
    ("Patient reports chest pain.", "chest pain", "affirmed", None),
    ("She denied fever, chills, or night sweats.", "night sweats", "negated", "denied"),
    ("No evidence of pneumonia.", "pneumonia", "negated", "No evidence of"),
    ("NO EVIDENCE OF  PNEUMONIA", "PNEUMONIA", "negated", "NO EVIDENCE OF"),
    ("There is no pericardial effusion.", "pericardial effusion", "negated", "no"),
    ("No fever, chills, or cough.", "cough", "negated", "No"),
    ("No chest pain but has fever.", "chest pain", "negated", "No"),
    ("No chest pain but has fever.", "fever", "affirmed", None),
    ("Denies dyspnea; reports orthopnea.", "orthopnea", "affirmed", None),
    ("No cough, however he complains of fever.", "fever", "affirmed", None),
    ("Lungs had crackles without wheezing.", "wheezing", "negated", "without"),
    ("Lungs had crackles without wheezing.", "crackles", "affirmed", None),
    ("Urinalysis was negative for hematuria.", "hematuria", "negated", "was negative for"),
    ("He is free of pain.", "pain", "negated", "free of"),
    ("Absence of deep vein thrombosis.", "deep vein thrombosis", "negated", "Absence of"),
    ("She has never had a seizure.", "seizure", "negated", "never had"),
    ("Neither edema nor cyanosis.", "cyanosis", "negated", "nor"),
    ("The film fails to reveal a fracture.", "fracture", "negated", "fails to reveal"),
    ("He does not have diabetes.", "diabetes", "negated", "does not have"),
    ("He did not complain of headache.", "headache", "negated", "did not complain of"),
    ("Not consistent with gout.", "gout", "negated", "Not consistent with"),
    ("Myocardial infarction was ruled out.", "Myocardial infarction", "negated", "was ruled out"),
    ("Pulmonary embolism has been excluded.", "Pulmonary embolism", "negated", "has been excluded"),
    ("Homans sign is negative.", "Homans sign", "negated", "is negative"),
    ("Ascites is absent.", "Ascites", "negated", "is absent"),
    ("A pneumothorax is not seen.", "pneumothorax", "negated", "is not seen"),
    ("Fever: none", "Fever", "negated", "none"),
    ("Rash (-)", "Rash", "negated", "(-)"),
    ("A stroke is unlikely.", "stroke", "negated", "is unlikely"),
    ("Patient without a history of asthma.", "asthma", "negated", "without a history of"),
    ("w/o nausea", "nausea", "negated", "w/o"),
    ("no fever", "no fever", "negated", "no"),
    ("No family history of stroke.", "stroke", "negated", "No family history of"),
    ("No history of stroke.", "history of stroke", "negated", "No history of"),
    ("Denies any history of falls.", "history of falls", "negated", "Denies any history of"),
    ("Diabetes: denies.", "Diabetes", "negated", "denies"),
    ("No fever, has cough.", "cough", "affirmed", None),
    ("no rash, no itching, +swelling", "swelling", "affirmed", None),
    ("Mother denies fever in the child.", "fever", "negated", "Mother denies"),
    ("He was not found to have appendicitis.", "appendicitis", "negated", "was not found to have"),
    ("The stent was placed without complications.", "complications", "negated", "without"),
    ("Lungs clear, no wheezes, rales, or rhonchi.", "rhonchi", "negated", "no"),
    ("MRI did not show any acute infarct.", "acute infarct", "negated", "did not show"),
    # Pseudo-negation.
    ("No change in the nodule.", "nodule", "affirmed", None),
    ("No increase in edema.", "edema", "affirmed", None),
    ("Not only fever but also cough.", "fever", "affirmed", None),
    ("Gram negative sepsis.", "sepsis", "affirmed", None),
    ("Pain not relieved by rest.", "Pain", "affirmed", None),
    ("Treated with negative pressure for the wound infection.", "wound infection", "affirmed", None),
    ("Walks without difficulty despite arthritis.", "arthritis", "affirmed", None),
    ("No relief from back pain.", "back pain", "affirmed", None),
    # Doubt.
    ("Possible pneumonia.", "pneumonia", "possible", "Possible"),
    ("Suspected appendicitis.", "appendicitis", "possible", "Suspected"),
    ("Findings may represent edema.", "edema", "possible", "may represent"),
    ("Concern for sepsis.", "sepsis", "possible", "Concern for"),
    ("Unable to exclude fracture.", "fracture", "possible", "Unable to exclude"),
    ("r/o PE", "PE", "possible", "r/o"),
    ("A tumor cannot be excluded.", "tumor", "possible", "cannot be excluded"),
    ("Cannot rule out ischemia.", "ischemia", "possible", "Cannot rule out"),
    ("Acute kidney injury was suspected.", "Acute kidney injury", "possible", "was suspected"),
    ("Probable gastritis.", "gastritis", "possible", "Probable"),
    ("Suggestive of cholecystitis.", "cholecystitis", "possible", "Suggestive of"),
]


@pytest.mark.parametrize(("text", "mention", "certainty", "trigger"), CERTAINTY)
def test_certainty_and_its_trigger(text: str, mention: str, certainty: str, trigger: str | None) -> None:
    found = assertion(text, mention)
    assert (found.certainty.value, found.trigger) == (certainty, trigger)
    assert found.is_negated == (certainty == "negated")


@pytest.mark.parametrize(
    ("text", "mention", "temporality"),
    [
        ("History of hypertension.", "hypertension", "historical"),
        ("h/o gout", "gout", "historical"),
        ("Status post cholecystectomy.", "cholecystectomy", "historical"),
        ("Had a stroke ten years ago.", "stroke", "historical"),
        ("Previous myocardial infarction.", "myocardial infarction", "historical"),
        ("PAST MEDICAL HISTORY:\n1. Gout.", "Gout", "historical"),
        ("Three day history of fever.", "fever", "current"),
        ("Presents with chest pain.", "chest pain", "current"),
        ("History of asthma, now presents with pneumonia.", "pneumonia", "current"),
        ("Return if chest pain develops.", "chest pain", "hypothetical"),
        ("Should he develop fever, call us.", "fever", "hypothetical"),
        ("Return to the emergency department for bleeding.", "bleeding", "hypothetical"),
        ("Monitor for bleeding.", "bleeding", "hypothetical"),
        ("Heparin for DVT prophylaxis.", "DVT", "hypothetical"),
        ("An old man with gout.", "gout", "current"),
        ("A 29-year-old Asian man with ankle pain.", "ankle pain", "current"),
        ("A 34-year-old transgender woman with gout.", "gout", "current"),
        ("54 year old M w/ DVT.", "DVT", "current"),
        ("This 3-month-old infant has fever.", "fever", "current"),
        ("MRI shows an old infarct.", "infarct", "historical"),
        ("Compared with the prior study, effusion is larger.", "effusion", "current"),
    ],
)
def test_temporality(text: str, mention: str, temporality: str) -> None:
    assert assertion(text, mention).temporality.value == temporality


@pytest.mark.parametrize(
    ("text", "mention", "experiencer"),
    [
        ("Mother has breast cancer.", "breast cancer", "family"),
        ("Family history of stroke.", "stroke", "family"),
        ("No family history of stroke.", "stroke", "family"),
        ("FAMILY HISTORY: colon cancer at 60.", "colon cancer", "family"),
        ("Diabetes runs in the family.", "Diabetes", "family"),
        ("Roommate had influenza.", "influenza", "other"),
        ("The daughter reports confusion.", "confusion", "patient"),
        ("Lives with his wife and has asthma.", "asthma", "patient"),
        ("He has gout.", "gout", "patient"),
    ],
)
def test_experiencer(text: str, mention: str, experiencer: str) -> None:
    assert assertion(text, mention).experiencer.value == experiencer


def test_a_negative_result_does_not_undo_a_test() -> None:
    text = "A urine culture was negative."
    assert assertion(text, "urine culture", EntityType.TEST).certainty.value == "affirmed"
    assert assertion("A biopsy was not performed.", "biopsy", EntityType.TEST).certainty.value == "negated"


def test_every_mention_of_a_sentence_is_judged_for_itself() -> None:
    text = "Denies nausea but reports vomiting and possible melena."
    spans = [
        Span(text.index(m), text.index(m) + len(m), EntityType.DIAGNOSIS, 1.0) for m in ("nausea", "vomiting", "melena")
    ]
    found = assert_context(text, split_sentences(text)[0], spans)
    assert [a.certainty.value for a in found] == ["negated", "affirmed", "possible"]


ROW = {"cue": "no", "category": "negated", "direction": "forward", "reach": ""}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"category": "negative"}, "'no' has the unknown category 'negative'"),
        ({"direction": "left"}, "'no' has the unknown direction 'left'"),
        ({"direction": "none"}, "cannot act none"),
        ({"category": "pseudo"}, "cannot act forward"),
        ({"reach": "far"}, "reach 'far'"),
        ({"cue": " "}, "no cue"),
    ],
)
def test_malformed_cues_are_refused_by_name(change: dict[str, str], message: str) -> None:
    with pytest.raises(ResourceError, match=message):
        parse_cue({**ROW, **change})


def test_the_same_cue_twice_is_refused() -> None:
    with pytest.raises(ResourceError, match="'no' stands there twice"):
        ContextRules([parse_cue(ROW), parse_cue(ROW)])


words = st.sampled_from(
    [
        "no",
        "fever",
        "denies",
        "but",
        "(-)",
        "history of",
        "mother",
        ",",
        ":",
        "none",
        "if",
        "🤒",
        "cannot",
        "be excluded",
    ]
)


@given(st.lists(words, min_size=1, max_size=25).map(" ".join), st.data())
def test_a_trigger_is_a_piece_of_its_sentence(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    for sentence in split_sentences(text):
        found = assert_context(text, sentence, [Span(start, end, EntityType.DIAGNOSIS, 1.0)])
        assert len(found) == 1
        if found[0].trigger is None:
            assert found[0].certainty.value == "affirmed"
        else:
            assert found[0].trigger in text[sentence.start : sentence.end]


def test_a_note_of_nothing_but_cues_is_judged_in_steps_that_grow_with_its_length(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It took cubic time once: three thousand mentions among as many cues never came to an end."""
    text = "no fever " * 600
    spans = [Span(at, at + 5, EntityType.DIAGNOSIS, 1.0) for at in range(3, len(text), 9)]
    looked_at = 0
    distance = clincode.assertions.scopes._distance

    def counted(*arguments: object) -> int:
        nonlocal looked_at
        looked_at += 1
        return distance(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(clincode.assertions.scopes, "_distance", counted)
    found = assert_context(text, split_sentences(text)[0], spans)
    assert all(assertion.trigger == "no" for assertion in found)
    assert looked_at <= 300 * len(spans)


def test_the_shipped_cues_load() -> None:
    assert default_rules().matches("denies", 0, 6)
