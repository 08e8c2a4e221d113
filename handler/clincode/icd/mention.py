"""A mention on its way to its codes."""

from dataclasses import dataclass

from clincode.labels import EntityType
from clincode.types import Assertion, Sentence, Span


@dataclass(frozen=True, slots=True)
class Mention:
    """A mention with its context; ``text`` is the mention with its abbreviations written out."""

    span: Span
    text: str
    assertion: Assertion
    sentence: Sentence

    @property
    def is_disease(self) -> bool:
        return self.span.type is EntityType.DIAGNOSIS
