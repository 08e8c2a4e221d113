"""Notes that never were, and references made of them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from monitoring.drift.reference import Reference, ReferenceBuilder
from monitoring.drift.words import WordLearner, WordReference

MONDAY = datetime(2026, 11, 23, 8, tzinfo=UTC)
"""Of 2026-W48."""
WEEK = timedelta(days=7)
OLD = "The patient has pneumonia and fever, given ceftriaxone 1 g daily for the pneumonia; chest film clear."
NEW = "Knee replaced under spinal block without loss of blood; the drain was removed on the ward."
TYPES = ("DIAGNOSIS", "DIAGNOSIS", "MEDICATION", "DIAGNOSIS", "TEST")


def word_reference(texts: Sequence[str] = (OLD, NEW), *, times: int = 20, least_notes: int = 10) -> WordReference:
    learner = WordLearner()
    for text in [*texts] * times:
        learner.add(text)
    return learner.learnt(least_notes=least_notes, hashed=16)


def entity(kind: str = "DIAGNOSIS", start: int = 0, end: int = 3, confidence: float = 0.9) -> dict[str, object]:
    return {"type": kind, "start_char": start, "end_char": end, "confidence": confidence}


def small_reference(*, answers: int = 200) -> Reference:
    """Of old notes alone, with answers whose types vary from note to note."""
    builder = ReferenceBuilder()
    for number in range(200):
        builder.add_text(OLD)
        if number < answers:
            builder.add_answer(OLD, [entity(kind) for kind in types_of(number)], "progress_note")
    return builder.built(MONDAY, ["tests"], hashed=16)


def types_of(number: int) -> list[str]:
    """Of the ``number``-th note."""
    return [*TYPES[: 2 + number % 4], *["MEDICATION"] * (number % 3)]
