"""Annotated notes as an evaluation needs them: their sentences by note, their texts, and what is said of negation."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clincode.assertions import assert_context
from clincode.labels import TYPE_TO_TAG, EntityType
from clincode.sections import split_sentences
from clincode.types import Certainty, Span
from training.brat import Annotation, tagged_sentences
from training.corpora import GUIDELINES, TaggedSentence, read_jsonl
from training.scoring import prf


@dataclass(frozen=True, slots=True)
class EvaluationNotes:
    """Notes of JSON lines. ``notes[i]`` is the index of the note that sentence ``i`` is of."""

    sentences: tuple[TaggedSentence, ...]
    notes: tuple[int, ...]
    texts: tuple[str, ...]
    entities: tuple[tuple[dict[str, Any], ...], ...]


def read_notes(path: Path) -> EvaluationNotes:
    """Raises ``CorpusError`` naming file and line, where a note is malformed."""
    read_jsonl(path, GUIDELINES["clincode"])  # with the file's name and line in its errors
    sentences: list[TaggedSentence] = []
    notes: list[int] = []
    texts: list[str] = []
    entities: list[tuple[dict[str, Any], ...]] = []
    for line in path.read_text(encoding="utf-8").split("\n"):
        if line.strip():
            note = json.loads(line)
            here = _sentences(note)
            sentences += here
            notes += [len(texts)] * len(here)
            texts.append(note["text"])
            entities.append(tuple(note["entities"]))
    return EvaluationNotes(tuple(sentences), tuple(notes), tuple(texts), tuple(entities))


def negation_scores(notes: EvaluationNotes) -> dict[str, float] | None:
    """Precision, recall, F1 and accuracy of "negated" over the entities whose ``certainty`` the notes say, given where
    they stand; None where they say none."""
    pairs = [pair for index in range(len(notes.texts)) for pair in _pairs(notes, index)]
    if not pairs:
        return None
    right = sum(gold and found for gold, found in pairs)
    scores = prf(right, sum(found for _, found in pairs), sum(gold for gold, _ in pairs))
    return {**scores, "accuracy": sum(gold == found for gold, found in pairs) / len(pairs), "n": len(pairs)}


def _pairs(notes: EvaluationNotes, index: int) -> Iterator[tuple[bool, bool]]:
    """Whether an entity is negated, and whether the rules say so."""
    text, entities = notes.texts[index], sorted(notes.entities[index], key=lambda entity: int(entity["start"]))
    for sentence in split_sentences(text):
        here = [entity for entity in entities if sentence.start <= entity["start"] < sentence.end]
        spans = [Span(entity["start"], entity["end"], EntityType(entity["type"]), 1.0) for entity in here]
        for entity, assertion in zip(here, assert_context(text, sentence, spans), strict=True):
            if entity.get("certainty") is not None:
                yield entity["certainty"] == Certainty.NEGATED, assertion.is_negated


def _sentences(note: dict[str, Any]) -> Sequence[TaggedSentence]:
    tags = {kind.value: tag for kind, tag in TYPE_TO_TAG.items()}
    spans = [Annotation(entity["start"], entity["end"], tags[entity["type"]]) for entity in note["entities"]]
    return [TaggedSentence(words, tags) for words, tags in tagged_sentences(note["text"], spans)]
