"""Whatever is in a note, every code suggested or listed is billable in the loaded release, and nothing fails."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clincode.icd import Coder, Mention, Terminology
from clincode.icd.coder import Coded
from clincode.icd.synonyms import load_synonyms
from clincode.labels import EntityType
from clincode.sections import split_sentences
from clincode.types import Assertion, Certainty, Experiencer, NoteType, Sentence, Span, Temporality

FLAGS = {
    *(
        "unspecified",
        "needs_laterality",
        "encounter_assumed",
        "manifestation",
        "excludes1_conflict",
        "integral_symptom",
    ),
}
CONDITIONS = [
    *("HTN", "CHF", "CKD stage 4", "ESRD", "type 2 diabetes", "T1DM", "DKA", "pnuemonia", "COPD exacerbation", "CAD"),
    *("unstable angina", "breast cancer", "metastasis to the liver", "left knee pain", "hip fracture", "burn of hand"),
    *("open fracture of the tibia", "gestational diabetes", "pre-eclampsia", "hyperemesis", "neonatal jaundice"),
    *("sepsis", "septic shock", "UTI", "cough", "fever", "obesity", "pain", "fracture", "injury", "mass", "cancer"),
    *("alcohol dependence", "tobacco use", "history of colon cancer", "old MI", "stroke", "L1 fracture", "r/o PE"),
]
AROUND = [
    *("", ".", ", ", "\n", "; ", " and ", " with ", " due to ", " without ", "No ", "Denies ", "on the left", "right "),
    *(
        "both eyes",
        "31w4d, G2P1",
        "20 weeks pregnant. ",
        "third trimester",
        "newborn",
        "follow-up visit. ",
        "sequela of ",
    ),
    *("initial encounter", "nonunion", "s/p CABG in 2010. ", "on warfarin ", "BMI 42. ", "stage 3", "NED", "on chemo"),
    *("PAST SURGICAL HISTORY:\n", "FAMILY HISTORY:\nmother: ", "ALLERGIES: penicillin\n", "never smoked ", "type 2"),
    *("pacemaker in place. ", "osteoporotic ", "stress ", "🤒", "e\u0301", "\x00", "((", "[E11.9]", "100%", "\u200b"),
]


@dataclass(frozen=True, slots=True)
class Written:
    text: str
    sentences: tuple[Sentence, ...]
    mentions: tuple[Mention, ...]


def written(pieces: Sequence[tuple[str, str, Assertion, EntityType]]) -> Written:
    """A note of what stands before each mention, and the mention."""
    text, places = "", []
    for before, mention, assertion, type_ in pieces:
        text += f"{before} "
        if mention.strip():
            start = len(text) + len(mention) - len(mention.lstrip())
            text += mention
            places.append((Span(start, len(text.rstrip()), type_, 0.9), assertion))
    sentences = split_sentences(text)
    # A mention is in one sentence: one that is cut by its own words is in the sentence where it begins.
    mentions = []
    for span, assertion in places:
        for sentence in sentences:
            if sentence.start <= span.start < sentence.end:
                end = min(span.end, sentence.end)
                mentions.append(
                    Mention(Span(span.start, end, span.type, 0.9), text[span.start : end], assertion, sentence)
                )
    return Written(text, sentences, tuple(mentions))


assertions = st.builds(
    Assertion, st.sampled_from(Certainty), st.sampled_from(Temporality), st.sampled_from(Experiencer)
) | st.just(Assertion())
types = st.sampled_from([*EntityType, *[EntityType.DIAGNOSIS] * 8])
junk = st.text(max_size=30) | st.lists(st.sampled_from([*CONDITIONS, *AROUND]), max_size=4).map(" ".join)


@pytest.fixture(scope="module")
def phrases(terminology: Terminology) -> list[str]:
    """Titles, inclusion terms and curated terms."""
    codes = list(terminology.base_codes())
    terms = [term for code in codes for term in terminology.terms(code)]
    return [*(terminology.title(code) for code in codes), *terms, *load_synonyms(terminology)]


def check(coded: Coded, note: Written, terminology: Terminology) -> None:
    assert len(coded.suggestions) == len(note.mentions)
    for mention, candidates in zip(note.mentions, coded.suggestions, strict=True):
        assert candidates == () or mention.is_disease
        confidences = [candidate.confidence for candidate in candidates]
        assert confidences == sorted(confidences, reverse=True)
        assert len({candidate.code for candidate in candidates}) == len(candidates)
        for candidate in candidates:
            assert terminology.is_billable(candidate.code), candidate
            assert candidate.billable
            assert candidate.description == terminology.title(candidate.code)
            assert 0 < candidate.confidence <= 1
    assert len({code.code for code in coded.codes}) == len(coded.codes)
    for code in coded.codes:
        assert code.code in terminology
        assert terminology.is_billable(code.code), code
        assert code.description == terminology.title(code.code)
        assert 0 < code.confidence <= 1
        assert set(code.flags) <= FLAGS
        assert len(set(code.flags)) == len(code.flags)
        assert list(code.evidence) == sorted(set(code.evidence))
        assert all(0 <= index < len(note.mentions) for index in code.evidence)


@pytest.mark.parametrize("kind", ["coder", "dense_coder"])
@settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_every_code_is_billable(
    request: pytest.FixtureRequest, terminology: Terminology, phrases: list[str], kind: str, data: st.DataObject
) -> None:
    real = st.integers(0, len(phrases) - 1).map(phrases.__getitem__)
    pieces = st.tuples(st.sampled_from(AROUND) | junk, st.sampled_from(CONDITIONS) | real | junk, assertions, types)
    note = written(data.draw(st.lists(pieces, max_size=6)))
    coder: Coder = request.getfixturevalue(kind)
    for note_type in NoteType:
        coded = coder.code(note.text, note_type, note.sentences, note.mentions)
        check(coded, note, terminology)
    # What is denied or only thought of is no evidence of any code.
    for index in {index for code in coded.codes for index in code.evidence}:
        assertion = note.mentions[index].assertion
        assert assertion.certainty is not Certainty.NEGATED
        assert assertion.experiencer is not Experiencer.OTHER
        assert assertion.temporality is not Temporality.HYPOTHETICAL or not note.mentions[index].is_disease


@pytest.mark.parametrize("kind", ["coder", "dense_coder"])
def test_every_phrase_of_the_list_in_some_context(
    request: pytest.FixtureRequest, terminology: Terminology, phrases: list[str], kind: str
) -> None:
    """The same for a sample of all that the list says, each in another of the contexts."""
    coder: Coder = request.getfixturevalue(kind)
    contexts = [
        Assertion(certainty, temporality, experiencer)
        for certainty in Certainty
        for temporality in Temporality
        for experiencer in Experiencer
    ]
    sample = phrases[::211]
    assert len(sample) > 300
    for number, phrase in enumerate(sample):
        around = AROUND[number % len(AROUND)]
        assertion = contexts[number % len(contexts)] if number % 3 else Assertion()
        note = written(
            [(around, phrase, assertion, EntityType.DIAGNOSIS), (around, "HTN", Assertion(), EntityType.DIAGNOSIS)]
        )
        note_type = tuple(NoteType)[number % 3]
        check(coder.code(note.text, note_type, note.sentences, note.mentions), note, terminology)
