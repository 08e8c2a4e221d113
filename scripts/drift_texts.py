"""Real texts for ``drift_simulation.py``, from the corpora's train parts alone, and the model's answers to some of
them.

Nothing read here is kept in the project: answers are cached where the caller says, without a word of a note.
"""

import json
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from clincode.phi import find_identifiers, masked
from clincode.request import MAX_NOTE_CHARS

ABSTRACT_SENTENCES = 9
"""BC5CDR's file has no borders of its 500 abstracts: so many sentences in a row stand for one."""
_NO_SPACE_BEFORE = re.compile(r" (?=[.,;:)\]%'’/-])")
_NO_SPACE_AFTER = re.compile(r"(?<=[(\[/'’-]) ")


def codiesp(data: Path) -> list[str]:
    """Case reports of CodiEsp (translated), its train part and the uncoded background."""
    texts = []
    for part in ("train", "background"):
        lines = (data / "codiesp_en" / f"{part}.jsonl").read_text(encoding="utf-8").splitlines()
        texts += [json.loads(line)["text"] for line in lines]
    return [text[:MAX_NOTE_CHARS] for text in texts]


def bc5cdr(data: Path) -> list[str]:
    """Stand-ins for BC5CDR's train abstracts: nine sentences each."""
    sentences = _sentences(data / "bc5cdr" / "train.tsv")
    starts = range(0, len(sentences) - ABSTRACT_SENTENCES + 1, ABSTRACT_SENTENCES)
    return [" ".join(sentences[start : start + ABSTRACT_SENTENCES]) for start in starts]


def aci_bench(data: Path) -> list[str]:
    """Visit notes of ACI-bench's train part."""
    paths = sorted((data / "aci_bench_notes").glob("train-*.txt"))
    return [path.read_text(encoding="utf-8")[:MAX_NOTE_CHARS] for path in paths]


def maccrobat(data: Path) -> list[str]:
    """Case reports of MACCROBAT's train part."""
    paths = sorted((data / "maccrobat" / "train").glob("*.txt"))
    return [path.read_text(encoding="utf-8")[:MAX_NOTE_CHARS] for path in paths]


def sentences_of(path: Path) -> list[str]:
    """The sentences of an IOB2 file, each a text of its own."""
    return _sentences(path)


def as_stored(texts: Sequence[str], name: str) -> list[str]:
    """The texts as the gateway keeps them: with identifiers masked."""
    return [masked(text, find_identifiers(text)) for text in tqdm(texts, desc=f"mask {name}", unit="note")]


def model_answers(texts: Sequence[str], cache: Path) -> list[Mapping[str, Any]]:
    """The newest release's entities in each text (type, offsets, confidence), as far as the cache does not have
    them."""
    known: dict[str, Any] = {}
    if cache.is_file():
        known = {line["id"]: line for line in map(json.loads, cache.read_text(encoding="utf-8").splitlines())}
    missing = [text for text in texts if _id_of(text) not in known]
    with cache.open("a", encoding="utf-8") as file:
        for answer in _predicted(missing):
            known[answer["id"]] = answer
            file.write(json.dumps(answer) + "\n")
            file.flush()
    return [known[_id_of(text)] for text in texts]


def _predicted(texts: Sequence[str]) -> Iterator[dict[str, Any]]:
    if not texts:
        return
    from cli.models import bundle_of
    from clincode.pipeline import Pipeline
    from clincode.types import Note

    pipeline = Pipeline.from_bundle(bundle_of(None))
    for text in tqdm(texts, desc="model", unit="note"):
        note_id = _id_of(text)
        spans = [entity.span for entity in pipeline.analyze(Note(note_id, text)).entities]
        entities = [
            {"start_char": s.start, "end_char": s.end, "type": s.type.value, "confidence": round(s.confidence, 4)}
            for s in spans
        ]
        yield {"id": note_id, "entities": entities}


def _id_of(text: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, text))


def _sentences(path: Path) -> list[str]:
    blocks = path.read_text(encoding="utf-8").strip().split("\n\n")
    return [_plain(" ".join(line.split("\t")[0] for line in block.splitlines())) for block in blocks]


def _plain(words: str) -> str:
    return _NO_SPACE_AFTER.sub("", _NO_SPACE_BEFORE.sub("", words))
