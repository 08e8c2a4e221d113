"""What notes and answers are held against: counts learnt from training text, and from the model's answers to some
notes.

A JSON file without a sentence of anybody's: counts of words that many notes share, and sums over notes. See ``words``
for which words are named.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from monitoring.drift.answers import Answers, outside_share
from monitoring.drift.words import HASHED, LEAST_NOTES, TOP_WORDS, WordLearner, WordReference

FORMAT = 1


@dataclass(frozen=True)
class Reference:
    """``answers`` is null where it was learnt from text alone: then entity types are not tested. ``sources`` are the
    names of what it was learnt from."""

    words: WordReference
    answers: Answers | None
    made_at: datetime
    sources: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "made_at": self.made_at.isoformat(),
            "sources": list(self.sources),
            "words": self.words.to_json(),
            "answers": self.answers.to_json() if self.answers is not None else None,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Reference":
        """Raises KeyError, TypeError or ValueError where it is none."""
        if content["format"] != FORMAT:
            raise ValueError("another format")
        answers = content["answers"]
        return cls(
            WordReference.from_json(content["words"]),
            Answers.from_json(answers) if answers is not None else None,
            datetime.fromisoformat(content["made_at"]),
            tuple(map(str, content["sources"])),
        )


def read_reference(path: Path) -> Reference:
    """Of a file of ``clincode drift reference``.

    Raises:
        ValueError: it is none; OSError: it cannot be read.
    """
    try:
        return Reference.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ValueError(f"{path}: not a reference of 'clincode drift reference'") from None


@dataclass
class ReferenceBuilder:
    """Takes notes one at a time. It holds words of them in memory until ``built``, and writes none that is rare."""

    _words: WordLearner = field(default_factory=WordLearner)
    _answers: Answers = field(default_factory=Answers)

    def add_text(self, text: str) -> None:
        """Training text, masked as the deployment's notes are."""
        self._words.add(text)

    def add_answer(self, text: str, entities: Sequence[Mapping[str, Any]], note_type: str) -> None:
        """The model's entities in a note, as the API gives them (``type``, ``start_char``, ``end_char``,
        ``confidence``).

        Raises:
            KeyError, TypeError or ValueError: they are none.
        """
        spans = [(int(each["start_char"]), int(each["end_char"])) for each in entities]
        confidences = [float(each["confidence"]) for each in entities]
        self._answers.add([each["type"] for each in entities], confidences, note_type, outside_share(text, spans))

    def built(
        self,
        made_at: datetime,
        sources: Sequence[str] = (),
        *,
        top: int = TOP_WORDS,
        hashed: int = HASHED,
        least_notes: int = LEAST_NOTES,
    ) -> Reference:
        """Raises ValueError: there was no text."""
        words = self._words.learnt(top=top, hashed=hashed, least_notes=least_notes)
        return Reference(words, self._answers if self._answers.notes else None, made_at, tuple(sources))
