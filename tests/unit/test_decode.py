import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from clincode.decode import BioDecoder, TagSpan, spans_of, token_entropy, with_doses, without_lead_ins
from clincode.labels import LABELS, EntityType
from clincode.types import Span

SMALL = ("O", "B-DIAG", "I-DIAG", "B-MED", "I-MED")


def logits_for(labels: list[str], strength: float = 8.0, names: tuple[str, ...] = LABELS) -> np.ndarray:
    rows = np.zeros((len(labels), len(names)), dtype=np.float32)
    for row, label in enumerate(labels):
        rows[row, names.index(label)] = strength
    return rows


def words_of(text: str) -> list[tuple[int, int]]:
    spans, at = [], 0
    for word in text.split(" "):
        spans.append((at, at + len(word)))
        at += len(word) + 1
    return spans


@pytest.mark.parametrize(
    ("text", "labels", "expected"),
    [
        ("acute myocardial infarction", ["B-DIAG", "I-DIAG", "I-DIAG"], [("acute myocardial infarction", "DIAGNOSIS")]),
        ("aspirin metoprolol", ["B-MED", "B-MED"], [("aspirin", "MEDICATION"), ("metoprolol", "MEDICATION")]),
        ("left ventricle and", ["B-ANAT", "I-ANAT", "O"], [("left ventricle", "ANATOMY")]),
        ("the patient was", ["O", "O", "O"], []),
        ("troponin level", ["B-TEST", "I-TEST"], [("troponin level", "TEST")]),
        (
            "pain coronary angiography",
            ["B-DIAG", "B-PROC", "I-PROC"],
            [("pain", "DIAGNOSIS"), ("coronary angiography", "PROCEDURE")],
        ),
    ],
)
def test_clear_logits_give_their_spans(text: str, labels: list[str], expected: list[tuple[str, str]]) -> None:
    spans = BioDecoder(LABELS).decode(logits_for(labels), words_of(text))
    assert [(text[s.start : s.end], s.type.value) for s in spans] == expected
    assert all(s.confidence > 0.9 for s in spans)


def test_an_inside_label_after_outside_becomes_a_beginning_or_nothing() -> None:
    logits = logits_for(["O", "I-DIAG", "O"], strength=5.0)
    logits[1, LABELS.index("B-DIAG")] = 4.5
    spans = BioDecoder(LABELS).decode(logits, words_of("has fever today"))
    assert [(s.start, s.end, s.type) for s in spans] == [(4, 9, EntityType.DIAGNOSIS)]
    assert BioDecoder(LABELS).decode(logits_for(["O", "I-DIAG", "O"]), words_of("has fever today")) == ()


def test_no_entity_continues_into_a_new_sentence() -> None:
    logits = logits_for(["B-DIAG", "I-DIAG", "I-DIAG"], strength=5.0)
    logits[:, LABELS.index("B-DIAG")] += 2.0
    spans = BioDecoder(LABELS).decode(logits, words_of("fever night sweats"), frozenset({1}))
    assert [(s.start, s.end) for s in spans] == [(0, 5), (6, 18)]


def _legal(path: tuple[int, ...], labels: tuple[str, ...], breaks: frozenset[int]) -> bool:
    for t, state in enumerate(path):
        if labels[state].startswith("I-"):
            previous = labels[path[t - 1]] if t and t not in breaks else "O"
            if previous[2:] != labels[state][2:]:
                return False
    return True


@settings(deadline=None, max_examples=60)
@given(
    logits=arrays(np.float32, st.tuples(st.integers(1, 5), st.just(len(SMALL))), elements=st.floats(-4, 4, width=32)),
    breaks=st.frozensets(st.integers(1, 4), max_size=2),
)
def test_decoding_and_confidence_agree_with_enumeration(logits: np.ndarray, breaks: frozenset[int]) -> None:
    """Every legal sequence is scored by hand: the best one is decoded, and a span's confidence is its total mass."""
    p = np.exp(logits.astype(np.float64))
    paths = [x for x in itertools.product(range(len(SMALL)), repeat=len(logits)) if _legal(x, SMALL, breaks)]
    mass = np.array([np.prod([p[t, s] for t, s in enumerate(path)]) for path in paths])
    words = [(i, i + 1) for i in range(len(logits))]
    spans = BioDecoder(SMALL).decode(logits, words, breaks)
    found = tuple(TagSpan(s.start, s.end - 1, {"DIAGNOSIS": "DIAG", "MEDICATION": "MED"}[s.type]) for s in spans)
    decoded = [m for path, m in zip(paths, mass, strict=True) if spans_of([SMALL[s] for s in path], breaks) == found]
    assert max(decoded) == pytest.approx(mass.max(), rel=1e-6)
    for span, tag_span in zip(spans, found, strict=True):
        holding = [
            m for path, m in zip(paths, mass, strict=True) if tag_span in spans_of([SMALL[s] for s in path], breaks)
        ]
        assert span.confidence == pytest.approx(sum(holding) / mass.sum(), abs=1e-6)


@given(
    st.lists(st.sampled_from([*LABELS, "I-", "B-", "X", "", "I-UNKNOWN", "-", "O-DIAG"]), max_size=30),
    st.frozensets(st.integers(0, 30), max_size=4),
)
def test_spans_of_any_labels_are_ordered_and_disjoint(labels: list[str], breaks: frozenset[int]) -> None:
    spans = spans_of(labels, breaks)
    assert all(a.last < b.first for a, b in itertools.pairwise(spans))
    assert all(not any(b in range(s.first + 1, s.last + 1) for b in breaks) for s in spans)


@given(arrays(np.float32, (7, len(LABELS)), elements=st.floats(width=32, allow_nan=True, allow_infinity=True)))
def test_no_logits_break_the_decoder(logits: np.ndarray) -> None:
    spans = BioDecoder(LABELS).decode(logits, [(i, i + 1) for i in range(7)])
    assert all(0.0 <= span.confidence <= 1.0 for span in spans)
    assert np.isfinite(token_entropy(logits)).all()


def test_a_model_without_beginning_labels_is_decoded_too() -> None:
    assert BioDecoder(("O", "I-DIAG")).decode(np.zeros((3, 2), dtype=np.float32), [(0, 1), (2, 3), (4, 5)]) == ()


@settings(max_examples=50, deadline=None)
@given(
    logits=arrays(np.float32, (6, len(SMALL)), elements=st.floats(-8, 8, width=32)),
    temperature=st.floats(0.25, 4.0),
)
def test_temperature_is_that_of_the_logits_and_finds_the_same(logits: np.ndarray, temperature: float) -> None:
    words = words_of("a b c d e f")
    cooled = (logits.astype(np.float64) / temperature).astype(np.float64)
    expected = BioDecoder(SMALL).decode(cooled, words)  # type: ignore[arg-type]
    assert BioDecoder(SMALL, temperature).decode(logits, words) == expected


def test_a_higher_temperature_is_less_sure() -> None:
    rows = logits_for(["B-DIAG", "I-DIAG", "O"], strength=4.0)
    found = [BioDecoder(LABELS, t).decode(rows, words_of("chest pain now")) for t in (0.5, 1.0, 2.0)]
    assert len({(span.start, span.end, span.type) for (span,) in found}) == 1
    confidences = [span.confidence for (span,) in found]
    assert confidences == sorted(confidences, reverse=True)


def test_entropy_is_that_of_the_distribution() -> None:
    uniform = np.zeros((1, 11), dtype=np.float32)
    assert token_entropy(uniform)[0] == pytest.approx(np.log(11), abs=1e-6)
    assert token_entropy(logits_for(["O"], strength=50.0))[0] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ("aspirin 81mg daily", EntityType.MEDICATION, "aspirin 81mg"),
        ("aspirin 0.5 mg/kg/day", EntityType.MEDICATION, "aspirin 0.5 mg/kg/day"),
        ("aspirin 1,000 units", EntityType.MEDICATION, "aspirin 1,000 units"),
        ("aspirin, 81 mg", EntityType.MEDICATION, "aspirin"),
        ("aspirin 3 times", EntityType.MEDICATION, "aspirin"),
        ("aspirin 81mg", EntityType.TEST, "aspirin"),
    ],
)
def test_a_medication_takes_in_the_dose_that_touches_it(text: str, kind: EntityType, expected: str) -> None:
    [span] = with_doses(text, [Span(0, 7, kind, 0.9)])
    assert text[span.start : span.end] == expected


@pytest.mark.parametrize(
    ("mention", "kind", "expected"),
    [
        ("history of stroke", EntityType.DIAGNOSIS, "stroke"),
        ("past medical history of gout", EntityType.DIAGNOSIS, "gout"),
        ("strong family history of breast cancer", EntityType.DIAGNOSIS, "breast cancer"),
        ("h/o CVA", EntityType.DIAGNOSIS, "CVA"),
        ("Hx of DVT", EntityType.DIAGNOSIS, "DVT"),
        ("history", EntityType.DIAGNOSIS, "history"),
        ("history of", EntityType.DIAGNOSIS, "history of"),
        ("prehistory of stroke", EntityType.DIAGNOSIS, "prehistory of stroke"),
        ("history of present illness", EntityType.TEST, "history of present illness"),
    ],
)
def test_a_diagnosis_does_without_what_speaks_of_its_context(mention: str, kind: EntityType, expected: str) -> None:
    text = f"No {mention}, no fever."
    [span] = without_lead_ins(text, [Span(3, 3 + len(mention), kind, 0.9)])
    assert text[span.start : span.end] == expected
    assert (span.type, span.confidence) == (kind, 0.9)
