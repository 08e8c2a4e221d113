"""What is said around a mention: its side, its words and its neighbours', and what is denied."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clincode.icd.said import Said, facts_of, implied, meaning, nearest_side, said_around, side_of, without_denied
from clincode.icd.sided_titles import Side
from clincode.icd.vertebrae import with_vertebrae
from clincode.labels import EntityType
from clincode.sections import split_sentences
from clincode.types import Span

SIDES: list[tuple[str, Side | None]] = [
    ("left knee", "left"),
    ("Left knee", "left"),
    ("LEFT KNEE", "left"),
    ("lt hip", "left"),
    ("left-sided weakness", "left"),
    ("L hip", "left"),
    ("(L) shoulder", "left"),
    ("cataract, OS", "left"),
    ("LLE swelling", "left"),
    ("right knee", "right"),
    ("rt hip", "right"),
    ("RIGHT-SIDED pain", "right"),
    ("(R) shoulder", "right"),
    ("pain in the R wrist", "right"),
    ("OD 20/40", "right"),
    ("RUE weakness", "right"),
    ("both eyes", "bilateral"),
    ("Bilateral pneumonia", "bilateral"),
    ("bilaterally decreased", "bilateral"),
    ("b/l edema", "bilateral"),
    ("bilat knee pain", "bilateral"),
    ("Rt. hip", "right"),
    ("RT knee", "right"),
    ("LT hip", "left"),
    ("OU", "bilateral"),
    ("left leg and both arms", "bilateral"),
    # Two sides: none alone.
    ("left knee and right hip", None),
    ("OS: clear, OD: red", None),
    # No sides.
    ("", None),
    ("knee pain", None),
    ("leftover, bright, alright, copyright", None),
    ("L4 fracture, L5-S1 disc", None),
    ("R/O MI", None),
    ("os of the cervix", None),
    ("HbA1c 7.L", None),
    ("oxygen 2 L NC", None),
    ("3 L of fluid", None),
]
NEAREST: list[tuple[str, str, Side | None]] = [
    # sentence, the words from which is counted, side
    ("pain in the left knee, right hip replaced", "pain", "left"),
    ("right hip replaced, swelling of left knee", "swelling", "left"),
    ("right hip replaced, swelling of left knee", "hip", "right"),
    ("effusion both knees, left shoulder fine", "effusion", "bilateral"),
    ("edema of the ankle", "edema", None),
    ("Left knee pain, right hip replaced.", "knee pain", "left"),
    ("RIGHT knee", "RIGHT", "right"),
]


@pytest.mark.parametrize(("text", "side"), SIDES)
def test_side(text: str, side: Side | None) -> None:
    assert side_of(text) == side


@pytest.mark.parametrize(("sentence", "word", "side"), NEAREST)
def test_nearest_side(sentence: str, word: str, side: Side | None) -> None:
    start = sentence.index(word)
    assert nearest_side(sentence, start, start + len(word)) == side


@given(st.text(), st.integers(0, 100))
def test_sides_of_any_text(text: str, at: int) -> None:
    assert side_of(text) in ("left", "right", "bilateral", None)
    assert nearest_side(text, at, at + 5) in ("left", "right", "bilateral", None)
    assert side_of(f"{text} both") == "bilateral"
    assert side_of(f"knee {text}".replace("\n", " ")) == side_of(f"KNEE {text}".replace("\n", " "))


# -- words --


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("renal failure", "kidney failure"),
        ("Fractures of the femur", "femur fracture"),
        ("haemorrhage", "hemorrhage"),
        ("stage IV", "Stage 4"),
        ("CKD 4", "chronic kidney disease stage 4"),
        ("type II diabetes", "diabetes of type 2"),
        ("", "of the"),
    ],
)
def test_texts_of_one_meaning(one: str, other: str) -> None:
    assert meaning(one) == meaning(other)


@pytest.mark.parametrize(
    ("one", "other"), [("stage 3", "stage 4"), ("stage 3a", "stage 3b"), ("type 1", "type 2"), ("acute", "chronic")]
)
def test_texts_of_two_meanings(one: str, other: str) -> None:
    assert meaning(one) != meaning(other)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("sigmoid diverticulitis", "large intestine"),
        ("ulcer of the calf", "lower leg"),
        ("MRSA", "staphylococcus"),
        ("decompensated", "acute"),
    ],
)
def test_what_words_imply(text: str, meant: str) -> None:
    assert meaning(meant) <= implied(meaning(text))


def test_most_words_imply_nothing() -> None:
    assert implied(meaning("hypertension of yesterday")) == implied(frozenset()) == frozenset()


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("fracture of L1", "fracture of first lumbar vertebra"),
        ("C7 and T12", "seventh cervical vertebra and twelfth thoracic vertebra"),
        ("T13, T0, C99", "T13, T0, C99"),
        ("L4-L5 disc", "L4-fifth lumbar vertebra disc"),
        ("HbA1c, BL2, t4, T4x", "HbA1c, BL2, t4, T4x"),
        ("", ""),
    ],
)
def test_vertebrae(text: str, written: str) -> None:
    assert with_vertebrae(text) == written


# -- what is denied --

DENIED = [
    # sentence, mention, denied mentions, what is left (with single spaces)
    ("Chest pain without fever or chills.", "Chest pain", [], "Chest pain ."),
    ("Headache, no aura, with nausea.", "Headache", [], "Headache, , with nausea."),
    ("Denies cough; has fever.", "fever", [], "; has fever."),
    ("Stroke with aphasia, absence of hemorrhage.", "Stroke", [], "Stroke with aphasia, ."),
    ("Stroke with aphasia, negative for hemorrhage.", "Stroke", [], "Stroke with aphasia, ."),
    ("Fracture of the radius, lungs are clear.", "Fracture", [], "Fracture of the radius, ."),
    ("Ulcer with fat exposed, never bleeding", "Ulcer", [], "Ulcer with fat exposed, "),
    ("Pain is no longer severe.", "Pain", [], "Pain is no longer severe."),
    ("COPD, exacerbation absent", "COPD", ["exacerbation"], "COPD, absent"),
    ("Reflux with esophagitis", "Reflux", [], "Reflux with esophagitis"),
    ("No gout but asthma", "gout", [], " gout "),
]


@pytest.mark.parametrize(("sentence", "kept", "denied", "left"), DENIED)
def test_what_is_denied_is_not_shown(sentence: str, kept: str, denied: list[str], left: str) -> None:
    def span(words: str) -> Span:
        start = sentence.index(words)
        return Span(start, start + len(words), EntityType.DIAGNOSIS, 1.0)

    text = f"History. {sentence}  Plan."
    at = len("History. ")
    moved = [Span(s.start + at, s.end + at, s.type, 1.0) for s in map(span, [kept, *denied])]
    shown = without_denied(text, at, at + len(sentence), moved[1:], keep=moved[0])
    assert len(shown) == len(sentence)
    assert all(now in (was, " ") for now, was in zip(shown, sentence, strict=True))
    assert " ".join(shown.split()) == " ".join(left.split())


# -- around a mention --


@pytest.fixture
def around(marked: Callable[[str], Any]) -> Callable[..., Said]:
    def said(note: str, index: int = 0) -> Said:
        read = marked(note)
        return said_around(facts_of(read.text), read.mentions, index, lambda text: text)

    return said


SIDE_AROUND: list[tuple[str, int, Side | None]] = [
    # note, number of the mention, its side
    ("{Left knee pain}.", 0, "left"),
    ("{Knee pain}, right.", 0, "right"),
    ("{Left hip pain} and {right knee pain}.", 0, "left"),
    ("{Left hip pain} and {right knee pain}.", 1, "right"),
    ("Swelling of left ankle and foot, {fracture} of right wrist.", 0, "right"),
    ("{Knee pain}. Limps on the left side.", 0, None),
    ("{Knee pain}.", 0, None),
]


@pytest.mark.parametrize(("note", "index", "side"), SIDE_AROUND)
def test_side_of_a_mention(around: Callable[..., Said], note: str, index: int, side: Side | None) -> None:
    assert around(note, index).side == side


def test_words_of_a_mention_its_neighbourhood_and_its_sentence(around: Callable[..., Said]) -> None:
    note = "Fever gone. Severe {asthma} at night, {gout} of the toe, {anemia|negated}. Stable."
    asthma, gout = around(note, 0), around(note, 1)
    assert asthma.mention == meaning("asthma")
    assert meaning("severe asthma night") <= asthma.near
    assert not meaning("toe gout fever stable anemia") & asthma.near
    assert meaning("severe asthma night gout toe") <= asthma.far
    assert not meaning("fever stable anemia") & asthma.far
    assert gout.mention == meaning("gout")
    assert meaning("toe") <= gout.near
    assert not meaning("severe asthma") & gout.near
    assert meaning("foot") <= gout.implied
    # Of other diseases that are not denied, each with what is around it.
    (neighbour,) = gout.neighbours
    assert meaning("severe asthma") <= neighbour
    assert meaning("anemia") <= gout.denied


def test_sides_that_the_note_names_elsewhere_with_their_sites(around: Callable[..., Said]) -> None:
    said = around("{Knee pain}. The left knee is swollen. The right hip was replaced in 2010.")
    assert said.side is None
    (first, knee), (second, hip) = said.elsewhere
    assert (first, second) == ("left", "right")
    assert meaning("knee") <= knee
    assert meaning("hip") <= hip
    assert around("{Knee pain}.").elsewhere == ()


@pytest.mark.parametrize(
    ("note", "expected"),
    [
        ("{Hip fracture}.", {"encounter": "initial", "encounter_said": False, "open_": False, "healing": "routine"}),
        ("{Open fracture} of the hip, ED.", {"encounter": "initial", "encounter_said": True, "open_": True}),
        ("{Hip fracture} with nonunion.", {"encounter": "subsequent", "encounter_said": True, "healing": "nonunion"}),
        ("{Burn}. Follow-up visit.", {"encounter": "subsequent", "encounter_said": True}),
        ("Sequela of {burn}.", {"encounter": "sequela"}),
        ("{Anemia}, 30 weeks pregnant.", {"pregnant": True, "trimester": 3, "newborn": False}),
        ("{Anemia}. Second trimester.", {"pregnant": True, "trimester": 2}),
        ("{Anemia}.", {"pregnant": False, "trimester": 0, "newborn": False, "treated": False}),
        ("{Jaundice} of the newborn.", {"newborn": True, "pregnant": False}),
        ("{Breast cancer}. NED since surgery.", {"treated": True}),
        ("{Breast cancer} on chemotherapy.", {"treated": False}),
    ],
)
def test_circumstances_of_a_mention(around: Callable[..., Said], note: str, expected: dict[str, object]) -> None:
    said = around(note)
    assert {name: getattr(said, name) for name in expected} == expected


def test_words_are_put_right_first(marked: Callable[[str], Any]) -> None:
    read = marked("Severe {astma} at nihgt.")
    put_right = {"astma": "asthma", "nihgt": "night"}
    said = said_around(
        facts_of(read.text), read.mentions, 0, lambda t: re.sub("astma|nihgt", lambda m: put_right[m[0]], t)
    )
    assert said.mention == meaning("asthma")
    assert meaning("night") <= said.near


PIECES = st.sampled_from(
    ["{asthma}", "{left knee pain}", "{gout|negated}", "{toe|ANATOMY}", "no", "without", "right", ",", ".", "\n", "was",
     "clear", "at night", "20 weeks pregnant", "sequela", "{CKD}", "stage 3", "L", "(R)", "of", "{fever|family}"]
)  # fmt: skip


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(PIECES, max_size=14).map(" ".join))
def test_any_note(marked: Callable[[str], Any], note: str) -> None:
    read = marked(note)
    assert split_sentences(read.text) == read.sentences
    for index, mention in enumerate(read.mentions):
        if not mention.is_disease:
            continue
        said = said_around(facts_of(read.text), read.mentions, index, str)
        assert said.mention <= meaning(mention.text)
        assert said.mention <= said.near
        assert said.mention <= said.far
        assert not said.denied & said.mention
        assert said.trimester in range(4)
        assert len(said.neighbours) <= len(read.mentions) - 1
