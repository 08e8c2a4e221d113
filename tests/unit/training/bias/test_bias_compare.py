"""Pairs of notes as tables: what was found here, what there, and what is counted."""

from collections import Counter

import pytest

from clincode.labels import EntityType
from clincode.types import (
    Analysis,
    Assertion,
    Certainty,
    CodeCandidate,
    Entity,
    Experiencer,
    Note,
    NoteCode,
    NoteType,
    Span,
)
from training.bias.compare import Found, FoundMention, compare, found_in, score
from training.bias.templates import Filled, Gold, Slot, Template

D, M, A = EntityType.DIAGNOSIS, EntityType.MEDICATION, EntityType.ANATOMY
DENIED = Assertion(Certainty.NEGATED, trigger="denies")


def mention(
    start: int,
    end: int,
    kind: EntityType = D,
    assertion: Assertion | None = None,
    code: str | None = None,
    sure: float = 0.5,
    is_person: bool = False,
) -> FoundMention:
    return FoundMention("words", start, end, kind, assertion or Assertion(), code, sure, is_person)


def found(*mentions: FoundMention, codes: str = "") -> Found:
    return Found(mentions, frozenset(codes.split()))


PAIN = mention(10, 20)


@pytest.mark.parametrize(
    ("here", "there", "kinds"),
    [
        ([PAIN], [PAIN], {}),
        ([], [], {}),
        ([], [PAIN], {"missing": 1}),
        ([PAIN], [], {"extra": 1}),
        ([mention(10, 15)], [PAIN], {"boundary": 1}),
        ([mention(5, 11)], [PAIN], {"boundary": 1}),
        ([mention(20, 25)], [PAIN], {"missing": 1, "extra": 1}),
        ([mention(10, 20, M)], [PAIN], {"type": 1}),
        ([mention(12, 20, M)], [PAIN], {"type": 1}),
        ([mention(10, 14), mention(15, 20)], [PAIN], {"boundary": 1, "extra": 1}),
        ([PAIN], [mention(10, 14), mention(15, 20)], {"boundary": 1, "missing": 1}),
        ([mention(12, 20)], [mention(10, 20, M), mention(11, 20)], {"boundary": 1, "missing": 1}),
        ([PAIN, mention(30, 33, A)], [PAIN, mention(30, 35, A)], {"boundary": 1}),
    ],
)
def test_entities(here: list[FoundMention], there: list[FoundMention], kinds: dict[str, int]) -> None:
    outcome = compare(found(*here), found(*there))
    assert +outcome.kinds == Counter(kinds)
    assert outcome.differs is bool(kinds)
    assert outcome.person == 0


def test_mentions_of_the_person_are_counted_by_themselves() -> None:
    person = mention(0, 1, is_person=True)
    outcome = compare(found(person, PAIN), found(PAIN))
    assert (+outcome.kinds, outcome.person, outcome.differs) == (Counter(), 1, True)
    assert compare(found(person), found(person)).person == 0


def test_contexts_and_codes_are_compared_where_both_notes_have_the_mention() -> None:
    here = found(
        mention(10, 20, assertion=DENIED, code="R07.9", sure=0.9), mention(30, 35, code="I10"), codes="R07.9 I10"
    )
    there = found(mention(10, 20, code="R07.89", sure=0.6), mention(30, 36, code="I11"), codes="I10 I11")
    outcome = compare(here, there)
    assert (outcome.aligned, outcome.assertions, outcome.mention_codes) == (1, 1, 1)
    assert outcome.note_codes == {"R07.9", "I11"}
    assert outcome.confidence == pytest.approx(0.3)


def test_another_cue_of_the_same_context_is_no_difference() -> None:
    other = Assertion(Certainty.NEGATED, trigger="deny")
    assert not compare(found(mention(1, 2, assertion=DENIED)), found(mention(1, 2, assertion=other))).differs


GOLD = (
    Gold(10, 20, D, Assertion(), frozenset({"R07.9", "R07.89"})),
    Gold(30, 35, D, Assertion(Certainty.NEGATED), frozenset({"R50.9"})),
    Gold(40, 45, M, Assertion(), frozenset()),
)


@pytest.mark.parametrize(
    ("mentions", "f1", "negation", "context", "code"),
    [
        ([], (0, 3), (0, 0), (0, 0), (0, 2)),
        ([mention(10, 20, code="R07.89")], (2, 4), (1, 1), (1, 1), (1, 2)),
        ([mention(10, 18, code="R07.9")], (0, 4), (1, 1), (1, 1), (1, 2)),
        ([mention(10, 20, M, code="R07.9")], (0, 4), (0, 0), (0, 0), (0, 2)),
        ([mention(30, 35, assertion=DENIED, code="R50.8")], (2, 4), (1, 1), (1, 1), (0, 2)),
        ([mention(30, 35, code="R50.9")], (2, 4), (0, 1), (0, 1), (1, 2)),
        ([mention(10, 20, assertion=Assertion(experiencer=Experiencer.FAMILY))], (2, 4), (1, 1), (0, 1), (0, 2)),
        ([mention(40, 45, M), mention(0, 1, is_person=True)], (2, 4), (0, 0), (0, 0), (0, 2)),
    ],
)
def test_scores(
    mentions: list[FoundMention],
    f1: tuple[int, int],
    negation: tuple[int, int],
    context: tuple[int, int],
    code: tuple[int, int],
) -> None:
    assert score(found(*mentions), GOLD) == {
        "entity_f1": f1,
        "negation_accuracy": negation,
        "context_accuracy": context,
        "code_accuracy": code,
    }


def test_codes_that_rest_on_the_person_alone_are_left_out() -> None:
    pieces = (Slot("A_person"), " has pain.")
    template = Template("a-1", NoteType.PROGRESS_NOTE, "a", False, 40, frozenset(), pieces, ())
    filled = Filled(template, "An uninsured man has pain.", ((0, 16),))
    places = [(3, 12), (21, 25)]
    codes = (CodeCandidate("R52", "", 0.4), CodeCandidate("G89.4", "", 0.2))
    entities = tuple(Entity(filled.text[s:e], Span(s, e, D, 0.7), Assertion(), None, codes) for s, e in places)
    listed = (NoteCode("Z59.71", "", 1, (0,)), NoteCode("R52", "", 1, (1,)), NoteCode("X", "", 1, (0, 1)))
    result = found_in(Analysis(Note("n", filled.text), entities, listed), filled)
    assert result.codes == {"R52", "X"}
    assert [(m.text, m.start, m.end, m.code, m.is_person) for m in result.mentions] == [
        ("uninsured", 0, 1, "R52", True),
        ("pain", 6, 10, "R52", False),
    ]
