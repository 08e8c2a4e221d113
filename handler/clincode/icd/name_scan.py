"""Names of the classification that stand word for word in a note: what the model may have missed.

Only names that can hardly mean anything else are looked for: a curated term, or a name of several words; one word
alone only where it is long.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from clincode.icd.index import TermIndex
from clincode.icd.normalise import words as canonical_words
from clincode.labels import EntityType
from clincode.types import Sentence, Span

CONFIDENCE = 0.6
"""Of a mention that only its name found."""
_WORD = re.compile(r"[^\W_]+(?:['’]s\b)?(?:-[^\W_]+)*")
_INITIAL = re.compile(r"\b[A-Z]\.(?= [a-z])")
"""As in "C. difficile"."""
_PARTING = re.compile(r"[\n.;:]")
_LONGEST = 8
_LEAST_LETTERS = 7
_NEVER_ALONE = frozenset(
    [
        "history",
        "injury",
        "pregnancy",
        "illness",
        "disease",
        "discharge",
        "disorder",
        "therapy",
        "surgery",
        "screening",
        "counseling",
        "removal",
        "dialysis",
        "observation",
        "examination",
        "problem",
        "smoking",
        "alcohol",
        "exposure",
        "absence",
        "presence",
        "delivery",
        "failure",
        "function",
        "isolation",
        "retained",
        "travel",
        "unknown",
    ]
)


@dataclass(frozen=True, slots=True)
class NameScanner:
    """Finds names of ``index`` in a text."""

    index: TermIndex

    def find(self, text: str, sentences: Sequence[Sentence], *, least_letters: int = _LEAST_LETTERS) -> Iterator[Span]:
        """The longest names, from left to right, none over another or over the end of a sentence.

        ``least_letters`` are those of a name of one word.
        """
        for sentence in sentences:
            yield from self._in_sentence(text, sentence, least_letters)

    def _in_sentence(self, text: str, sentence: Sentence, least_letters: int) -> Iterator[Span]:
        words = [(match.start(), match.end()) for match in _WORD.finditer(text, sentence.start, sentence.end)]
        at = 0
        while at < len(words):
            start = words[at][0]
            first = next(iter(canonical_words(text[start : words[at][1]])), "")
            longest = min(self.index.longest_from(first), len(words) - at, _LONGEST)
            ends = ((n, words[at + n - 1][1]) for n in range(longest, 0, -1))
            size = next((n for n, end in ends if self._is_name(text[start:end], n, least_letters)), 0)
            if size:
                end = words[at + size - 1][1]
                is_open = text[start:end].count("(") > text[start:end].count(")")
                end += is_open and text[end : min(end + 1, sentence.end)] == ")"
                yield Span(start, end, EntityType.DIAGNOSIS, CONFIDENCE)
            at += size or 1

    def _is_name(self, phrase: str, words: int, least_letters: int) -> bool:
        if _PARTING.search(_INITIAL.sub(" ", phrase)):
            return False
        lowered = " ".join(phrase.split()).lower()
        first, last = phrase.split(maxsplit=1)[0], phrase.rsplit(maxsplit=1)[-1]
        if not canonical_words(first) or (last != "A" and not canonical_words(last)):
            return False  # "edema of the": what a name ends in means something
        if words == 1 and (len(phrase) < least_letters or lowered in _NEVER_ALONE):
            return False
        return self.index.is_name(lowered, whole=words > 1)


def with_names(spans: Sequence[Span], found: Sequence[Span]) -> list[Span]:
    """The model's spans, and the names that it missed or cut short, in the order of the text.

    A name takes the place of shorter mentions inside it. One that overlaps a mention otherwise, or lies in one of a
    disease or a procedure, is left out.
    """
    kept = list(spans)
    for name in found:
        touching = [span for span in kept if span.start < name.end and name.start < span.end]
        inside = all(name.start <= span.start and span.end <= name.end for span in touching)
        same = any(
            (span.start, span.end, span.type) == (name.start, name.end, EntityType.DIAGNOSIS) for span in touching
        )
        if inside and not same:
            confidence = max([span.confidence for span in touching if span.type is name.type], default=name.confidence)
            kept = [span for span in kept if span not in touching]
            kept.append(Span(name.start, name.end, name.type, confidence))
    return sorted(kept, key=lambda span: (span.start, span.end))
