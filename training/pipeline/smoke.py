"""Whether a model answers at all: each of a few notes, in its own name, with offsets that fit and something found."""

import json
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clincode.errors import AnalysisError
from clincode.pipeline import Pipeline
from clincode.response import response_body
from clincode.types import Note

_TIMEOUT_SECONDS = 30.0


def ask_pipeline(pipeline: Pipeline, texts: Sequence[str], version: str) -> list[str]:
    """What is wrong with the answers; notes are named by their place."""
    notes = [Note(str(uuid.uuid4()), text) for text in texts]
    answers: list[dict[str, Any] | str] = []
    for result in pipeline.analyze_batch(notes):
        failed = isinstance(result, AnalysisError)
        answers.append(
            f"{type(result).__name__} in {getattr(result, 'stage', 'analysis')}"
            if failed
            else response_body(result, version=pipeline.version, processing_time_ms=0)  # type: ignore[arg-type]
        )
    return faults_of(answers, texts, version)


def ask_server(url: str, key_file: Path | None, texts: Sequence[str], version: str) -> list[str]:
    """The same of a TorchServe, a request a note."""
    import httpx

    headers = {}
    if key_file is not None:
        key = json.loads(key_file.read_text(encoding="utf-8"))["inference"]["key"]
        headers["Authorization"] = f"Bearer {key}"
    answers: list[dict[str, Any] | str] = []
    with httpx.Client(timeout=_TIMEOUT_SECONDS, trust_env=False, headers=headers) as client:
        for text in texts:
            body = {"note_id": str(uuid.uuid4()), "note_text": text, "note_type": "progress_note"}
            try:
                response = client.post(url, json=body)
                answers.append(response.json() if response.status_code == 200 else f"HTTP {response.status_code}")
            except (httpx.HTTPError, ValueError) as error:
                answers.append(type(error).__name__)
    return faults_of(answers, texts, version)


def faults_of(answers: Sequence[Mapping[str, Any] | str], texts: Sequence[str], version: str) -> list[str]:
    """``answers`` are bodies as docs/api.md has them, or why there is none."""
    faults = []
    found = 0
    for number, (answer, text) in enumerate(zip(answers, texts, strict=True), 1):
        if isinstance(answer, str):
            faults.append(f"note {number}: {answer}")
            continue
        if answer.get("model_version") != version:
            faults.append(f"note {number}: answered by {answer.get('model_version')}")
        entities = answer.get("entities", [])
        found += bool(entities)
        wrong = [e for e in entities if text[e["start_char"] : e["end_char"]] != e["text"]]
        if wrong:
            faults.append(f"note {number}: {len(wrong)} entities are not where they are said to be")
    if texts and found * 2 < len(texts):
        faults.append(f"something is found in {found} of {len(texts)} notes only")
    return faults
