"""What redaction takes from the clinic: the share of entities that it touches, in notes into which nothing was put.

A corpus gives its own entities where it has some: a brat folder in the five types and their boundaries, JSON lines in
their ``entities``. Where it has none (CodiEsp's records hold codes, not the words that they stand for), the entities
are what a model finds in the note as it is.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from clincode.decode import spans_of
from clincode.labels import TAG_TO_TYPE
from clincode.phi import find_identifiers
from clincode.windows import word_spans
from training.brat import Annotation, BratError, convert, read_document
from training.corpora import CorpusError
from training.evaluate_ner import Tagger

Marked = tuple[str, Sequence[Annotation]]


def entity_loss(path: Path, make_tagger: Callable[[], Tagger]) -> dict[str, Any]:
    """``share`` of the entities with a character in a redaction, their numbers, and whether they are ``gold``;
    ``make_tagger`` is called where the corpus has no entities."""
    gold = list(gold_entities(path))
    marked = gold if any(entities for _, entities in gold) else _tagged([text for text, _ in gold], make_tagger())
    entities: Counter[str] = Counter()
    touched: Counter[str] = Counter()
    for text, found in marked:
        hidden = {at for r in find_identifiers(text) for at in range(r.start, r.end)}
        for entity in found:
            entities[entity.type] += 1
            touched[entity.type] += any(at in hidden for at in range(entity.start, entity.end))
    return {
        "share": touched.total() / max(1, entities.total()),
        "touched": touched.total(),
        "entities": entities.total(),
        "gold": marked is gold,
        "per_type": {
            TAG_TO_TYPE[tag].value: {"touched": touched[tag], "entities": entities[tag]} for tag in sorted(entities)
        },
    }


def gold_entities(path: Path) -> Iterator[Marked]:
    """Every text of a brat folder or a JSON lines file with its entities (``type`` is a tag such as ``DIAG``).

    Raises:
        BratError: the folder has no annotations, or a broken one.
        CorpusError: names the line that is no note.
    """
    if path.is_dir():
        files = sorted(path.glob("*.ann"))
        if not files:
            raise BratError(f"{path}: no .ann files")
        for file in files:
            document = read_document(file)
            yield document.text, convert(document)
        return
    tags = {entity_type.value: tag for tag, entity_type in TAG_TO_TYPE.items()}
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                note = json.loads(line)
                entities = note.get("entities", ())
                yield str(note["text"]), [Annotation(e["start"], e["end"], tags[e["type"]]) for e in entities]
            except (ValueError, KeyError, TypeError, AttributeError):
                raise CorpusError(f"{path}:{number}: not a note with 'text' and, perhaps, 'entities'") from None


def _tagged(texts: Sequence[str], tagger: Tagger) -> list[Marked]:
    """The texts with what the tagger finds, a line a sentence."""
    places = [
        (index, [(at + start, at + end) for start, end in word_spans(line)])
        for index, text in enumerate(texts)
        for at, line in _lines(text)
    ]
    places = [(index, words) for index, words in places if words]
    sentences = [[texts[index][start:end] for start, end in words] for index, words in places]
    found: list[list[Annotation]] = [[] for _ in texts]
    for (index, words), tags in zip(places, tagger.tag(sentences), strict=True):
        found[index] += [Annotation(words[s.first][0], words[s.last][1], s.tag) for s in spans_of(tags)]
    return list(zip(texts, found, strict=True))


def _lines(text: str) -> Iterator[tuple[int, str]]:
    at = 0
    for line in text.split("\n"):
        yield at, line
        at += len(line) + 1
