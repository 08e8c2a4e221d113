"""MACCROBAT's brat annotation → the five types in the boundaries that a coder needs.

The guideline: an entity takes in the modifiers that are linked to it and touch it, so that "acute" becomes part of
"acute myocardial infarction" and "81mg" of "aspirin 81mg". Discontinuous annotations are left out. Spans are flat: the
longest is kept first, then the earliest; what would overlap is dropped. A new line ends a sentence.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from clincode.labels import OUTSIDE
from clincode.windows import word_spans

TAG_OF = {
    "Disease_disorder": "DIAG",
    "Sign_symptom": "DIAG",
    "Therapeutic_procedure": "PROC",
    "Medication": "MED",
    "Biological_structure": "ANAT",
    "Diagnostic_procedure": "TEST",
}
TAKES_IN = {
    "DIAG": {"Severity", "Detailed_description", "Biological_structure"},
    "MED": {"Dosage"},
    "ANAT": {"Detailed_description"},
    "PROC": {"Detailed_description", "Biological_structure"},
    "TEST": {"Detailed_description", "Biological_structure"},
}
_TOUCHING = {"", " ", "-"}

TaggedWords = tuple[tuple[str, ...], tuple[str, ...]]


class BratError(ValueError):
    """An annotation file is malformed; names file and line."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """A contiguous text-bound annotation; offsets are half-open code points."""

    start: int
    end: int
    type: str


@dataclass(frozen=True, slots=True)
class Document:
    text: str
    annotations: dict[str, Annotation]
    modifiers: dict[str, list[str]]
    """Annotation id → ids of what modifies it."""


def read_document(annotation_file: Path) -> Document:
    """A ``.ann`` file and the ``.txt`` beside it."""
    text = annotation_file.with_suffix(".txt").read_text(encoding="utf-8")
    annotations: dict[str, Annotation] = {}
    events: dict[str, str] = {}
    links: list[tuple[str, str]] = []
    for number, line in enumerate(annotation_file.read_text(encoding="utf-8").splitlines(), 1):
        key, _, rest = line.partition("\t")
        try:
            if key.startswith("T"):
                annotation = _text_bound(rest, len(text))
                if annotation is not None:
                    annotations[key] = annotation
            elif key.startswith("E"):
                events[key] = rest.split()[0].split(":")[1]
            elif key.startswith("R"):
                kind, source, target = rest.split()[:3]
                if kind == "MODIFY":
                    links.append((source.split(":")[1], target.split(":")[1]))
        except (IndexError, ValueError):
            raise BratError(f"{annotation_file}:{number}: not a brat annotation") from None
    modifiers: dict[str, list[str]] = defaultdict(list)
    for source, target in links:
        modifiers[events.get(target, target)].append(events.get(source, source))
    return Document(text, annotations, dict(modifiers))


def _text_bound(rest: str, length: int) -> Annotation | None:
    """``Type start end<TAB>text``; None where the span is discontinuous (``start end;start end``)."""
    head = rest.split("\t", maxsplit=1)[0]
    kind, _, offsets = head.partition(" ")
    if ";" in offsets:
        return None
    start, end = (int(part) for part in offsets.split())
    if not 0 <= start < end <= length:
        raise ValueError(offsets)
    return Annotation(start, end, kind)


def convert(document: Document, names: Mapping[str, str] | None = None) -> list[Annotation]:
    """Flat annotations in the order of the text: of the five types (``type`` is a tag such as ``DIAG``) in their
    boundaries, or, where ``names`` maps the corpus's own types to tags, as the corpus has them."""
    widened = []
    for key, annotation in document.annotations.items():
        tag = (TAG_OF if names is None else names).get(annotation.type)
        if tag is not None:
            takes_in = TAKES_IN[tag] if names is None else set()
            start, end = _widen(document, key, annotation, takes_in)
            widened.append(Annotation(start, end, tag))
    kept: list[Annotation] = []
    for candidate in sorted(widened, key=lambda a: (a.start - a.end, a.start)):
        if all(candidate.end <= other.start or other.end <= candidate.start for other in kept):
            kept.append(candidate)
    return sorted(kept, key=lambda a: a.start)


def _widen(document: Document, key: str, annotation: Annotation, types: set[str]) -> tuple[int, int]:
    """The span with every linked modifier of these types that touches it, or touches one that was taken in."""
    start, end = annotation.start, annotation.end
    linked = (document.annotations.get(other) for other in document.modifiers.get(key, ()))
    waiting = [modifier for modifier in linked if modifier is not None and modifier.type in types]
    changed = True
    while changed:
        changed = False
        for modifier in list(waiting):
            before = modifier.end <= start and document.text[modifier.end : start] in _TOUCHING
            after = modifier.start >= end and document.text[end : modifier.start] in _TOUCHING
            if before or after:
                start, end = min(start, modifier.start), max(end, modifier.end)
                waiting.remove(modifier)
                changed = True
    return start, end


def tagged_sentences(text: str, annotations: list[Annotation]) -> Iterator[TaggedWords]:
    """Words and BIO tags, a sentence a line of ``text``; lines without words are skipped."""
    for line in re.finditer(r"[^\n]+", text):
        spans = [(line.start() + start, line.start() + end) for start, end in word_spans(line.group())]
        if spans:
            words = tuple(text[start:end] for start, end in spans)
            yield words, tuple(_tags(spans, annotations))


def _tags(spans: list[tuple[int, int]], annotations: list[Annotation]) -> Iterator[str]:
    """A word is tagged where the annotation covers all of it."""
    previous = None
    for start, end in spans:
        inside = next((a for a in annotations if a.start <= start and end <= a.end), None)
        yield OUTSIDE if inside is None else f"{'I' if inside is previous else 'B'}-{inside.type}"
        previous = inside


def read_brat_folder(folder: Path, names: Mapping[str, str] | None = None) -> Iterator[TaggedWords]:
    """All documents of a folder, in the order of their names; ``names`` as ``convert`` takes them."""
    files = sorted(folder.glob("*.ann"))
    if not files:
        raise BratError(f"{folder}: no .ann files")
    for path in files:
        document = read_document(path)
        yield from tagged_sentences(document.text, convert(document, names))
