"""The frozen values that travel from stage to stage.

All offsets are half-open ``[start, end)`` in Unicode code points of the note as it was sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from clincode.labels import EntityType

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


class NoteType(StrEnum):
    DISCHARGE_SUMMARY = "discharge_summary"
    PROGRESS_NOTE = "progress_note"
    OPERATIVE_REPORT = "operative_report"


class Certainty(StrEnum):
    AFFIRMED = "affirmed"
    NEGATED = "negated"
    POSSIBLE = "possible"


class Temporality(StrEnum):
    CURRENT = "current"
    HISTORICAL = "historical"
    HYPOTHETICAL = "hypothetical"


class Experiencer(StrEnum):
    PATIENT = "patient"
    FAMILY = "family"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Note:
    """A validated request."""

    note_id: str
    text: str
    note_type: NoteType = NoteType.PROGRESS_NOTE
    priority: str = "normal"
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sentence:
    start: int
    end: int
    section: str | None = None
    """Canonical name of the section that the sentence stands in, e.g. ``ASSESSMENT``."""


@dataclass(frozen=True, slots=True)
class Window:
    """A slice of a note's sub-tokens as the encoder sees it.

    ``input_ids`` holds the special tokens too. ``offset`` is the index, in the note's stream of sub-tokens
    (special tokens not counted), of the sub-token that stands at ``input_ids[1]``.
    """

    input_ids: tuple[int, ...]
    offset: int

    @property
    def body(self) -> range:
        """Indices in the note's stream of sub-tokens that this window covers."""
        return range(self.offset, self.offset + len(self.input_ids) - 2)


@dataclass(frozen=True, slots=True)
class EncodedNote:
    """A note cut to words, sub-tokens and windows.

    ``words[i]`` is the offsets of word ``i`` and ``first_subtoken[i]`` the index of its first sub-token in the
    note's stream, which carries the word's label.
    """

    words: tuple[tuple[int, int], ...]
    first_subtoken: tuple[int, ...]
    windows: tuple[Window, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """A decoded entity mention. ``confidence`` is the probability of exactly this span and type."""

    start: int
    end: int
    type: EntityType
    confidence: float


@dataclass(frozen=True, slots=True)
class Assertion:
    """The clinical context of a mention; ``trigger`` is the text of the cue that decided the certainty, ``confidence``
    how often such an answer is right, 0 to 1."""

    certainty: Certainty = Certainty.AFFIRMED
    temporality: Temporality = Temporality.CURRENT
    experiencer: Experiencer = Experiencer.PATIENT
    trigger: str | None = None
    confidence: float = field(default=1.0, compare=False)

    @property
    def is_negated(self) -> bool:
        return self.certainty is Certainty.NEGATED


@dataclass(frozen=True, slots=True)
class CodeCandidate:
    """An ICD-10-CM code with its official description; ``confidence`` in [0, 1]."""

    code: str
    description: str
    confidence: float
    billable: bool = True


@dataclass(frozen=True, slots=True)
class Entity:
    text: str
    span: Span
    assertion: Assertion
    section: str | None
    icd_codes: tuple[CodeCandidate, ...] = ()
    expansion: str | None = None


@dataclass(frozen=True, slots=True)
class NoteCode:
    """A code of the note's own list; ``evidence`` indexes the note's entities."""

    code: str
    description: str
    confidence: float
    evidence: tuple[int, ...]
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reference:
    start: int
    end: int
    antecedent_start: int
    antecedent_end: int


@dataclass(frozen=True, slots=True)
class Redaction:
    start: int
    end: int
    category: str


@dataclass(frozen=True, slots=True)
class NoteStatistics:
    """What monitoring needs to know of one note; numbers only."""

    stage_ms: Mapping[str, float] = field(default_factory=dict)
    mean_confidence: float | None = None
    mean_token_entropy: float = 0.0
    outside_share: float = 1.0


@dataclass(frozen=True, slots=True)
class Analysis:
    """Everything that was found in one note."""

    note: Note
    entities: tuple[Entity, ...]
    codes: tuple[NoteCode, ...] = ()
    references: tuple[Reference, ...] = ()
    redactions: tuple[Redaction, ...] = ()
    warnings: tuple[str, ...] = ()
    statistics: NoteStatistics = field(default_factory=NoteStatistics)


JsonObject = dict[str, Any]
