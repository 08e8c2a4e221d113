"""``clincode predict``: notes in, the contract's answers out, without a server."""

import json
import sys
import time
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

from tqdm import tqdm

from clincode.errors import AnalysisError, ErrorBody, RequestError
from clincode.pipeline import Pipeline
from clincode.request import parse_request
from clincode.response import response_body
from clincode.types import JsonObject, Note

_BATCH = 8


def predict_text(pipeline: Pipeline, text: str) -> JsonObject:
    """The answer for one plain text; it gets a note id of its own.

    Raises:
        RequestError: the text is empty, too long or not clean, as for the server.
    """
    request = {"note_id": str(uuid.uuid4()), "note_text": text, "note_type": "progress_note"}
    return _answers(pipeline, [parse_request(request)])[0]


def predict_lines(pipeline: Pipeline, lines: Iterable[str]) -> Iterator[JsonObject]:
    """One request a line → one answer a line, in order; a bad line has its error in its own place."""
    batch: list[Note | ErrorBody] = []
    for line in tqdm(lines, desc="notes", unit="note", disable=None):
        if line.strip():
            batch.append(_parsed(line))
        if len(batch) == _BATCH:
            yield from _mixed(pipeline, batch)
            batch = []
    yield from _mixed(pipeline, batch)


def _parsed(line: str) -> Note | ErrorBody:
    try:
        return parse_request(line)
    except RequestError as error:
        return error.body


def _mixed(pipeline: Pipeline, batch: list[Note | ErrorBody]) -> Iterator[JsonObject]:
    answers = iter(_answers(pipeline, [item for item in batch if isinstance(item, Note)]))
    for item in batch:
        yield next(answers) if isinstance(item, Note) else dict(item.to_dict())


def _answers(pipeline: Pipeline, notes: list[Note]) -> list[JsonObject]:
    start = time.perf_counter()
    results = pipeline.analyze_batch(notes)
    elapsed = round((time.perf_counter() - start) * 1000)
    return [
        dict(result.body.to_dict())
        if isinstance(result, AnalysisError)
        else response_body(result, version=pipeline.version, processing_time_ms=elapsed)
        for result in results
    ]


def run(pipeline: Pipeline, source: TextIO, out: TextIO, *, jsonl: bool) -> bool:
    """Answer everything in ``source``; whether all of it could be answered."""
    if not jsonl:
        try:
            answer = predict_text(pipeline, source.read())
        except RequestError as error:
            answer = dict(error.body.to_dict())
        print(json.dumps(answer, indent=2, ensure_ascii=False), file=out)
        return "error" not in answer
    good = True
    for answer in predict_lines(pipeline, source):
        good = good and "error" not in answer
        print(json.dumps(answer, ensure_ascii=False), file=out, flush=True)
    return good


def open_source(name: str) -> TextIO:
    """A file, or standard input for ``-``; line ends are kept as they are, for offsets count them."""
    if name == "-":
        sys.stdin.reconfigure(encoding="utf-8", newline="")  # type: ignore[union-attr]
        return sys.stdin
    return Path(name).open(encoding="utf-8", newline="")
