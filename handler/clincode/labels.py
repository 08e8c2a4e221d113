"""The label set: five entity types in BIO, eleven labels, and their names in the API."""

from collections.abc import Sequence
from enum import StrEnum


class EntityType(StrEnum):
    """Entity types as the API names them."""

    DIAGNOSIS = "DIAGNOSIS"
    PROCEDURE = "PROCEDURE"
    MEDICATION = "MEDICATION"
    ANATOMY = "ANATOMY"
    TEST = "TEST"


TAG_TO_TYPE = {
    "DIAG": EntityType.DIAGNOSIS,
    "PROC": EntityType.PROCEDURE,
    "MED": EntityType.MEDICATION,
    "ANAT": EntityType.ANATOMY,
    "TEST": EntityType.TEST,
}
TYPE_TO_TAG = {entity_type: tag for tag, entity_type in TAG_TO_TYPE.items()}

OUTSIDE = "O"


def bio_labels(tags: Sequence[str]) -> tuple[str, ...]:
    """``("O", "B-X", "I-X", …)`` for the given tags, in their order."""
    return (OUTSIDE, *(f"{prefix}-{tag}" for tag in tags for prefix in "BI"))


LABELS = bio_labels(tuple(TAG_TO_TYPE))


def split_label(label: str) -> tuple[str, str]:
    """``"B-DIAG"`` → ``("B", "DIAG")``; anything that is not BIO is outside: ``("O", "")``."""
    prefix, _, tag = label.partition("-")
    return (prefix, tag) if prefix in ("B", "I") and tag else (OUTSIDE, "")
