"""Annotated corpora as sentences of words with BIO tags, and what each corpus's tags mean to us.

Every reader names file and line where a corpus is broken; nothing is skipped in silence.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clincode.labels import OUTSIDE, bio_labels, split_label
from training.brat import read_brat_folder


class CorpusError(ValueError):
    """A corpus file is malformed; the message names file and line, never the text."""


@dataclass(frozen=True, slots=True)
class TaggedSentence:
    """Words and their BIO tags, e.g. ``("no", "fever")`` and ``("O", "B-DIAG")``. Never empty."""

    words: tuple[str, ...]
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Guideline:
    """What a corpus annotates: its own entity names → our tags. What is not listed, the corpus says nothing about."""

    name: str
    tags: Mapping[str, str]

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of a head that follows this guideline."""
        return bio_labels(tuple(dict.fromkeys(self.tags.values())))

    @property
    def is_complete(self) -> bool:
        """Whether it annotates all five types, in the boundaries that we serve."""
        return self.name == "clincode"

    def translate(self, tag: str) -> str | None:
        """``"B-Disease"`` → ``"B-DIAG"``; None where the guideline does not know the tag."""
        if tag == OUTSIDE:
            return OUTSIDE
        prefix, name = split_label(tag)
        return f"{prefix}-{self.tags[name]}" if name in self.tags else None


_FIVE = ("DIAG", "PROC", "MED", "ANAT", "TEST")

GUIDELINES = {
    guideline.name: guideline
    for guideline in (
        Guideline("clincode", {tag: tag for tag in _FIVE}),
        Guideline("bc5cdr", {"Chemical": "MED", "Disease": "DIAG"}),
        Guideline("ncbi_disease", {"Disease": "DIAG"}),
        Guideline("anatem", {"Anatomy": "ANAT"}),
    )
}


def read_iob2(path: Path, guideline: Guideline) -> list[TaggedSentence]:
    """Sentences of a file with a word, a tab and a tag a line, and a blank line after each sentence.

    Raises:
        CorpusError: at the first line that is neither, or whose tag the guideline does not know.
    """
    sentences: list[TaggedSentence] = []
    words: list[str] = []
    tags: list[str] = []
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            if words:
                sentences.append(TaggedSentence(tuple(words), tuple(tags)))
            words, tags = [], []
            continue
        word, separator, tag = line.partition("\t")
        translated = guideline.translate(tag.strip())
        if not separator or not word or translated is None:
            raise CorpusError(f"{path}:{number}: expected a word, a tab and a tag of '{guideline.name}'")
        words.append(word)
        tags.append(translated)
    if words:
        sentences.append(TaggedSentence(tuple(words), tuple(tags)))
    return sentences


def read_brat(path: Path, guideline: Guideline) -> list[TaggedSentence]:
    """Sentences of a folder of MACCROBAT-style ``.txt`` and ``.ann`` pairs, converted to the five types."""
    if not guideline.is_complete:
        raise CorpusError(f"{path}: brat folders are read in the guideline 'clincode', not '{guideline.name}'")
    return [TaggedSentence(words, tags) for words, tags in read_brat_folder(path)]


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8") as lines:
            yield from (line.rstrip("\n") for line in lines)
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path}: not UTF-8 at byte {error.start}") from None


READERS: Mapping[str, Callable[[Path, Guideline], list[TaggedSentence]]] = {
    "iob2": read_iob2,
    "brat": read_brat,
}


def entity_words(sentences: Sequence[TaggedSentence]) -> int:
    """Number of words that are not outside."""
    return sum(tag != OUTSIDE for sentence in sentences for tag in sentence.tags)
