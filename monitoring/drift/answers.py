"""What the model answers, as a few sums: of a week that is going on, or of the reference that it is held against."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from clincode.types import NoteType
from monitoring.drift.types import TypeMoments

BINS = 20
"""Of confidence, 0 to 1."""
_NOTE_TYPES: tuple[str, ...] = tuple(NoteType)


class Answers:
    """Sums over notes: entities by type and note type, how sure the model was of them, how much it labelled outside.
    Fixed in size, whatever comes."""

    def __init__(self) -> None:
        self.by_note_type = {name: TypeMoments() for name in _NOTE_TYPES}
        self.confidences: npt.NDArray[np.int64] = np.zeros(BINS, dtype=np.int64)
        self.outside = 0.0
        self.outside_notes = 0

    def add(
        self,
        entity_types: Sequence[str],
        confidences: Iterable[float],
        note_type: str,
        outside_share: float | None = None,
    ) -> None:
        """One note's answer; ``outside_share`` is of its words in no entity, where it is known.

        Raises:
            KeyError: a type of entity or note that is none.
        """
        self.by_note_type[note_type].add(entity_types)
        for confidence in confidences:
            self.confidences[min(BINS - 1, max(0, int(confidence * BINS)))] += 1
        if outside_share is not None:
            self.outside += outside_share
            self.outside_notes += 1

    @property
    def types(self) -> TypeMoments:
        """Of all note types."""
        moments = TypeMoments()
        for each in self.by_note_type.values():
            moments += each
        return moments

    @property
    def notes(self) -> int:
        return sum(each.notes for each in self.by_note_type.values())

    @property
    def entities_per_note(self) -> float | None:
        moments = self.types
        return float(moments.total.sum()) / moments.notes if moments.notes else None

    @property
    def outside_share(self) -> float | None:
        return self.outside / self.outside_notes if self.outside_notes else None

    def to_json(self) -> dict[str, Any]:
        return {
            "types": {name: each.to_json() for name, each in self.by_note_type.items()},
            "confidences": self.confidences.tolist(),
            "outside": {"sum": self.outside, "notes": self.outside_notes},
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Answers":
        """Raises KeyError, TypeError or ValueError where it is none."""
        answers = cls()
        answers.by_note_type = {name: TypeMoments.from_json(content["types"][name]) for name in _NOTE_TYPES}
        confidences = np.array(content["confidences"], dtype=np.int64)
        if confidences.shape != (BINS,) or confidences.min() < 0:
            raise ValueError("no histogram of confidences")
        answers.confidences = confidences
        outside = content["outside"]
        answers.outside, answers.outside_notes = float(outside["sum"]), int(outside["notes"])
        return answers


def stability_index(found: npt.NDArray[np.int64], expected: npt.NDArray[np.int64]) -> float | None:
    """The population stability index Σ (p - q) ln(p / q) of two histograms, half a count added to each bin; null where
    one is empty. Scorecards take 0.1 for a change to look at and 0.25 for a large one (Siddiqi 2006)."""
    if not found.sum() or not expected.sum():
        return None
    p, q = ((each + 0.5) / (each.sum() + 0.5 * len(each)) for each in (found, expected))
    return math.fsum((p - q) * np.log(p / q))


def outside_share(text: str, spans: Iterable[tuple[int, int]]) -> float | None:
    """The share of a text's words that no span touches; null of a text without words. Words are
    what white space parts, so this is near the share of the label O and not equal to it."""
    inside = bytearray(len(text) + 1)
    for start, end in spans:
        inside[start:end] = b"\1" * max(0, min(end, len(text)) - start)
    words = outside = at = 0
    for word in text.split():
        at = text.index(word, at)
        words += 1
        outside += not any(inside[at : at + len(word)])
        at += len(word)
    return outside / words if words else None
