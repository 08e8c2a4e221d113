"""Annotated corpora as sentences of words with BIO tags, and what each corpus's tags mean to us.

Every reader names file and line where a corpus is broken; nothing is skipped in silence.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from clincode.labels import OUTSIDE, TAG_TO_TYPE, bio_labels, split_label
from training.brat import Annotation, BratError, read_brat_folder, tagged_sentences


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
_MACCROBAT = (
    *("Diagnostic_procedure", "Sign_symptom", "Biological_structure", "Detailed_description", "Lab_value"),
    *("Disease_disorder", "Therapeutic_procedure", "Medication", "Date", "Clinical_event", "History", "Severity"),
    *("Nonbiological_location", "Coreference", "Dosage", "Duration", "Age", "Sex", "Administration", "Distance"),
    *("Activity", "Family_history", "Frequency", "Shape", "Time", "Color", "Subject", "Texture", "Area", "Outcome"),
)

GUIDELINES = {
    guideline.name: guideline
    for guideline in (
        Guideline("clincode", {tag: tag for tag in _FIVE}),
        Guideline("bc5cdr", {"Chemical": "MED", "Disease": "DIAG"}),
        Guideline("ncbi_disease", {"Disease": "DIAG"}),
        Guideline("anatem", {"Anatomy": "ANAT"}),
        Guideline("maccrobat", {name: name for name in _MACCROBAT}),
        Guideline("unannotated", {}),
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
    """Sentences of a folder of MACCROBAT-style ``.txt`` and ``.ann`` pairs: converted to the five types, or, in any
    other guideline, the annotations that it names as they are."""
    try:
        names = None if guideline.is_complete else guideline.tags
        return [TaggedSentence(words, tags) for words, tags in read_brat_folder(path, names)]
    except BratError as error:
        raise CorpusError(str(error)) from None


def read_jsonl(path: Path, guideline: Guideline) -> list[TaggedSentence]:
    """Sentences of notes that a hospital annotated itself: one JSON object a line (``docs/annotated-notes.md``).

    ``{"id": "…", "text": "…", "entities": [{"start": 0, "end": 4, "type": "DIAGNOSIS"}]}``: offsets are half-open code
    points of ``text``, types those of the API or of the guideline; entities must not overlap.
    """
    sentences: list[TaggedSentence] = []
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        try:
            note = json.loads(line)
            annotations = _annotations(note, guideline)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            fault = str(error) if isinstance(error, CorpusError) else "not an annotated note"
            raise CorpusError(f"{path}:{number}: {fault}") from None
        sentences += [TaggedSentence(words, tags) for words, tags in tagged_sentences(note["text"], annotations)]
    return sentences


def read_text(path: Path, guideline: Guideline) -> list[TaggedSentence]:
    """Sentences of text that nobody annotated, for a teacher to label: see ``documents``. All tags are O."""
    if guideline.tags:
        raise CorpusError(f"{path}: text is read in the guideline 'unannotated', not '{guideline.name}'")
    return [TaggedSentence(words, tags) for text in documents(path) for words, tags in tagged_sentences(text, [])]


def documents(path: Path) -> Iterator[str]:
    """The ``.txt`` files of a folder in the order of their names, or the ``text`` of every line of a JSON lines file.

    Raises:
        CorpusError: names the line that is no JSON object with a text.
    """
    if path.is_dir():
        for file in sorted(path.glob("*.txt")):
            yield "\n".join(_lines(file))
        return
    for number, line in enumerate(_lines(path), 1):
        try:
            yield str(json.loads(line)["text"])
        except (ValueError, KeyError, TypeError):
            raise CorpusError(f"{path}:{number}: not a JSON object with 'text'") from None


def _annotations(note: Mapping[str, Any], guideline: Guideline) -> list[Annotation]:
    names = {**{entity_type.value: tag for tag, entity_type in TAG_TO_TYPE.items()}, **guideline.tags}
    found = []
    for index, entity in enumerate(note["entities"]):
        start, end = int(entity["start"]), int(entity["end"])
        if entity["type"] not in names or names[entity["type"]] not in guideline.tags.values():
            raise CorpusError(f"entities[{index}].type is none of '{guideline.name}'")
        if not 0 <= start < end <= len(note["text"]):
            raise CorpusError(f"entities[{index}] does not lie in the text")
        found.append(Annotation(start, end, names[entity["type"]]))
    found.sort(key=lambda annotation: annotation.start)
    if any(before.end > after.start for before, after in pairwise(found)):
        raise CorpusError("entities overlap")
    return found


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8") as lines:
            yield from (line.rstrip("\n") for line in lines)
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path}: not UTF-8 at byte {error.start}") from None


def _read_hub(path: Path, guideline: Guideline) -> list[TaggedSentence]:
    from training.hub import read_hub

    return read_hub(path, guideline)


READERS: Mapping[str, Callable[[Path, Guideline], list[TaggedSentence]]] = {
    "iob2": read_iob2,
    "brat": read_brat,
    "jsonl": read_jsonl,
    "text": read_text,
    "hub": _read_hub,
}
